// Ledger — what a store's writers have been promised, held against what the store holds.
//
// Room:    Tools/Torture.

import Turbidite

/// How the writer's machine ended.
package enum Ending: String, Sendable {
  /// The process died and the kernel lived on: every acknowledgement counts.
  case processDeath
  /// The machine died: acknowledgements of synced commits and of syncs count.
  case powerCut
}

/// The promises, kept by the process that does not die.
///
/// Invariants:
/// 1. `durable[lane] <= acknowledged[lane]`: what survives a power cut was acknowledged.
package struct Ledger: Sendable, Hashable {
  /// The last batch of each lane that was acknowledged, or found afterwards.
  package private(set) var acknowledged = [Int](repeating: 0, count: Workload.laneCount)
  /// The last batch of each lane that a power cut may not take.
  package private(set) var durable = [Int](repeating: 0, count: Workload.laneCount)

  package init() {}

  /// Takes what a child said; each lane counts without a gap.
  ///
  /// - Parameter firmCount: how many sentences were heard before the power began to go; what was
  ///   synced in those behind may be gone.
  package mutating func take(
    _ list: [Acknowledgement], firmCount: Int = .max
  ) throws(TortureFailure) {
    for (index, item) in list.enumerated() {
      let isFirm = index < firmCount
      switch item.kind {
      case .born, .opened: continue
      case .buffered, .synced:
        try require(
          item.number == acknowledged[item.lane] + 1,
          "lane \(item.lane) acknowledged \(item.number) behind \(acknowledged)")
        acknowledged[item.lane] = item.number
        if item.kind == .synced && isFirm { durable[item.lane] = item.number }
      case .covered:
        try require(
          item.number <= acknowledged[item.lane],
          "lane \(item.lane) covered \(item.number), and had acknowledged \(acknowledged)")
        if isFirm { durable[item.lane] = max(durable[item.lane], item.number) }
      }
    }
  }

  /// Compares an open store with the promises, and goes on from what it holds.
  ///
  /// - Returns: how many batches are there that were in flight, and how many are gone that a power
  ///   cut may take.
  package mutating func compare(
    _ store: Store, after ending: Ending
  ) throws -> (inFlight: Int, cut: Int) {
    try settle(try found(in: store), after: ending)
  }

  /// Whether an absent store breaks no promise.
  package func allowsNothing(after ending: Ending) -> Bool {
    let floor = ending == .powerCut ? durable : acknowledged
    return floor.allSatisfy { $0 == 0 }
  }

  /// Says that everything found is durable now: an opening for writing has returned.
  package mutating func harden() { durable = acknowledged }

  /// The store is not there: the lanes begin anew.
  package mutating func startAnew() { self = Ledger() }

  private mutating func settle(
    _ counters: [Counter], after ending: Ending
  ) throws(TortureFailure) -> (inFlight: Int, cut: Int) {
    let floor = ending == .powerCut ? durable : acknowledged
    let batches = counters.map(\.batch)
    var (inFlight, cut) = (0, 0)
    for (lane, counter) in counters.enumerated() {
      try require(
        counter.batch >= floor[lane],
        "LOST: lane \(lane) is at \(counter.batch); \(floor[lane]) was promised to it"
          + " (found \(batches), promised \(floor), acknowledged \(acknowledged))")
      try require(
        counter.batch <= acknowledged[lane] + 1,
        "lane \(lane) is at \(counter.batch), and can only have begun \(acknowledged[lane] + 1)")
      for other in batches.indices where other != lane {
        try require(
          batches[other] >= counter.observed[other],
          "NO PREFIX: batch \(counter.batch) of lane \(lane) is there, and was begun after batch"
            + " \(counter.observed[other]) of lane \(other) had returned, which is at"
            + " \(batches[other])")
      }
      if counter.batch > acknowledged[lane] { inFlight += 1 }
      cut += max(0, acknowledged[lane] - counter.batch)
    }
    acknowledged = batches
    return (inFlight, cut)
  }

  // MARK: - Reading the store

  private func found(in store: Store) throws -> [Counter] {
    var counters: [Counter] = []
    for lane in 0..<Workload.laneCount {
      counters.append(try Counter(store.blocking.get(Counter.key(lane))))
    }
    let batches = counters.map(\.batch)
    let keys = Set((0..<Workload.laneCount).map(Counter.key))
    let entries = try Self.entries(store.blocking.scan())
    try Self.equal(
      entries.filter { !keys.contains($0.key) }, Contents.expected(at: batches), batches)
    try Self.equal(
      try Self.twinEntries(of: store), Contents.expectedTwin(at: batches), batches)
    return counters
  }

  /// The second keyspace's entries; it is absent until the first writer has made it.
  private static func twinEntries(of store: Store) throws -> [Entry] {
    guard try store.blocking.keyspaces().contains(Workload.twinName) else { return [] }
    let twin = try store.blocking.keyspace(Workload.twinName)
    return try entries(store.blocking.scan(in: twin))
  }

  /// All that a scan gives.
  static func entries(_ scan: Scan) throws -> [Entry] {
    var entries: [Entry] = []
    while let entry = try scan.next() { entries.append(entry) }
    return entries
  }

  private static func equal(
    _ found: [Entry], _ expected: [Entry], _ batches: [Int]
  ) throws(TortureFailure) {
    if found == expected { return }
    let index = zip(found, expected).prefix { $0 == $1 }.count
    throw TortureFailure(
      "WRONG: the store at \(batches) holds \(found.count) entries, not \(expected.count);"
        + " they differ at \(index): \(name(found, index)), not \(name(expected, index))")
  }

  private static func name(_ entries: [Entry], _ index: Int) -> String {
    guard index < entries.count else { return "the end" }
    return "\(entries[index].key) = \(entries[index].value.description.prefix(20))"
  }
}
