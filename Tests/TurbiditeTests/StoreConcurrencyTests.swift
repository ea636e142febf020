// StoreConcurrencyTests — many threads and tasks on one store, on a real disk.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// Writers, readers, scans, snapshots, flushes and compactions at once keep every promise.
///
/// Method: threads with small memtables, so that background work is always under way; what each
/// thread reads must follow from what was committed. Run under ThreadSanitizer as well.
@Suite("Store concurrency")
struct StoreConcurrencyTests {
  private func options() -> Store.Options {
    var options = Store.Options(shardCount: 3)
    options.memtableByteCount = 32 << 10
    options.tableByteCount = 32 << 10
    options.memoryBudgetByteCount = 2 << 20
    options.logByteCount = 256 << 10
    return options
  }

  /// Runs bodies on threads of their own and waits for all; their failures come back.
  private func onThreads(_ bodies: [@Sendable () throws -> Void]) -> [String] {
    let failures = Failures()
    let group = DispatchGroup()
    for body in bodies {
      group.enter()
      let thread = Thread {
        do { try body() } catch { failures.add("\(error)") }
        group.leave()
      }
      thread.stackSize = 1 << 20
      thread.start()
    }
    group.wait()
    return failures.all
  }

  private final class Failures: Sendable {
    private let list = Mutex<[String]>([])
    func add(_ failure: String) { list.withLock { $0.append(failure) } }
    var all: [String] { list.withLock { $0 } }
  }

  private struct Broken: Error { var what: String }

  /// Several times, as one time may meet no reader between the halves of a batch.
  @Test(
    "batches are whole for every reader, and nobody reads time running backward",
    arguments: 0..<8)
  func batchesAreWhole(_: Int) throws {
    let directory = ScratchDirectory()
    let store = try Store.Blocking.open(at: directory.file("store"), options: options())
    let rounds = environmentCount("TURBIDITE_CONCURRENCY_ROUNDS", default: 400)
    let isDone = Atomic<Bool>(false)
    let writers: [@Sendable () throws -> Void] = (0..<2).map { writer in
      {
        for round in 1...rounds {
          // One number under four keys that lie in different shards.
          var batch = Store.Batch()
          for part in 0..<4 { batch.put(Bytes("w\(writer)/p\(part)"), Bytes("\(round)")) }
          batch.put(Bytes("w\(writer)/log/\(round)"), Bytes(String(repeating: "x", count: 300)))
          if round > 50 { batch.delete(Bytes("w\(writer)/log/\(round - 50)")) }
          try store.blocking.commit(batch, durability: round % 40 == 0 ? .synced : .buffered)
          // A writer reads what it wrote.
          let own = try store.blocking.get(Bytes("w\(writer)/p0"))
          guard own == Bytes("\(round)") else { throw Broken(what: "own write of \(round)") }
        }
      }
    }
    let readers: [@Sendable () throws -> Void] = (0..<2).map { reader in
      {
        var last = [0, 0]
        while !isDone.load(ordering: .acquiring) {
          for writer in 0..<2 {
            let snapshot = store.snapshot()
            var seen: Set<String> = []
            for part in 0..<4 {
              let value = try snapshot.get(Bytes("w\(writer)/p\(part)"))
              seen.insert(value?.text ?? "none")
            }
            guard seen.count == 1, let text = seen.first else {
              throw Broken(what: "half a batch: \(seen)")
            }
            let number = Int(text) ?? 0
            guard number >= last[writer] else { throw Broken(what: "\(number) after \(last)") }
            last[writer] = number
            let scan = try snapshot.blockingScan(
              .prefix(Bytes("w\(writer)/log/")), reverse: reader == 1)
            let count = try scan.count()
            guard count == min(number, 50) else {
              throw Broken(what: "\(count) log entries at round \(number)")
            }
          }
        }
      }
    }
    let keeper: @Sendable () throws -> Void = {
      while !isDone.load(ordering: .acquiring) {
        try store.blocking.flush()
        try store.blocking.compact()
        _ = try store.blocking.statistics()
      }
    }
    let finished: @Sendable () throws -> Void = {
      defer { isDone.store(true, ordering: .releasing) }
      let failures = onThreads(writers)
      if let first = failures.first { throw Broken(what: first) }
    }
    #expect(onThreads(readers + [keeper, finished]) == [])
    try store.blocking.close()
  }

