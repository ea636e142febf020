// TrimTests — what a trim costs those who come after it: nothing is rewritten, or passed over.

import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Trims")
struct TrimTests {
  /// What a machine's disk did with the files of tables.
  private final class TableTraffic: Sendable {
    let writtenByteCount = Atomic<Int>(0)
    let readCount = Atomic<Int>(0)

    init(of machine: SimulatedMachine) {
      machine.disk.beforeOperation = { operation, _ throws(SystemError) in
        guard operation.path.hasPrefix("shards/") else { return }
        switch operation.kind {
        case .write(_, let count): self.writtenByteCount.add(count, ordering: .relaxed)
        case .read: self.readCount.add(1, ordering: .relaxed)
        default: break
        }
      }
    }

    /// The calls that read while `body` runs.
    func reads(_ body: () throws -> Void) rethrows -> Int {
      let before = readCount.load(ordering: .relaxed)
      try body()
      return readCount.load(ordering: .relaxed) - before
    }
  }

  private static var options: Store.Options {
    var options = Store.Options(shardCount: 1)
    options.memtableByteCount = 64 << 10
    options.tableByteCount = 64 << 10
    options.memoryBudgetByteCount = 2 << 20
    options.compresses = false
    return options
  }

  /// A trim that ends within a table has the rest of that one rewritten, and so up to half of all.
  ///
  /// - Returns: the bytes written to tables for 80 rounds of events, of which the last 20 rounds are kept.
  private func tableByteCount(partitionCount: Int, trims: Bool) throws -> Int {
    let machine = SimulatedMachine(seed: 31)
    let traffic = TableTraffic(of: machine)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("clicks", partitionCount: partitionCount)
    let value = Bytes([UInt8](repeating: 7, count: 500))
    for round in 0..<80 {
      var batch = Store.Batch()
      for index in 0..<100 * partitionCount {
        batch.append(NewEvent(value), to: stream, partition: index % partitionCount)
      }
      try store.blocking.commit(&batch)
      for partition in 0..<partitionCount where trims && round > 20 {
        try store.blocking.trim(stream, partition: partition, before: UInt64((round - 20) * 100))
      }
      store.engine.waitUntilIdle()
    }
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    for partition in 0..<partitionCount where trims {
      #expect(try store.blocking.offsets(of: stream, partition: partition) == 5_900..<8_000)
    }
    try store.blocking.close()
    return traffic.writtenByteCount.load(ordering: .relaxed)
  }

  /// A range tombstone lay in the table of events that came after it, which so overlapped all the
  /// tables of those that stay.
  @Test("events are written to tables once, with trims as without", arguments: [1, 5])
  func writtenOnce(partitionCount: Int) throws {
    let without = try tableByteCount(partitionCount: partitionCount, trims: false)
    let with = try tableByteCount(partitionCount: partitionCount, trims: true)
    #expect(with < without * 3 / 2, "\(with) with trims, \(without) without")
  }

  @Test("a store at rest frees what was trimmed, and its bounds are found without passing over it")
  func bounds() throws {
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    for partition in [0, 1] {
      for _ in 0..<200 {
        var batch = Store.Batch()
        for _ in 0..<100 { batch.append(NewEvent("x"), to: stream, partition: partition) }
        try store.blocking.commit(&batch)
      }
    }
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    let scheduler = try #require(store.engine.environment.scheduler as? SeededScheduler)
    scheduler.isPaused = true
    for partition in [0, 1] {
      try store.blocking.trim(stream, partition: partition, before: partition == 0 ? .max : 19_999)
    }
    store.engine.abandon()
    let again = try machine.open(Self.options, mode: .existing)
    let found = try again.blocking.stream("clicks")
    let paused = try #require(again.engine.environment.scheduler as? SeededScheduler)
    paused.isPaused = true
    let traffic = TableTraffic(of: machine)
    let readCount = try traffic.reads {
      let held = try [0, 1].map { try again.blocking.offsets(of: found, partition: $0) }
      #expect(held == [20_000..<20_000, 19_999..<20_000])
    }
    // Tables are opened with six calls each: 58 calls, and 203 when what is gone is passed over.
    #expect(readCount < 100)
    paused.isPaused = false
    try again.blocking.flush()
    again.engine.waitUntilIdle()
    for _ in 0..<20 {
      machine.clock.advance(by: 5_000_000_000)
      _ = again.engine.jobs.runStep { _ in 0 }
      again.engine.waitUntilIdle()
    }
    let entryCount = found.state.trees.flatMap { $0.version.levels.joined() }
      .reduce(0) { $0 + $1.metadata.summary.entryCount }
    #expect(entryCount <= 10)
    #expect(try again.blocking.offsets(of: found, partition: 1) == 19_999..<20_000)
    try again.blocking.close()
  }

  @Test("a scan does not pass over what is deleted beyond its bounds", arguments: [false, true])
  func scanBounds(reverse: Bool) throws {
    let machine = SimulatedMachine(seed: 2)
    let store = try machine.open(Self.options)
    let width = 20_000
    func key(_ number: Int) -> Bytes { Bytes(String(100_000 + number)) }
    for first in stride(from: 0, to: width, by: 100) {
      try store.blocking.write { batch in
        for number in first..<first + 100 { batch.put(key(number), "x") }
      }
    }
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    let scheduler = try #require(store.engine.environment.scheduler as? SeededScheduler)
    scheduler.isPaused = true
    for number in width / 2 - 4..<width / 2 + 4 { try store.blocking.delete(key(number)) }
    try store.blocking.write { batch in
      batch.deleteRange(KeyRange(from: key(0), to: key(width / 2 - 2)))
      batch.deleteRange(KeyRange(from: key(width / 2 + 2), to: key(width)))
    }
    let traffic = TableTraffic(of: machine)
    let readCount = try traffic.reads {
      let scan = try store.blocking.scan(
        KeyRange(from: key(width / 2 - 4), to: key(width / 2 + 4)), reverse: reverse)
      let entry = try scan.next()
      #expect(entry == nil)
    }
    #expect(readCount < 20, "some fifty where it does")
    scheduler.isPaused = false
    try store.blocking.close()
  }

  /// A shell's loop of `append` filled the first partition.
  @Test("events without a key begin at any partition, and go to each in turn")
  func turns() throws {
    var firsts: Set<Int> = []
    for seed in 0..<32 as Range<UInt64> {
      let store = try SimulatedMachine(seed: seed).open()
      let stream = try store.blocking.createStream("clicks", partitionCount: 4)
      let partitions = try (0..<4).map { _ in
        try store.blocking.append(NewEvent("x"), to: stream).partition
      }
      firsts.insert(partitions[0])
      #expect(Set(partitions) == [0, 1, 2, 3])
      store.engine.abandon()
    }
    #expect(firsts == [0, 1, 2, 3])
  }
}
