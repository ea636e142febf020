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
    var options = RetentionTests.options
    options.shardCount = 1
    return options
  }

  /// The bytes written to tables for 80 rounds of events, of which the last 20 or so are kept.
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
  /// tables of those that stay: 2.6 and 2.9 times the bytes.
  @Test("events are written to tables once, with trims as without", arguments: [1, 5])
  func writtenOnce(partitionCount: Int) throws {
    let without = try tableByteCount(partitionCount: partitionCount, trims: false)
    let with = try tableByteCount(partitionCount: partitionCount, trims: true)
    #expect(with < without * 5 / 4, "\(with) with trims, \(without) without")
  }

  /// Lets time pass, and the store do what it does at rest.
  private func rest(_ machine: SimulatedMachine, _ store: Store) {
    for _ in 0..<20 {
      machine.clock.advance(by: 5_000_000_000)
      _ = store.engine.jobs.runStep { _ in 0 }
      store.engine.waitUntilIdle()
    }
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
    rest(machine, again)
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

  /// Nothing is left that says so: a merge of tombstones with all that they delete makes no table.
  @Test("a repair without a manifest brings nothing back that lies before the recorded start")
  func repairedWithoutManifest() throws {
    let machine = SimulatedMachine(seed: 9)
    let store = try machine.open(Store.Options(shardCount: 1))
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    var batch = Store.Batch()
    for _ in 0..<100 { batch.append(NewEvent("x"), to: stream) }
    try store.blocking.commit(&batch)
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    let events = stream.state.trees[0].version.levels.joined().map(\.path)
    let contents = try events.map { try #require(machine.disk.contents($0)) }
    try store.blocking.trim(stream, partition: 0, before: 100)
    try store.blocking.flush()
    rest(machine, store)
    store.engine.abandon()
    let disk = machine.disk.copy()
    for file in try disk.list("") where file.hasPrefix("MANIFEST") { try disk.remove(file) }
    // The removal was not synced: a power failure brings the file back.
    for (path, bytes) in zip(events, contents) where disk.contents(path) == nil {
      try disk.open(path, .create).write(bytes.span.bytes, at: 0)
    }
    let again = try repaired(disk)
    let found = try again.blocking.stream(try #require(try again.blocking.streams().first))
    #expect(try again.blocking.offsets(of: found, partition: 0) == 100..<100)
    let event = try again.blocking.events(of: found, partition: 0).next()
    #expect(event == nil)
    try again.blocking.close()
  }

  private func repaired(_ disk: SimulatedDisk) throws -> Store {
    let target = SimulatedDisk()
    _ = try Turbidite.repair(
      disk, name: "simulated", into: "new", of: target, random: SeededRandom(seed: 3)
    ) { (_, _) throws(StoreError) in }
    let clock = SimulatedClock()
    let environment = EngineEnvironment(
      fileSystem: Subdirectory("new", of: target), clock: clock, random: SeededRandom(seed: 6),
      scheduler: SeededScheduler(random: SeededRandom(seed: 7), clock: clock),
      threads: IOThreads(count: 1))
    return try Store.open(
      on: StoreMachine(environment: environment, processorCount: 2), name: "simulated",
      mode: .existing, options: Store.Options())
  }

  /// Where a partition begins was looked for in the last events of all partitions.
  @Test("damage in one partition keeps no other from being looked up and appended to")
  func damage() throws {
    let machine = SimulatedMachine(seed: 9)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    let value = Bytes([UInt8](repeating: 7, count: 500))
    for partition in [0, 1] {
      var batch = Store.Batch()
      for _ in 0..<200 { batch.append(NewEvent(value), to: stream, partition: partition) }
      try store.blocking.commit(&batch)
    }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    let table = try #require(stream.state.trees[0].version.levels.joined().last?.path)
    try store.blocking.close()
    let probe = try TableProbe(machine.disk.open(table, .read), identity: nil, failure: nil)
    let index = try #require(probe.index)
    try machine.disk.corrupt(
      table, at: Int(index.handle(index.count - 1).offset) + 100, xor: 0x40)
    let again = try machine.open(Self.options, mode: .existing)
    let found = try again.blocking.stream("clicks")
    #expect(try again.blocking.offsets(of: found, partition: 0) == 0..<200)
    #expect(
      try again.blocking.append(NewEvent("x"), to: found, partition: 0).offset == 200)
    #expect(throws: StoreError.self) {
      try again.blocking.offsets(of: found, partition: 1)
    }
    again.engine.abandon()
  }

  @Test("trims of 64 partitions do not stop writers", arguments: [64, 65])
  func pressure(partitionCount: Int) throws {
    let machine = SimulatedMachine(seed: 5)
    let store = try machine.open(Store.Options(shardCount: 1))
    let stream = try store.blocking.createStream("clicks", partitionCount: partitionCount)
    for _ in 0..<2 {
      var batch = Store.Batch()
      for index in 0..<partitionCount * 10 {
        batch.append(NewEvent("some event"), to: stream, partition: index % partitionCount)
      }
      try store.blocking.commit(&batch)
      try store.blocking.compact()
    }
    store.engine.waitUntilIdle()
    for partition in 0..<partitionCount {
      try store.blocking.trim(stream, partition: partition, before: 10)
    }
    let worst = Atomic<Int>(0)
    let engine = store.engine
    machine.disk.beforeOperation = { _, _ throws(SystemError) in
      worst.max(engine.pressure.worstLevel0Count, ordering: .relaxed)
    }
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    machine.disk.beforeOperation = nil
    #expect(worst.load(ordering: .relaxed) < PressureGauge.level0Slow)
    for partition in 0..<partitionCount {
      #expect(try store.blocking.offsets(of: stream, partition: partition) == 10..<20)
    }
    try store.blocking.close()
  }
}