  /// Who plans a compaction must not look at the tree before it knows that none is running.
  @Test("many threads that ask for compactions plan each from what the last one left")
  func planning() throws {
    let directory = ScratchDirectory()
    let store = try Store.Blocking.open(at: directory.file("store"), options: options())
    let rounds = 8 * environmentCount("TURBIDITE_CONCURRENCY_ROUNDS", default: 400)
    let isDone = Atomic<Bool>(false)
    let writer: @Sendable () throws -> Void = {
      defer { isDone.store(true, ordering: .releasing) }
      for round in 0..<rounds {
        for key in 0..<8 { try store.blocking.put(Bytes("\(key)"), Bytes("\(round)")) }
        try store.blocking.flush()
      }
    }
    let keepers: [@Sendable () throws -> Void] = (0..<6).map { _ in
      { while !isDone.load(ordering: .acquiring) { try store.blocking.compact() } }
    }
    #expect(onThreads(keepers + [writer]) == [])
    for key in 0..<8 {
      #expect(try store.blocking.get(Bytes("\(key)")) == Bytes("\(rounds - 1)"))
    }
    try store.blocking.close()
  }

  /// Events of threads that wait in line are numbered in their own batches, which come back.
  @Test("a batch that was refused is whole, also where it waited in line, and is stored once")
  func refusedInLine() throws {
    let disk = SimulatedDisk()
    let writes = Atomic<Int>(0)
    let environment = EngineEnvironment(
      fileSystem: disk, clock: SystemClock(), random: SeededRandom(seed: 1),
      scheduler: try ThreadScheduler(threadCount: 2), threads: IOThreads(count: 2))
    let store = try Store.open(
      on: StoreMachine(environment: environment, processorCount: 2), name: "memory",
      mode: .openOrCreate, options: Store.Options(shardCount: 1))
    let stream = try store.blocking.createStream("events", partitionCount: 1)
    disk.faultPlan = { operation, _ in
      guard operation.path.hasPrefix("log/"), operation.systemName == "pwrite" else { return nil }
      let count = writes.add(1, ordering: .relaxed).newValue
      return count.isMultiple(of: 7) ? .error(28) : nil
    }
    let (threadCount, rounds) = (4, environmentCount("TURBIDITE_CONCURRENCY_ROUNDS", default: 400))
    let refusals = Atomic<Int>(0)
    let writers: [@Sendable () throws -> Void] = (0..<threadCount).map { writer in
      {
        var batch = Store.Batch()
        for round in 0..<rounds {
          let text = "\(writer)/\(round)"
          batch.append(NewEvent(Bytes(text)), to: stream)
          batch.put(Bytes(text), Bytes(text))
          while true {
            do throws(StoreError) {
              let positions = try store.blocking.commit(&batch)
              #expect(positions.count == 1)
              break
            } catch .outOfSpace { refusals.add(1, ordering: .relaxed) }
          }
        }
      }
    }
    #expect(onThreads(writers) == [])
    disk.faultPlan = nil
    #expect(refusals.load(ordering: .relaxed) > 0)
    var next = Array(repeating: 0, count: threadCount)
    var offset: UInt64 = 0
    let events = try store.blocking.events(of: stream, partition: 0)
    while let event = try events.next() {
      #expect(event.position.offset == offset)
      let parts = try #require(event.value.text).split(separator: "/").compactMap { Int($0) }
      #expect(parts == [parts[0], next[parts[0]]])
      next[parts[0]] += 1
      offset += 1
    }
    #expect(next == Array(repeating: rounds, count: threadCount))
    #expect(try store.blocking.scan().count() == threadCount * rounds)
    try store.blocking.close()
  }

