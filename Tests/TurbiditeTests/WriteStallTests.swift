// WriteStallTests — a writer that waits for memory goes on when there is some.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Writers that wait for memory")
struct WriteStallTests {
  static func options(shards: Int, budget: Int) -> Store.Options {
    var options = Store.Options(shardCount: shards)
    options.memoryBudgetByteCount = budget
    return options
  }

  @Test("a batch that fills the memtables of many shards at once does not stop the next commit")
  func largeBatch() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: Self.options(shards: 16, budget: 8 << 20))
    let value = Bytes([UInt8](repeating: 7, count: 1000))
    // Well over one and a half times what all memtables may take.
    try store.blocking.write { batch in
      for number in 0..<8_000 { batch.put(Bytes("key\(number)"), value) }
    }
    try store.blocking.put("next", "there")
    #expect(try store.blocking.get("next") == "there")
    try store.blocking.close()
  }

  @Test("a compaction holds no memtable: its room is free as soon as it is flushed")
  func notHeldByCompaction() throws {
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open(FullDiskTests.options)
    for round in 0..<2 {
      for number in 0..<9 { try store.blocking.put(Bytes("key\(number)"), Bytes("value \(round)")) }
      try store.blocking.flush()
    }
    try store.blocking.put("key", "in a memtable while the compaction is planned")
    let engine = store.engine
    let tree = try #require(engine.allTrees.first { $0.version.levels[0].count == 2 })
    let scheduler = try #require(engine.environment.scheduler as? SeededScheduler)
    scheduler.isPaused = true
    tree.work.withLock { $0.isFullCompactionWanted = true }
    engine.considerWork(tree)
    try store.blocking.flush()
    #expect(tree.work.withLock { $0.isCompacting }, "flushes go first")
    #expect(tree.version.levels[0].count == 3)
    #expect(engine.budget.memtableByteCount == 0)
    scheduler.isPaused = false
    store.blocking.waitUntilIdle()
    #expect(try store.blocking.get("key") == "in a memtable while the compaction is planned")
    try store.blocking.close()
  }

  @Test("who waits for the flush of memtables does not hold them")
  func notHeldByWaiting() throws {
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open(FullDiskTests.options)
    try store.blocking.put("key", "value")
    let engine = store.engine
    let tree = try #require(engine.allTrees.first { $0.version.active != nil })
    let scheduler = try #require(engine.environment.scheduler as? SeededScheduler)
    scheduler.isPaused = true
    try engine.exclusively { () throws(StoreError) in engine.freeze(tree) }
    let waited = FrozenMemtables(tree)
    #expect(!waited.areFlushed)
    try engine.waitForFlush(of: [waited])
    scheduler.runUntilIdle()
    #expect(waited.areFlushed)
    #expect(engine.budget.memtableByteCount == 0)
    try store.blocking.close()
  }

  @Test(
    "what only a scan holds does not stop a commit, up to a share of the budget",
    arguments: [(220, false), (300, true)])
  func pastTheRoom(count: Int, isTooMuch: Bool) throws {
    let machine = SimulatedMachine(seed: 1)
    var options = FullDiskTests.options
    options.memtableByteCount = 256 << 10
    let store = try machine.open(options)
    let budget = store.engine.budget
    let scheduler = try #require(store.engine.environment.scheduler as? SeededScheduler)
    let value = Bytes([UInt8](repeating: 7, count: 1000))
    scheduler.isPaused = true
    for part in 0..<2 {
      try store.blocking.write { batch in
        for number in 0..<count { batch.put(Bytes("key\(part)/\(number)"), value) }
      }
    }
    let scan = try store.blocking.scan()
    scheduler.isPaused = false
    try store.blocking.flush()
    let held = budget.memtableByteCount
    #expect(held >= budget.memtableShare)
    #expect((held >= budget.heldMemtableShare) == isTooMuch)
    let before = machine.clock.monotonicNanoseconds()
    if isTooMuch {
      let error = #expect(throws: StoreError.self) { try store.blocking.put("key", value) }
      guard case .resourceExhausted? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    } else {
      try store.blocking.put("key", value)
      let passed = machine.clock.monotonicNanoseconds() - before
      #expect(passed < 1_000_000_000, "nobody was waited for")
    }
    #expect(try scan.next()?.key == "key0/0")
    #expect(budget.memtableByteCount < held, "a step lets go of what was flushed")
    try store.blocking.put("key", value)
    try store.blocking.close()
  }

  @Test("slots move beside a writer that fills its memtables, and both come to an end")
  func reshardingBesideWriter() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: Self.options(shards: 1, budget: 8 << 20))
    let counter = Counter()
    let done = startWriter(store, count: 20_000, counter)
    for shardCount in 2...3 {
      let written = counter.value.load(ordering: .relaxed)
      while counter.value.load(ordering: .relaxed) < min(written + 3_000, 20_000) {
        Thread.sleep(forTimeInterval: 0.001)
      }
      try store.blocking.reshard(.add)
      #expect(store.engine.shardCount == shardCount)
    }
    done.wait()
    #expect(try store.blocking.scan().count() == 20_000)
    try store.blocking.close()
  }

  @Test("a compaction by key beside appends ends, and so do they")
  func sweepBesideAppends() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: Self.options(shards: 1, budget: 8 << 20))
    let stream = try store.blocking.createStream("s", partitionCount: 1)
    let value = Bytes([UInt8](repeating: 7, count: 1000))
    let (isOver, appended) = (Counter(), Counter())
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      do {
        var number = 0
        while isOver.value.load(ordering: .relaxed) == 0 {
          var batch = Store.Batch()
          for _ in 0..<100 {
            number += 1
            batch.append(NewEvent(value, key: Bytes("key\(number % 500)")), to: stream)
          }
          try store.blocking.commit(&batch)
          appended.value.store(number, ordering: .relaxed)
        }
      } catch {
        appended.value.store(.max, ordering: .relaxed)
        Issue.record("\(error)")
      }
      done.signal()
    }
    thread.start()
    var removedCount = 0
    for round in 1...12 {
      while appended.value.load(ordering: .relaxed) < round * 4_000 {
        Thread.sleep(forTimeInterval: 0.001)
      }
      removedCount += try store.blocking.compact(stream, by: KeyCompaction())
    }
    isOver.value.store(1, ordering: .relaxed)
    done.wait()
    #expect(removedCount > 0)
    try store.blocking.close()
  }

  @Test("scans that hold memtables hold writers up, and no longer than they live")
  func heldByScans() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: Self.options(shards: 1, budget: 32 << 20))
    let count = 100_000
    let counter = Counter()
    let done = startWriter(store, count: count, counter)
    // Two scans hold the memtables of two moments, of which no room is left for a third.
    var scans: [Scan] = []
    for moment in [6_000, 13_000] {
      while counter.value.load(ordering: .relaxed) < moment { Thread.sleep(forTimeInterval: 0.001) }
      scans.append(try store.blocking.scan())
    }
    // Until nothing moves any more, in the background either: what would wake the writer by chance.
    var (last, idleCount) = (0, 0)
    while counter.value.load(ordering: .relaxed) < count, idleCount < 40 {
      let now = counter.value.load(ordering: .relaxed)
      idleCount = now == last ? idleCount + 1 : 0
      last = now
      Thread.sleep(forTimeInterval: 0.1)
    }
    #expect(counter.value.load(ordering: .relaxed) < count, "the scans held the writer up")
    scans = []
    done.wait()
    #expect(counter.value.load(ordering: .relaxed) == count)
    try store.blocking.close()
  }

  /// Puts keys on a thread of its own, and counts them; signals when it has ended.
  private func startWriter(_ store: Store, count: Int, _ counter: Counter) -> DispatchSemaphore {
    let value = Bytes([UInt8](repeating: 7, count: 1000))
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      do {
        for number in 0..<count {
          try store.blocking.put(Bytes("key\(number)"), value)
          counter.value.add(1, ordering: .relaxed)
        }
      } catch { Issue.record("\(error)") }
      done.signal()
    }
    thread.start()
    return done
  }

  private final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }
}
