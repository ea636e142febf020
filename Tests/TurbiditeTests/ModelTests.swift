// ModelTests — the store against an ordered dictionary, over random operations.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

/// The store answers like a dictionary, under every option set, whatever order its background work
/// runs in, across reopening and kills.
///
/// Method: a seed draws operations; each is made on a store on a disk in memory and on the model;
/// reads and scans are compared as they come, the whole contents now and then and at the end.
@Suite("Model")
struct ModelTests {
  @Test(
    "random operations give what an ordered dictionary gives",
    arguments: OptionSet.allCases)
  func randomOperations(_ set: OptionSet) throws {
    let total = environmentCount("TURBIDITE_MODEL_OPERATIONS", default: 30_000)
    let base = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let share = total / OptionSet.allCases.count
    var done = 0
    var seed = base
    while done < share {
      let count = min(share - done, 20_000)
      var run = try ModelRun(seed: seed, options: set.options)
      do {
        try run.run(operationCount: count)
      } catch {
        let replay =
          "TURBIDITE_SEED=\(seed) TURBIDITE_MODEL_OPERATIONS=\(total)"
          + " swift test --filter ModelTests"
        Issue.record("\(set.rawValue), seed \(seed): \(error)\nreplay: \(replay)")
        return
      }
      done += count
      seed += 1
    }
    print("model: \(set.rawValue): \(done) operations, seeds \(base)..<\(seed)")
  }

  @Test("the same seed gives the same trace of disk operations")
  func determinism() throws {
    func trace(_ seed: UInt64) throws -> UInt64 {
      var run = try ModelRun(seed: seed, options: OptionSet.threeShardsTinyMemtables.options)
      try run.run(operationCount: 3000)
      return run.machine.disk.traceHash
    }
    #expect(try trace(7) == trace(7))
    #expect(try trace(7) != trace(8))
  }
}

/// What the store answered differently.
struct Disagreement: Error, CustomStringConvertible {
  var description: String
}

/// One run: a store, its model, and what draws the operations.
struct ModelRun {
  private final class HeldSnapshot {
    let snapshot: Snapshot
    let contents: [Bytes: Bytes]
    let keyspace: Int

    init(_ snapshot: consuming Snapshot, _ contents: [Bytes: Bytes], keyspace: Int) {
      self.snapshot = snapshot
      self.contents = contents
      self.keyspace = keyspace
    }
  }

  let machine: SimulatedMachine
  private let options: Store.Options
  private let random: SeededRandom
  private var store: Store
  /// Contents by keyspace: 0 is the default one.
  private var model: [[Bytes: Bytes]] = [[:], [:]]
  private var snapshots: [HeldSnapshot] = []
  private var keyCount: UInt64
  /// Of the keyspace that is not the default one.
  private let partitioning: Partitioning

  init(seed: UInt64, options: Store.Options) throws {
    machine = SimulatedMachine(seed: seed)
    self.options = options
    random = SeededRandom(seed: seed &* 0x9e37_79b9_7f4a_7c15)
    keyCount = 50 + random.next() % 3000
    let delimiters = Array("/0l".utf8)
    switch random.next() % 4 {
    case 0: partitioning = .wholeKey
    case 1: partitioning = .firstBytes(Int(1 + random.next() % 10))
    default: partitioning = .upTo(delimiter: delimiters[Int(random.next() % 3)])
    }
    store = try machine.open(options)
    _ = try store.blocking.createKeyspace("other", partitioning: partitioning)
  }

  private func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  private func keyspace(_ index: Int) throws -> Keyspace {
    index == 0 ? .default : try store.blocking.keyspace("other")
  }

  /// Keys of many shapes: short, long, with shared prefixes, with zero bytes.
  private func drawKey() -> Bytes {
    let number = random.next() % keyCount
    switch number % 5 {
    case 0: return Bytes("user\(String(repeating: "0", count: 8))\(number)")
    case 1: return Bytes([UInt8(truncatingIfNeeded: number), 0, UInt8(number >> 8 & 0xff)])
    case 2: return Bytes("k\(number)")
    case 3: return Bytes(String(repeating: "long/", count: Int(number % 40)) + "\(number)")
    default: return Bytes([UInt8(truncatingIfNeeded: number &* 37)])
    }
  }