  @Test("a thousand tasks commit durably, and all of it is there after a reopening")
  func tasks() async throws {
    let directory = ScratchDirectory()
    let path = directory.file("store")
    let store = try await Store.open(at: path, options: options())
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<1000 {
        group.addTask {
          try await store.put(
            Bytes("task/\(number)"), Bytes("\(number)"),
            durability: number % 2 == 0 ? .synced : .buffered)
          let found = try await store.get(Bytes("task/\(number)"))
          if found != Bytes("\(number)") { throw Broken(what: "task \(number)") }
        }
      }
      try await group.waitForAll()
    }
    try await store.close()
    let again = try await Store.open(at: path, mode: .existing)
    var count = 0
    for try await entry in again.scan(prefix: "task/").reversed() {
      #expect(entry.key.text == "task/\(entry.value)")
      count += 1
    }
    #expect(count == 1000)
    try await again.close()
    await #expect(throws: StoreError.closed) { try await again.put("a", "b") }
  }

  @Test("a cancelled task's commit throws before anything is written")
  func cancellation() async throws {
    let directory = ScratchDirectory()
    let store = try await Store.open(at: directory.file("store"), options: options())
    let task = Task {
      while !Task.isCancelled { await Task.yield() }
      try await store.put("cancelled", "yes")
    }
    task.cancel()
    await #expect(throws: StoreError.cancelled) { try await task.value }
    #expect(try await store.get("cancelled") == nil)
    try await store.close()
  }

  /// Threads begin one after the other while somebody leads, so that their commits make a group.
  @Test("where a partition's end cannot be read, who appends to it fails, and nobody beside")
  func damagedEnd() throws {
    let machine = SimulatedMachine(seed: 3)
    var options = Store.Options(shardCount: 1)
    options.compresses = false
    var store = try machine.open(options)
    var stream = try store.blocking.createStream("clicks", partitionCount: 1)
    for _ in 0..<200 {
      try store.blocking.append(NewEvent(Bytes([UInt8](repeating: 7, count: 100))), to: stream)
    }
    try store.blocking.flush()
    let table = try #require(stream.state.trees[0].version.levels.joined().first)
    let index = try table.open().index
    let (path, offset) = (table.path, Int(index.handle(index.count - 1).offset))
    try store.blocking.close()
    try machine.disk.corrupt(path, at: offset + 20, xor: 0x55)
    store = try machine.open(options, mode: .existing)
    stream = try store.blocking.stream("clicks")
    let (blocking, damaged) = (store.blocking, stream)
    let failures = Mutex<[String]>([])
    let group = DispatchGroup()
    func start(_ body: @escaping @Sendable () throws -> Void) {
      group.enter()
      Thread.detachNewThread {
        do { try body() } catch { failures.withLock { $0.append("\(error)") } }
        group.leave()
      }
      Thread.sleep(forTimeInterval: 0.1)
    }
    try store.engine.exclusively { () throws(StoreError) in
      start { try blocking.put("a", "1") }
      start { try blocking.append(NewEvent("x"), to: damaged) }
      start { try blocking.put("b", "2") }
    }
    group.wait()
    let found = failures.withLock { $0 }
    #expect(found.count == 1)
    #expect(found.first?.contains(path) == true)
    #expect(try store.blocking.get("a") == "1")
    #expect(try store.blocking.get("b") == "2")
    store.engine.abandon()
  }

  /// The system gives the thread that begins a new segment of the log no time until the store was
  /// opened again: what came then was acknowledged and lost.
  @Test("what is acknowledged beside a close is there after the next opening", arguments: 0..<12)
  func closeBesideCommits(_: Int) throws {
    let directory = ScratchDirectory()
    let path = directory.file("store")
    let isClosing = Atomic<Bool>(false)
    let isReopened = Atomic<Bool>(false)
    let system = WatchedFileSystem(
      try PosixFileSystem.createRoot(path),
      onCreate: { name in
        guard name.hasPrefix("log/"), isClosing.load(ordering: .acquiring) else { return }
        for _ in 0..<300 where !isReopened.load(ordering: .acquiring) { usleep(1000) }
      })
    let machine = StoreMachine(
      environment: EngineEnvironment(
        fileSystem: system, clock: SystemClock(), random: SystemRandom(),
        scheduler: try ThreadScheduler(threadCount: 2), threads: IOThreads(count: 2)),
      processorCount: 2)
    let store = try Store.open(
      on: machine, name: path, mode: .openOrCreate, options: Store.Options())
    let acknowledged = Mutex<[Bytes]>([])
    let writers = (0..<3).map { writer in
      { @Sendable in
        for number in 0... {
          let key = Bytes("\(writer)/\(number)")
          do throws(StoreError) {
            try store.blocking.put(key, "x", durability: writer == 0 ? .synced : .buffered)
          } catch {
            if case .closed = error { return }
            throw error
          }
          acknowledged.withLock { $0.append(key) }
        }
      }
    }
    let closer = { @Sendable in
      usleep(20_000)
      isClosing.store(true, ordering: .releasing)
      try store.blocking.close()
      let again = try Store.Blocking.open(at: path, mode: .existing)
      try again.blocking.put("again", "1", durability: .synced)
      isReopened.store(true, ordering: .releasing)
      usleep(20_000)
      try again.blocking.put("again", "2", durability: .synced)
      try again.blocking.close()
    }
    #expect(onThreads(writers + [closer]).isEmpty)
    let last = try Store.Blocking.open(at: path, mode: .existing)
    let missing = try acknowledged.withLock { $0 }.filter { try last.blocking.get($0) == nil }
    #expect(missing.isEmpty)
    #expect(try last.blocking.get("again") == "2")
    try last.blocking.close()
  }

  /// The lock was given back while a commit wrote the log, which the next opening had read then.
  @Test("a store that is let go beside a commit is locked until that is through")
  func letGoBesideCommit() throws {
    let directory = ScratchDirectory()
    let path = directory.file("store")
    let (isWriting, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let system = WatchedFileSystem(
      try PosixFileSystem.createRoot(path),
      onCreate: { name in
        guard name.hasPrefix("log/") else { return }
        isWriting.signal()
        mayGoOn.wait()
      })
    var store: Store? = try Store.open(
      on: StoreMachine(
        environment: EngineEnvironment(
          fileSystem: system, clock: SystemClock(), random: SystemRandom(),
          scheduler: try ThreadScheduler(threadCount: 2), threads: IOThreads(count: 2)),
        processorCount: 2),
      name: path, mode: .openOrCreate, options: Store.Options())
    let isThrough = DispatchSemaphore(value: 0)
    do {
      let engine = Mutex(store?.engine)
      Thread.detachNewThread {
        var batch = EncodedBatch()
        _ = batch.put(keyspace: 0, key: Bytes("key").array.span.bytes, value: "x".utf8.span.bytes)
        do throws(StoreError) {
          try engine.withLock { $0.take() }?.commit(&batch, synced: false)
        } catch { Issue.record(error) }
        isThrough.signal()
      }
    }
    isWriting.wait()
    store = nil
    #expect(throws: StoreError.locked(path: path)) {
      try Store.Blocking.open(at: path, mode: .existing)
    }
    mayGoOn.signal()
    isThrough.wait()
    let again = try Store.Blocking.open(at: path, mode: .existing)
    #expect(try again.blocking.get("key") == "x")
    try again.blocking.close()
  }

  /// A task was told before the lead was handed over, and a body that had run on another thread kept
  /// the store: one opening in twenty found it locked.
  @Test("a store that is let go behind a commit or a sync can be opened at once")
  func letGoAndOpened() async throws {
    func open(_ body: (Store) async throws -> Void) async throws {
      let store = try await Store.open(at: path)
      try await body(store)
    }
    let directory = ScratchDirectory()
    let path = directory.file("store")
    for number in 0..<60 {
      try await open { try await $0.put(Bytes("key\(number)"), "x", durability: .synced) }
      try await open { try await $0.put(Bytes("key\(number)"), "y") }
      try await open { try await $0.sync() }
    }
    try await open { store in
      let last = try await store.get("key59")
      #expect(last == "y")
    }
  }

  /// It found the store locked by the first.
  @Test("who closes second has the store given back, too", arguments: 0..<12)
  func secondClose(_: Int) throws {
    let directory = ScratchDirectory()
    let path = directory.file("store")
    let store = try Store.Blocking.open(at: path, options: options())
    for number in 0..<400 {
      try store.blocking.put(Bytes("key\(number % 100)"), Bytes([UInt8](repeating: 1, count: 1000)))
    }
    try store.blocking.compact()
    let failures = onThreads([
      { try store.blocking.close() },
      {
        while !store.engine.currentHealth.isClosed { usleep(20) }
        try store.blocking.close()
        try Store.Blocking.open(at: path, mode: .existing).blocking.close()
      },
    ])
    #expect(failures.isEmpty, "\(failures)")
  }
}
