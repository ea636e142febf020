// ReshardingRaceTests — slots move while other work is slow, crowded, or never ends.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// What an independent attempt to break resharding found.
@Suite("Resharding races")
struct ReshardingRaceTests {
  private static func options(_ shardCount: Int) -> Store.Options {
    var options = Store.Options(shardCount: shardCount)
    options.memtableByteCount = 1 << 20
    options.tableByteCount = 32 << 10
    options.memoryBudgetByteCount = 64 << 20
    return options
  }

  /// Holds the thread that creates the first file in a directory, as a slow disk would.
  private final class Gate: Sendable {
    private struct State {
      var directory: String?
      var isReached = false
      var isOpen = false
    }

    private let state = Mutex(State())

    func close(_ directory: String) { state.withLock { $0 = State(directory: directory) } }
    func open() { state.withLock { $0.isOpen = true } }
    var isReached: Bool { state.withLock { $0.isReached } }

    func pass(_ path: String) {
      let isHeld = state.withLock { state -> Bool in
        guard let directory = state.directory, !state.isReached, path.hasPrefix(directory) else {
          return false
        }
        state.isReached = true
        return true
      }
      while isHeld, !state.withLock({ $0.isOpen }) { Thread.sleep(forTimeInterval: 0.002) }
    }
  }

  private func wait(_ isTrue: () -> Bool) throws {
    for _ in 0..<10_000 where !isTrue() { Thread.sleep(forTimeInterval: 0.002) }
    try #require(isTrue())
  }

  private func key(_ number: Int) -> Bytes { Bytes("key \(number)") }

  private func count(_ store: Store) throws -> Int { try store.blocking.scan().count() }