  private func drawValue() -> Bytes {
    let length = [0, 1, 10, 100, 100, 400, 3000][draw(7)]
    let byte = UInt8(truncatingIfNeeded: random.next())
    var value = [UInt8](repeating: byte, count: length)
    for index in 0..<min(length, 16) { value[index] = UInt8(truncatingIfNeeded: random.next()) }
    return Bytes(value)
  }

  mutating func run(operationCount: Int) throws {
    for step in 0..<operationCount {
      do { try operate() } catch {
        throw Disagreement(description: "at operation \(step): \(error)")
      }
    }
    try compareAll()
    try reopen(killed: true)
    try compareAll()
    snapshots = []
    try store.blocking.close()
  }

  /// - Parameter whileMoving: slots are on their way, by the same thread, which must not wait for
  ///   them.
  private mutating func operate(whileMoving: Bool = false) throws {
    let space = draw(4) == 0 ? 1 : 0
    let blocking = store.blocking
    switch draw(1000) {
    case 966..<972 where whileMoving, 977..<980 where whileMoving: break
    case 0..<380:
      let (key, value) = (drawKey(), drawValue())
      try blocking.put(key, value, in: keyspace(space), durability: drawDurability())
      model[space][key] = value
    case 380..<500:
      let key = drawKey()
      try blocking.delete(key, in: keyspace(space), durability: drawDurability())
      model[space][key] = nil
    case 500..<510: try deleteRange(space)
    case 510..<600: try commitBatch()
    case 600..<850: try checkGet(space)
    case 850..<930: try checkScan(space, from: nil)
    case 930..<960: try useSnapshots(space)
    case 960..<966: try blocking.flush()
    case 966..<968: try blocking.compact()
    case 968..<972: try reopen(killed: draw(2) == 0)
    case 972..<974: try compareAll()
    case 974..<976: machine.clock.advance(by: 2_000_000_000)
    case 976..<977: try recreateKeyspace()
    case 977..<980: try reshard()
    default: try checkGet(space)
    }
  }

  private func drawDurability() -> Durability { draw(10) == 0 ? .synced : .buffered }

  private func drawRange() -> KeyRange {
    switch draw(5) {
    case 0: return .all
    case 1: return KeyRange(from: drawKey())
    case 2: return KeyRange(to: drawKey())
    case 3: return .prefix(Bytes(Array(drawKey().array.prefix(1 + draw(6)))))
    default:
      let (one, other) = (drawKey(), drawKey())
      return KeyRange(from: min(one, other), to: max(one, other))
    }
  }

  private func holds(_ range: KeyRange, _ key: Bytes) -> Bool {
    if let from = range.from, key < from { return false }
    if let to = range.to, key >= to { return false }
    return true
  }

  private mutating func deleteRange(_ space: Int) throws {
    let range = drawRange()
    try store.blocking.deleteRange(range, in: keyspace(space))
    model[space] = model[space].filter { !holds(range, $0.key) }
  }

  private mutating func commitBatch() throws {
    var batch = Store.Batch()
    for _ in 0..<(1 + draw(20)) {
      let (space, key) = (draw(2), drawKey())
      switch draw(8) {
      case 0, 1:
        batch.delete(key, in: try keyspace(space))
        model[space][key] = nil
      case 2 where draw(10) == 0:
        let range = drawRange()
        batch.deleteRange(range, in: try keyspace(space))
        model[space] = model[space].filter { !holds(range, $0.key) }
      default:
        let value = drawValue()
        batch.put(key, value, in: try keyspace(space))
        model[space][key] = value
      }
    }
    if draw(2) == 0 {
      try store.blocking.commit(batch, durability: drawDurability())
    } else {
      try store.blocking.commit(&batch, durability: drawDurability())
    }
  }

  private func checkGet(_ space: Int) throws {
    let key = drawKey()
    let found = try store.blocking.get(key, in: keyspace(space))
    guard found == model[space][key] else {
      throw Disagreement(
        description: "get \(key) gave \(String(describing: found?.count)) bytes,"
          + " expected \(String(describing: model[space][key]?.count))")
    }
  }

