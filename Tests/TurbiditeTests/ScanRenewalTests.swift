// ScanRenewalTests — a scan that moves on lets go of memtables that were flushed, and sees the same.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Scans across flushes")
struct ScanRenewalTests {
  /// A scan under way, and what it is still to show.
  private struct Walk {
    let scan: Scan
    var expected: ArraySlice<Entry>
  }

  private typealias Model = [Bytes: Bytes]

  private static func key(_ number: Int) -> Bytes { Bytes("key\(1000 + number)") }

  private static func change(
    _ store: Store, _ model: inout Model, _ random: SeededRandom
  ) throws {
    let number = random.below(100)
    switch random.below(20) {
    case 0: try store.blocking.flush()
    case 1: try store.blocking.compact()
    case 2:
      let range = KeyRange(from: key(number), to: key(number + 10))
      try store.blocking.deleteRange(range)
      model = model.filter { !($0.key >= key(number) && $0.key < key(number + 10)) }
    case 3: if store.engine.layout.shardCount < 6 { try store.blocking.reshard(.add) }
    case 4..<8:
      try store.blocking.delete(key(number))
      model[key(number)] = nil
    default:
      let value = Bytes("value \(random.below(1 << 30))")
      try store.blocking.put(key(number), value)
      model[key(number)] = value
    }
  }

  private static func begin(
    _ store: Store, _ model: Model, _ random: SeededRandom
  ) throws -> Walk {
    let from = random.isOne(in: 2) ? nil : key(random.below(50))
    let to = random.isOne(in: 2) ? nil : key(50 + random.below(50))
    let reverse = random.isOne(in: 2)
    let seen = model.filter { entry in
      (from.map { entry.key >= $0 } ?? true) && (to.map { entry.key < $0 } ?? true)
    }
    let ascending = seen.sorted { $0.key < $1.key }.map { Entry(key: $0.key, value: $0.value) }
    return Walk(
      scan: try store.blocking.scan(KeyRange(from: from, to: to), reverse: reverse),
      expected: (reverse ? ascending.reversed() : ascending)[...])
  }

  @Test("scans show their moment, whatever is written, flushed, merged and moved between steps")
  func moments() throws {
    var renewedCount = 0
    for seed in 1...40 as ClosedRange<UInt64> {
      let machine = SimulatedMachine(seed: seed)
      let store = try machine.open(FullDiskTests.options)
      let random = SeededRandom(seed: seed)
      var model: Model = [:]
      var walks: [Walk] = []
      for _ in 0..<600 {
        if walks.count < 4, random.isOne(in: 6) {
          walks.append(try Self.begin(store, model, random))
        }
        try Self.change(store, &model, random)
        guard !walks.isEmpty else { continue }
        let index = random.below(walks.count)
        for _ in 0..<random.below(6) {
          if walks[index].scan.scan.isStale { renewedCount += 1 }
          let (found, expected) = (try walks[index].scan.next(), walks[index].expected.popFirst())
          #expect(found == expected, "seed \(seed)")
          if expected == nil {
            walks.remove(at: index)
            break
          }
        }
      }
      walks = []
      try store.blocking.close()
    }
    #expect(renewedCount > 1_000)
  }

  @Test("a scan whose keyspace is dropped goes on")
  func dropped() throws {
    let store = try SimulatedMachine(seed: 1).open(FullDiskTests.options)
    let keyspace = try store.blocking.createKeyspace("k")
    for number in 0..<10 { try store.blocking.put(Self.key(number), "value", in: keyspace) }
    let scan = try store.blocking.scan(in: keyspace)
    #expect(try scan.next()?.key == Self.key(0))
    try store.blocking.dropKeyspace("k")
    try store.blocking.put("key", "value")
    try store.blocking.flush()
    #expect(try scan.count() == 9)
    try store.blocking.close()
  }

  @Test("who writes between the steps of a scan does not wait for the scan")
  func ownScan() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: WriteStallTests.options(shards: 1, budget: 16 << 20))
    let value = Bytes([UInt8](repeating: 7, count: 1000))
    // So that memtables are full when the scan begins.
    for number in 0..<30_000 { try store.blocking.put(Bytes("key\(number)"), value) }
    let scan = try store.blocking.scan()
    var count = 0
    while let entry = try scan.next() {
      try store.blocking.put(entry.key, value)
      count += 1
    }
    #expect(count == 30_000)
    try store.blocking.close()
  }

  @Test("a commit that only a scan at rest holds up is refused, and says why")
  func restingScan() throws {
    let machine = SimulatedMachine(seed: 3)
    var options = FullDiskTests.options
    options.memoryBudgetByteCount = 1 << 20
    let store = try machine.open(options)
    var scans: [Scan] = []
    let value = Bytes([UInt8](repeating: 7, count: 1000))
    let start = machine.clock.monotonicNanoseconds()
    let error = #expect(throws: StoreError.self) {
      for number in 0..<20_000 {
        if number % 50 == 0 {
          let scan = try store.blocking.scan()
          _ = try scan.next()
          scans.append(scan)
        }
        try store.blocking.put(Bytes("key\(number)"), value)
      }
    }
    guard case .resourceExhausted? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.retry == .afterAction)
    #expect(machine.clock.monotonicNanoseconds() - start >= 10_000_000_000)
    scans = []
    try store.blocking.put("key", value)
    #expect(try store.blocking.get("key") == value)
    try store.blocking.close()
  }
}