  /// It knows which keys are its shard's by the ring from before.
  @Test(
    "a compaction that lasts from before a change until after it is not trusted",
    .timeLimit(.minutes(2)))
  func slowCompaction() throws {
    // A real disk: the sanitizer sees what orders the threads.
    let scratch = ScratchDirectory()
    let path = scratch.file("store")
    let (first, second) = (Gate(), Gate())
    let fileSystem = WatchedFileSystem(
      try PosixFileSystem.createRoot(path),
      onCreate: { path in
        first.pass(path)
        second.pass(path)
      })
    let environment = EngineEnvironment(
      fileSystem: fileSystem, clock: SystemClock(), random: SeededRandom(seed: 1),
      scheduler: try ThreadScheduler(threadCount: 4), threads: IOThreads(count: 4))
    let store = try Store.open(
      on: StoreMachine(environment: environment, processorCount: 4), name: "memory",
      mode: .openOrCreate, options: Self.options(2))
    let padding = String(repeating: "x", count: 100)
    func fill() throws {
      for number in 0..<6000 { try store.blocking.put(key(number), Bytes("\(number)" + padding)) }
      try store.blocking.flush()
    }
    try fill()
    try store.blocking.compact()
    let routing = store.engine.routing
    let tree = try #require(store.engine.keyspace(named: "")).tree(0)
    first.close("shards/0001")
    try store.blocking.reshard(.add)
    try wait { first.isReached }
    try wait {
      guard let unsettled = routing.value.unsettled, unsettled.below != UnsettledShards.open else {
        return false
      }
      return tree.work.withLock { !$0.isCompacting }
        && tree.version.levels.joined().allSatisfy { $0.metadata.fileNumber >= unsettled.below }
    }
    try fill()
    second.close("shards/0000")
    let isDone = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      do { try store.blocking.compact() } catch { Issue.record(error) }
      isDone.signal()
    }
    try wait { second.isReached }
    first.open()
    try wait { routing.value.unsettled == nil }
    let hasMoved = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      do { try store.blocking.reshard(.add) } catch { Issue.record(error) }
      hasMoved.signal()
    }
    try wait { routing.value.shardCount == 4 }
    second.open()
    hasMoved.wait()
    isDone.wait()
    try store.blocking.compact()
    let statistics = try store.blocking.statistics()
    #expect(statistics.isSettled)
    #expect(statistics.shards.reduce(0) { $0 + $1.entryCount } == 6000)
    for number in 0..<6000 { try store.blocking.delete(key(number)) }
    try store.blocking.compact()
    #expect(try count(store) == 0)
    try store.blocking.close()
    var damage: [Verification.Finding] = []
    _ = try verify(storeAt: path, deep: true) { event throws(StoreError) in
      if case .finding(let finding) = event, finding.severity == .damage { damage.append(finding) }
    }
    #expect(damage == [])
  }

  /// Verbs that wait for the lead hold all of the store's threads for blocking calls.
  @Test("a crowd of tasks that ask for upkeep keeps none from committing", .timeLimit(.minutes(2)))
  func crowd() async throws {
    let scratch = ScratchDirectory()
    let store = try await Store.open(at: scratch.file("store"), options: Self.options(2))
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<8 {
        group.addTask {
          for round in 0..<4 {
            if task % 2 == 0 {
              try await store.flush()
            } else {
              try await store.reshard(round % 2 == 0 ? .rebalance : .add)
            }
          }
        }
        group.addTask {
          for number in 0..<400 { try await store.put(Bytes("\(task) \(number)"), "value") }
        }
      }
      try await group.waitForAll()
    }
    #expect(try count(store) == 8 * 400)
    try await store.close()
  }

  @Test("under writers who never rest one change follows the other", .timeLimit(.minutes(2)))
  func steadyWriters() throws {
    final class End: Sendable { let hasCome = Atomic<Bool>(false) }
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(at: scratch.file("store"), options: Self.options(2))
    let end = End()
    let group = DispatchGroup()
    for writer in 0..<2 {
      group.enter()
      Thread.detachNewThread {
        defer { group.leave() }
        var round = 0
        while !end.hasCome.load(ordering: .acquiring) {
          round += 1
          do {
            var batch = Store.Batch()
            for part in 0..<20 {
              let value = Bytes(String(repeating: "x", count: 200))
              batch.put(Bytes("\(writer) \(round * 7 % 5000) \(part)"), value)
            }
            try store.blocking.commit(batch)
          } catch {
            Issue.record(error)
            return
          }
        }
      }
    }
    for change in [ShardChange.add, .add, .remove(0), .add] { try store.blocking.reshard(change) }
    try store.blocking.settle()
    end.hasCome.store(true, ordering: .releasing)
    group.wait()
    try store.blocking.close()
  }

  @Test("what a full disk put off after a change is done when there is room, or by a compaction")
  func laterRoom() throws {
    for compacts in [true, false] {
      let machine = SimulatedMachine(seed: 3)
      let store = try machine.open(Self.options(2))
      for number in 0..<3000 { try store.blocking.put(key(number), "value") }
      try store.blocking.reshard(.add) { stage throws(StoreError) in
        if stage == .copied {
          for number in 0..<300 { try store.blocking.put(key(number), "other") }
        }
        if stage == .flipped { machine.disk.setSpaceLimit(0) }
      }
      #expect(try !store.blocking.statistics().isSettled)
      machine.disk.setSpaceLimit(nil)
      if compacts {
        try store.blocking.compact()
      } else {
        for number in 0..<40 {
          machine.clock.advance(by: 5_000_000_000)
          try store.blocking.put(key(number), "later")
          store.engine.waitUntilIdle()
        }
      }
      #expect(try store.blocking.statistics().isSettled)
      #expect(store.blocking.health().state == .usable)
      #expect(store.blocking.health().failures.isEmpty)
      #expect(try count(store) == 3000)
    }
  }

  /// A compaction of what has smaller numbers would go on for good.
  @Test("a manifest whose shards are unsettled up to a number that no file has is refused")
  func forgedNumber() throws {
    func isRefused(_ below: UInt64) -> Bool {
      var edit = VersionEdit()
      edit.nextFileNumber = 9
      edit.slots = SlotLayout(
        hashFunction: 1, shardCount: 1, shards: Array(repeating: 0, count: Limits.shardCount))
      edit.unsettled = UnsettledShards(shards: [0], below: below)
      var state = ManifestState()
      do throws(DecodingFailure) {
        try state.apply(
          try edit.encoded().withView { view throws(DecodingFailure) in
            try VersionEdit(decoding: view)
          })
      } catch { return true }
      return false
    }
    for below in [1, 9, UnsettledShards.open] { #expect(!isRefused(below)) }
    for below in [10, 1 << 61, 1 << 62, UnsettledShards.open - 1] { #expect(isRefused(below)) }
  }

  @Test("nobody walks over what a shard without slots still holds")
  func emptiedShard() throws {
    let machine = SimulatedMachine(seed: 3)
    let store = try machine.open(Self.options(2))
    for number in 0..<300 { try store.blocking.put(key(number), "value") }
    let keyspace = try #require(store.engine.keyspace(named: ""))
    func shards() -> [UInt32] {
      let views = store.engine.views(of: keyspace, from: nil, to: nil)
      return keyspace.trees.filter { tree in views.contains { $0.version === tree.version } }
        .map(\.id.shard)
    }
    var seen: [[UInt32]] = []
    try store.blocking.reshard(.remove(0)) { _ throws(StoreError) in seen.append(shards()) }
    #expect(seen == [[0, 1], [0, 1], [1]])
    seen = []
    try store.blocking.reshard(.add) { _ throws(StoreError) in seen.append(shards()) }
    #expect(seen == [[1], [1], [0, 1]])
  }
}