  private func checkScan(_ space: Int, from snapshot: HeldSnapshot?) throws {
    let range = drawRange()
    let reverse = draw(2) == 0
    let limit = draw(3) == 0 ? draw(50) : nil
    let contents = snapshot?.contents ?? model[space]
    var expected = contents.filter { holds(range, $0.key) }.map { Entry(key: $0, value: $1) }
      .sorted { $0.key < $1.key }
    if reverse { expected.reverse() }
    if let limit { expected = Array(expected.prefix(limit)) }
    let name = try keyspace(space)
    let scan =
      try snapshot?.snapshot.blockingScan(range, in: name, reverse: reverse, limit: limit)
      ?? store.blocking.scan(range, in: name, reverse: reverse, limit: limit)
    var found: [Entry] = []
    while let entry = try scan.next() { found.append(entry) }
    guard found == expected else {
      let index = zip(found, expected).prefix { $0 == $1 }.count
      throw Disagreement(
        description: "scan \(range) reverse \(reverse) limit \(String(describing: limit)) gave"
          + " \(found.count) entries, expected \(expected.count); they differ at \(index):"
          + " \(found.dropFirst(index).first?.key.description ?? "end") and"
          + " \(expected.dropFirst(index).first?.key.description ?? "end")")
    }
  }

  private mutating func useSnapshots(_ space: Int) throws {
    if snapshots.count < 4 && draw(2) == 0 {
      snapshots.append(
        HeldSnapshot(store.snapshot(), model[space], keyspace: space))
      return
    }
    guard !snapshots.isEmpty else { return }
    let index = draw(snapshots.count)
    let held = snapshots[index]
    try checkScan(held.keyspace, from: held)
    let key = drawKey()
    guard
      try held.snapshot.get(key, in: keyspace(held.keyspace)) == held.contents[key]
    else { throw Disagreement(description: "a snapshot's get of \(key)") }
    if draw(3) == 0 { snapshots.remove(at: index) }
  }

  private mutating func recreateKeyspace() throws {
    snapshots.removeAll { $0.keyspace == 1 }
    try store.blocking.dropKeyspace("other")
    model[1] = [:]
    _ = try store.blocking.createKeyspace("other", partitioning: partitioning)
  }

  /// Moves slots, with other operations and a scan that was begun before in between.
  private mutating func reshard() throws {
    let change = try ShardChange.drawn(for: store, draw)
    let expected = model[0].sorted { $0.key < $1.key }.map { Entry(key: $0, value: $1) }
    let scan = try store.blocking.scan()
    var found: [Entry] = []
    var failure: (any Error)?
    let before = model
    do throws(StoreError) {
      try store.blocking.reshard(change) { _ throws(StoreError) in
        do {
          for _ in 0..<draw(30) {
            try operate(whileMoving: true)
            if let entry = try scan.next() { found.append(entry) }
          }
        } catch { failure = failure ?? error }
      }
    } catch { failure = failure ?? error }
    if let failure { throw Disagreement(description: "\(change), \(before[0].count): \(failure)") }
    while let entry = try scan.next() { found.append(entry) }
    guard found == expected else {
      throw Disagreement(
        description: "\(change): a scan from before gave \(found.count) of \(expected.count)")
    }
    if draw(4) == 0 { try requireSettled() }
  }

  /// After a compaction no shard holds what is another's.
  private func requireSettled() throws {
    try store.blocking.compact()
    guard try store.blocking.statistics().isSettled else {
      throw Disagreement(description: "a shard holds what is another's after a compaction")
    }
    if let finding = try machine.verify().first(where: { $0.severity == .damage }) {
      throw Disagreement(description: "after resharding: \(finding)")
    }
  }

  private mutating func reopen(killed: Bool) throws {
    snapshots = []
    if killed { store.engine.abandon() } else { try store.blocking.close() }
    var options = options
    options.shardCount = nil
    store = try machine.open(options, mode: .existing)
  }

  private func compareAll() throws {
    for space in 0...1 {
      let expected = model[space].sorted { $0.key < $1.key }
      for reverse in [false, true] {
        let scan = try store.blocking.scan(in: keyspace(space), reverse: reverse)
        var found: [Entry] = []
        while let entry = try scan.next() { found.append(entry) }
        if reverse { found.reverse() }
        guard found == expected.map({ Entry(key: $0, value: $1) }) else {
          throw Disagreement(
            description: "keyspace \(space) holds \(found.count) entries,"
              + " expected \(expected.count) (reverse: \(reverse))")
        }
      }
    }
  }
}
