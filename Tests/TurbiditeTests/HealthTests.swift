// HealthTests — what a store says of itself is so, to its own process and to others.

import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Health")
struct HealthTests {
  private let second: UInt64 = 1_000_000_000

  /// When something was tried.
  private final class Attempts: Sendable {
    let moments = Mutex<[UInt64]>([])
  }

  private func put(_ store: Store, _ key: String, byteCount: Int = 400) throws(StoreError) {
    try store.blocking.put(Bytes(key), Bytes([UInt8](repeating: 7, count: byteCount)))
  }

  /// Lets time pass until the store has looked for work, and lets it do that work.
  private func wait(_ machine: SimulatedMachine, _ store: Store) {
    machine.clock.advance(by: 2 * second)
    store.blocking.waitUntilIdle()
    store.engine.environment.scheduler.operationBoundary()
    _ = store.engine.jobs.runStep { _ in 0 }
  }

  @Test("a store that is well says so, and one that was closed")
  func usable() throws {
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open(FullDiskTests.options)
    #expect(store.health().state == .usable)
    #expect(store.health().suspects.isEmpty && store.health().failures.isEmpty)
    #expect(try writerStatus(machine.disk)?.state == .usable)
    let calls = machine.disk.operationCount
    #expect(store.blocking.health() == store.health())
    #expect(machine.disk.operationCount == calls)
    let reader = try machine.open(mode: .readOnly)
    #expect(reader.health().state == .readOnly(since: nil, cause: .readOnly))
    try store.blocking.close()
    #expect(store.health().state == .closed)
    #expect(try writerStatus(machine.disk) == nil)
  }

  @Test("a full disk pauses writes, which go on by themselves; so does the state")
  func fullDisk() throws {
    let machine = SimulatedMachine(seed: 2)
    let store = try machine.open(FullDiskTests.options)
    machine.clock.advance(by: 5 * second)
    let begin = machine.clock.wallSeconds()
    machine.disk.setSpaceLimit(700_000)
    let (number, refusal) = FullDiskTests.fill(store)
    guard case .outOfSpace = refusal else {
      Issue.record("\(number): \(String(describing: refusal))")
      return
    }
    guard case .paused(let pause) = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
    #expect(pause.reason == refusal)
    #expect(pause.since >= begin && pause.since <= machine.clock.wallSeconds())
    #expect(pause.neededByteCount >= 400 && pause.neededByteCount < 100_000)
    #expect(try #require(pause.nextAttempt) <= machine.clock.wallSeconds() + 2)
    let told = try #require(try writerStatus(machine.disk))
    #expect(told.state == .paused && told.since == pause.since && told.code == 28)
    // Reads go on, and what was refused was not applied.
    for key in [0, number / 2, number - 1] {
      #expect(try store.blocking.get(Bytes("key\(key)")) != nil)
    }
    #expect(try store.blocking.get(Bytes("key\(number)")) == nil)
    // There is room again, and no one writes: the state follows.
    let copy = SimulatedMachine(seed: 2, disk: machine.disk.copy())
    machine.disk.setSpaceLimit(nil)
    for _ in 0..<5 where store.health().state != .usable { wait(machine, store) }
    #expect(store.health().state == .usable, "\(store.health())")
    #expect(try writerStatus(machine.disk)?.state == .usable)
    try put(store, "key\(number)")
    // Elsewhere the next write comes first.
    copy.disk.setSpaceLimit(nil)
    let other = try copy.open(FullDiskTests.options)
    copy.disk.setSpaceLimit(700_000)
    guard case .outOfSpace = FullDiskTests.fill(other, from: number).refusal else {
      Issue.record("the disk is not full")
      return
    }
    copy.disk.setSpaceLimit(nil)
    copy.clock.advance(by: 2 * second)
    try put(other, "later")
    #expect(other.health().state == .usable)
    #expect(try other.blocking.get("later") != nil)
  }

  @Test("a flush that finds no room pauses writes once memory is full, and says what it needs")
  func fullMemory() throws {
    let machine = SimulatedMachine(seed: 3)
    let store = try machine.open(FullDiskTests.options)
    machine.disk.faultPlan = { operation, _ in
      operation.path.hasSuffix(".tsst") && operation.systemName == "pwrite" ? .error(28) : nil
    }
    let (number, refusal) = FullDiskTests.fill(store)
    guard case .outOfSpace(_, let path, 28) = refusal else {
      Issue.record("\(number): \(String(describing: refusal))")
      return
    }
    #expect(path.hasSuffix(".tsst"))
    guard case .paused(let pause) = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
    #expect(pause.neededByteCount > 4000)
    let failure = try #require(store.health().failures.first)
    #expect(failure.work == .flush && failure.error == refusal && failure.nextAttempt != nil)
    machine.disk.faultPlan = nil
    for _ in 0..<5 where store.health().state != .usable { wait(machine, store) }
    #expect(store.health().state == .usable, "\(store.health())")
    #expect(store.health().failures.isEmpty)
    try put(store, "key\(number)")
  }

  @Test("a log that could not be synced makes the store read-only, since then and for that reason")
  func failedSync() throws {
    let machine = SimulatedMachine(seed: 4)
    let store = try machine.open(FullDiskTests.options)
    try put(store, "before")
    machine.clock.advance(by: 7 * second)
    let moment = machine.clock.wallSeconds()
    machine.disk.faultPlan = { operation, _ in
      operation.systemName == "fdatasync" ? .error(5) : nil
    }
    let failure = #expect(throws: StoreError.self) { try store.blocking.sync() }
    machine.disk.faultPlan = nil
    machine.clock.advance(by: 100 * second)
    #expect(throws: StoreError.self) { try put(store, "after") }
    guard case .readOnly(let since, let cause) = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
    #expect(since == moment && cause == failure)
    let told = try #require(try writerStatus(machine.disk))
    #expect(told == WriterStatus(state: .readOnly, since: moment, code: 5))
    #expect(try store.blocking.get("before") != nil)
    #expect(throws: StoreError.self) { try store.blocking.close() }
    #expect(store.health().state == .closed)
    #expect(try writerStatus(machine.disk) == nil)
  }

  @Test("a damaged table that a compaction meets is named, and the other shards are compacted")
  func suspect() throws {
    var options = FullDiskTests.options
    options.shardCount = 2
    let machine = SimulatedMachine(seed: 5)
    let store = try machine.open(options)
    for round in 0..<3 {
      for number in 0..<30 { try put(store, "key\(number)", byteCount: 50 + round) }
      try store.blocking.flush()
    }
    let table = "shards/0000/" + (try #require(try machine.disk.list("shards/0000").first))
    try machine.disk.corrupt(table, at: 70, xor: 1)
    for _ in 0..<2 {
      let failure = #expect(throws: StoreError.self) { try store.blocking.compact() }
      guard case .corrupt(let damage) = failure else {
        Issue.record("\(String(describing: failure))")
        return
      }
      #expect(damage.file == table)
      #expect(store.health().suspects == [damage])
    }
    #expect(store.health().state == .usable)
    #expect(try writerStatus(machine.disk)?.state == .suspect)
    let failure = store.health().failures.first { $0.work == .compaction }
    #expect(failure == nil || failure?.nextAttempt == nil)
    let shards = try store.blocking.statistics().shards
    #expect(shards[0].tableCount >= 3)
    #expect(shards[1].levels.map(\.level) == [Limits.levelCount - 1], "\(shards[1].levels)")
    try put(store, "key1")
    try store.blocking.flush()
  }

  @Test("damage that stops a compaction goes with its keyspace")
  func droppedSuspect() throws {
    let machine = SimulatedMachine(seed: 6)
    let store = try machine.open(FullDiskTests.options)
    let keyspace = try store.blocking.createKeyspace("album")
    for _ in 0..<2 {
      try store.blocking.put("a", "1", in: keyspace)
      try store.blocking.put("b", "2", in: keyspace)
      try store.blocking.flush()
    }
    let table = try #require(try machine.disk.list("shards/0000").first)
    try machine.disk.corrupt("shards/0000/\(table)", at: 70, xor: 1)
    #expect(throws: StoreError.self) { try store.blocking.compact() }
    #expect(store.health().suspects.count == 1)
    try store.blocking.dropKeyspace("album")
    #expect(store.health().suspects.isEmpty && store.health().failures.isEmpty)
    #expect(try writerStatus(machine.disk)?.state == .usable)
  }

  @Test("a compaction that failed is tried again, each time later, and forgotten when it succeeds")
  func retries() throws {
    let machine = SimulatedMachine(seed: 7)
    let store = try machine.open(FullDiskTests.options)
    for round in 0..<2 {
      for number in 0..<9 { try put(store, "key\(number)", byteCount: 50 + round) }
      try store.blocking.flush()
    }
    let (attempted, clock) = (Attempts(), machine.clock)
    machine.disk.faultPlan = { operation, _ in
      guard operation.path.hasSuffix(".tsst"), operation.systemName == "pwrite" else { return nil }
      attempted.moments.withLock { $0.append(clock.wallSeconds()) }
      return .error(28)
    }
    let failed = #expect(throws: StoreError.self) { try store.blocking.compact() }
    let failure = try #require(store.health().failures.first)
    #expect(failure.work == .compaction && failure.error == failed && failure.nextAttempt != nil)
    for _ in 0..<120 {
      machine.clock.advance(by: second)
      for _ in 0..<4 { _ = store.engine.jobs.runStep { _ in 0 } }
    }
    // It needed the reserve at first, which is whole again.
    #expect(store.health().state == .usable)
    let attempts = attempted.moments.withLock { $0 }
    let gaps = zip(attempts.dropFirst(), attempts).map { $0 - $1 }.filter { $0 > 0 }
    #expect(gaps.count > 4 && gaps.count < 16, "\(gaps)")
    #expect(gaps.last == gaps.max(), "\(gaps)")
    machine.disk.faultPlan = nil
    machine.clock.advance(by: 20 * second)
    while case .ran = store.engine.jobs.runStep(choose: { _ in 0 }) {}
    #expect(store.health().failures.isEmpty, "\(store.health())")
  }

  @Test("the byte that tells a state says it again, for every state, code and time")
  func statusBytes() {
    for state in StatusByte.State.allCases {
      for code in [0, 5, 28, 122, 65_535] as [Int32] {
        for since in [0, 1, 1_700_000_000, 1 << 40 - 1] as [UInt64] {
          let status = StatusByte(state: state, code: code, since: since)
          #expect(StatusByte(offset: status.offset) == status)
          #expect(status.offset > Limits.counter + 16 && status.offset < UInt64(Int64.max))
        }
      }
    }
    for offset in [0, 1, 16, 1 << 62, 0x6000_0000_0000_0000, 0x6700_0000_0000_0000] as [UInt64] {
      #expect(StatusByte(offset: offset) == nil)
    }
  }

  @Test("a disk that refuses the lock that tells of a state hinders no read and no close")
  func untold() throws {
    let machine = SimulatedMachine(seed: 8)
    let store = try machine.open(FullDiskTests.options)
    try put(store, "key")
    machine.disk.faultPlan = { operation, _ in
      ["fdatasync", "fcntl"].contains(operation.systemName) ? .error(5) : nil
    }
    #expect(throws: StoreError.self) { try store.blocking.sync() }
    #expect(try store.blocking.get("key") != nil)
    guard case .readOnly = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
  }
}
