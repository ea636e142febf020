// CheckpointTests — a second store out of the first, whatever stops in between.

import Foundation
import Synchronization
import Testing
import TurbiditeEngine
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

#if canImport(Glibc)
import Glibc
#endif

/// A checkpoint holds exactly the commits that had returned, is a store of its own, and is there
/// whole or not at all.
@Suite("Checkpoint")
struct CheckpointTests {
  private static var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 4 << 10
    options.tableByteCount = 4 << 10
    options.logByteCount = 64 << 10
    options.memoryBudgetByteCount = 1 << 20
    return options
  }

  private func open(
    _ fileSystem: any FileSystem, seed: UInt64 = 1, mode: Store.Mode = .openOrCreate,
    options: Store.Options = Self.options
  ) throws(StoreError) -> Store {
    let clock = SimulatedClock()
    let environment = EngineEnvironment(
      fileSystem: fileSystem, clock: clock, random: SeededRandom(seed: seed),
      scheduler: SeededScheduler(random: SeededRandom(seed: seed ^ 0x5eed), clock: clock),
      threads: IOThreads(count: 1))
    return try Store.open(
      on: StoreMachine(environment: environment, processorCount: 2), name: "memory", mode: mode,
      options: options)
  }

  private func contents(_ store: Store) throws -> [Bytes: Bytes] {
    var contents: [Bytes: Bytes] = [:]
    let scan = try store.blocking.scan()
    while let entry = try scan.next() { contents[entry.key] = entry.value }
    return contents
  }

  /// The bytes of every file below a directory of a disk in memory.
  private func files(_ disk: SimulatedDisk, below directory: String) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try disk.list(directory) {
      let path = directory.isEmpty ? name : "\(directory)/\(name)"
      if let bytes = disk.contents(path) {
        files[path] = bytes
      } else {
        files.merge(try self.files(disk, below: path)) { one, _ in one }
      }
    }
    return files
  }

  /// Random commits and upkeep, to a store and to a model.
  private func work(
    _ store: Store, _ model: inout [Bytes: Bytes], _ random: SeededRandom, count: Int
  ) throws(StoreError) {
    for _ in 0..<count {
      switch random.below(40) {
      case 0: try store.blocking.flush()
      case 1: try store.blocking.compact()
      case 2:
        let first = Bytes("key\(random.below(80))")
        try store.blocking.deleteRange(KeyRange(from: first, to: Bytes("key9")))
        model = model.filter { $0.key < first || $0.key >= Bytes("key9") }
      case 3..<10:
        let key = Bytes("key\(random.below(80))")
        try store.blocking.delete(key)
        model[key] = nil
      default:
        let key = Bytes("key\(random.below(80))")
        let value = Bytes([UInt8](repeating: UInt8(random.below(256)), count: random.below(300)))
        try store.blocking.put(
          key, value, durability: random.isOne(in: 8) ? .synced : .buffered)
        model[key] = value
      }
    }
  }

  @Test(
    "a checkpoint equals the store at its moment, and neither store changes the other",
    arguments: [UInt64(1), 2, 3, 4])
  func independence(_ seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let disk = SimulatedDisk()
    try disk.createDirectory("store")
    let store = try open(Subdirectory("store", of: disk), seed: seed)
    var model: [Bytes: Bytes] = [:]
    var copies: [(name: String, model: [Bytes: Bytes])] = []
    for round in 0..<4 {
      try work(store, &model, random, count: 60)
      let name = "copy\(round)"
      let report = try store.engine.checkpoint(into: name, of: disk)
      #expect(report.lastSequence == store.engine.visibleSequence)
      copies.append((name, model))
    }
    try work(store, &model, random, count: 60)
    #expect(try contents(store) == model)
    store.engine.abandon()

    // The machine loses power: each checkpoint was durable.
    let after = disk.crashed(.nothingUnsynced)
    let original = try files(after, below: "store")
    for (name, expected) in copies {
      var expected = expected
      let copy = try open(Subdirectory(name, of: after), seed: seed, mode: .existing)
      #expect(try contents(copy) == expected, "seed \(seed), \(name)")
      try work(copy, &expected, random, count: 80)
      #expect(try contents(copy) == expected, "seed \(seed), \(name)")
      try copy.blocking.close()
      #expect(try files(after, below: "store") == original, "seed \(seed), \(name)")
    }
    let copied = try files(after, below: "copy0")
    let reopened = try open(Subdirectory("store", of: after), seed: seed, mode: .existing)
    try work(reopened, &model, random, count: 60)
    try reopened.blocking.close()
    #expect(try files(after, below: "copy0") == copied)
  }

  @Test(
    "a checkpoint from outside equals the store, open, killed and closed, and only reads it",
    arguments: [UInt64(1), 2, 3])
  func standing(_ seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let disk = SimulatedDisk()
    try disk.createDirectory("store")
    try disk.syncDirectory("")
    let source = Subdirectory("store", of: disk)
    var store = try open(source, seed: seed)
    var model: [Bytes: Bytes] = [:]
    for round in 0..<6 {
      try work(store, &model, random, count: 60)
      if round == 2 { store.engine.abandon() }
      if round == 4 { try store.blocking.close() }
      let writes = Mutex<[FileOperation]>([])
      disk.beforeOperation = { operation, _ throws(SystemError) in
        let isOurs = operation.path.hasPrefix("store")
        if case .link = operation.kind { return }
        if operation.changesDisk, isOurs { writes.withLock { $0.append(operation) } }
      }
      let name = "copy\(round)"
      _ = try Engine.checkpoint(of: source, named: "memory", into: name, of: disk)
      disk.beforeOperation = nil
      #expect(writes.withLock { $0 } == [], "seed \(seed), \(name)")
      let after = disk.crashed(.nothingUnsynced)
      let copy = try open(Subdirectory(name, of: after), seed: seed, mode: .existing)
      #expect(try contents(copy) == model, "seed \(seed), \(name)")
      var expected = model
      try work(copy, &expected, random, count: 30)
      #expect(try contents(copy) == expected, "seed \(seed), \(name)")
      if round == 2 || round == 4 { store = try open(source, seed: seed) }
    }
    store.engine.abandon()
  }

  @Test("a checkpoint from outside does not grow with the store's open segment")
  func openSegment() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("store")
    let source = Subdirectory("store", of: disk)
    let store = try open(source)
    try store.blocking.put("a", "1", durability: .synced)
    // Its edit says that all of the log so far is durable, so that nothing but its growth speaks
    // against a link to the segment.
    _ = try store.blocking.createKeyspace("other")
    _ = try Engine.checkpoint(of: source, named: "memory", into: "copy", of: disk)
    try store.blocking.put("b", "2", durability: .synced)
    let copy = try open(Subdirectory("copy", of: disk), mode: .existing)
    #expect(try contents(copy) == ["a": "1"])
  }

  @Test("what was not durable in the store is durable in a checkpoint from outside")
  func unsynced() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("store")
    try disk.syncDirectory("")
    let source = Subdirectory("store", of: disk)
    let store = try open(source)
    try store.blocking.put("a", "1")
    _ = try Engine.checkpoint(of: source, named: "memory", into: "copy", of: disk)
    let after = disk.crashed(.nothingUnsynced)
    let copy = try open(Subdirectory("copy", of: after), mode: .existing)
    #expect(try contents(copy) == ["a": "1"])
    let original = try open(Subdirectory("store", of: after), mode: .existing)
    #expect(try contents(original).isEmpty)
  }

  @Test("a crash during a checkpoint from outside leaves it whole or absent")
  func crashStanding() throws {
    func run(_ stop: Int?) throws -> (SimulatedDisk, [Bytes: Bytes], [Int]) {
      let disk = SimulatedDisk()
      try disk.createDirectory("store")
      try disk.syncDirectory("")
      let store = try open(Subdirectory("store", of: disk), seed: 4)
      var model: [Bytes: Bytes] = [:]
      try work(store, &model, SeededRandom(seed: 4), count: 80)
      let changes = Mutex<[Int]>([])
      disk.beforeOperation = { operation, index throws(SystemError) in
        if operation.changesDisk { changes.withLock { $0.append(index) } }
        if let stop, index >= stop {
          throw SystemError(operation: "crash", path: operation.path, code: EIO)
        }
      }
      do throws(StoreError) {
        _ = try Engine.checkpoint(
          of: Subdirectory("store", of: disk), named: "memory", into: "copy", of: disk)
        #expect(stop == nil)
      } catch {
        #expect(stop != nil, "\(error)")
      }
      store.engine.abandon()
      disk.beforeOperation = nil
      return (disk, model, changes.withLock { $0 })
    }
    let stops = try run(nil).2
    for stop in stops {
      let (disk, model, _) = try run(stop)
      for survival in [Survival.nothingUnsynced, .processKill, .random(UInt64(stop))] {
        let after = disk.crashed(survival)
        guard try after.list("").contains("copy") else { continue }
        let copy = try open(Subdirectory("copy", of: after), seed: 4, mode: .existing)
        #expect(try contents(copy) == model, "operation \(stop), \(survival)")
        copy.engine.abandon()
      }
    }
    #expect(stops.count > 15)
  }

  @Test("keyspaces that are created while a checkpoint reads are a reason to look again")
  func keyspacesMeanwhile() throws {
    let (disk, other) = (SimulatedDisk(), SimulatedDisk())
    let store = try open(disk)
    try store.blocking.put("a", "1")
    let opens = Mutex(0)
    // Between the manifest and the log a keyspace appears, and an entry of it in the log.
    let source = WatchedFileSystem(
      disk,
      onList: { path in
        guard path == "log",
          opens.withLock({
            $0 += 1; return $0
          }) == 1
        else { return }
        do {
          let keyspace = try store.blocking.createKeyspace("late")
          try store.blocking.put("b", "2", in: keyspace)
        } catch {
          Issue.record("\(error)")
        }
      })
    _ = try Engine.checkpoint(of: source, named: "memory", into: "copy", of: other)
    #expect(opens.withLock { $0 } > 1)
    let copy = try open(Subdirectory("copy", of: other), mode: .existing)
    #expect(try copy.blocking.get("b", in: copy.blocking.keyspace("late")) == "2")
  }

  @Test("a checkpoint on another disk is a copy")
  func otherDisk() throws {
    let (disk, other) = (SimulatedDisk(), SimulatedDisk())
    let store = try open(disk)
    var model: [Bytes: Bytes] = [:]
    try work(store, &model, SeededRandom(seed: 9), count: 150)
    let report = try store.engine.checkpoint(into: "copy", of: other)
    #expect(report.linkedByteCount == 0)
    #expect(report.copiedByteCount > 0)
    let after = other.crashed(.nothingUnsynced)
    #expect(try after.list("") == ["copy"])
    let copy = try open(Subdirectory("copy", of: after), mode: .existing)
    #expect(try contents(copy) == model)
  }

  @Test(
    "a crash at any disk operation leaves the store whole, and the checkpoint whole or absent",
    arguments: [UInt64(1), 2])
  func crashEverywhere(_ seed: UInt64) throws {
    /// Runs the script; from `stop` on the disk refuses everything.
    func run(_ stop: Int?) throws -> (SimulatedDisk, [Bytes: Bytes], [Int], Bool) {
      let disk = SimulatedDisk()
      try disk.createDirectory("store")
      try disk.syncDirectory("")
      let store = try open(Subdirectory("store", of: disk), seed: seed)
      var model: [Bytes: Bytes] = [:]
      try work(store, &model, SeededRandom(seed: seed), count: 80)
      // What an interrupted checkpoint left is cleared on the way.
      if seed == 2 {
        _ = try store.engine.checkpoint(into: "copy", of: disk)
        try disk.renameDirectory("copy", to: ".copy.checkpoint")
        try disk.syncDirectory("")
      }
      try store.blocking.sync()
      let changes = Mutex<[Int]>([])
      disk.beforeOperation = { operation, index throws(SystemError) in
        if operation.changesDisk { changes.withLock { $0.append(index) } }
        if let stop, index >= stop {
          throw SystemError(operation: "crash", path: operation.path, code: EIO)
        }
      }
      var isDone = true
      do throws(StoreError) {
        _ = try store.engine.checkpoint(into: "copy", of: disk)
      } catch {
        isDone = false
      }
      store.engine.abandon()
      disk.beforeOperation = nil
      return (disk, model, changes.withLock { $0 }, isDone)
    }
    let whole = try run(nil)
    #expect(whole.3)
    var (checked, complete) = (0, 0)
    for stop in whole.2 {
      let (disk, model, _, isDone) = try run(stop)
      #expect(!isDone)
      for survival in [
        Survival.nothingUnsynced, .processKill, .random(UInt64(stop)), .random(UInt64(stop) << 8),
      ] {
        checked += 1
        let after = disk.crashed(survival)
        let place: Comment = "seed \(seed), operation \(stop), \(survival)"
        let store = try open(Subdirectory("store", of: after), seed: seed, mode: .existing)
        #expect(try contents(store) == model, place)
        if try after.list("").contains("copy") {
          complete += 1
          let copy = try open(Subdirectory("copy", of: after), seed: seed, mode: .existing)
          #expect(try contents(copy) == model, place)
          copy.engine.abandon()
        } else {
          // The rest of the attempt is in nobody's way.
          _ = try store.engine.checkpoint(into: "copy", of: after)
          #expect(try after.list("") == ["copy", "store"], place)
          let copy = try open(Subdirectory("copy", of: after), seed: seed, mode: .existing)
          #expect(try contents(copy) == model, place)
          copy.engine.abandon()
        }
        store.engine.abandon()
      }
    }
    #expect(complete > 0)
    print("checkpoint crash: seed \(seed), \(whole.2.count) operations, \(checked) recoveries")
  }

  @Test("tables that a compaction replaces while they are copied are there until they are")
  func compactionMeanwhile() throws {
    let (disk, other) = (SimulatedDisk(), SimulatedDisk())
    let store = try open(disk)
    var model: [Bytes: Bytes] = [:]
    try work(store, &model, SeededRandom(seed: 7), count: 300)
    let isDone = Mutex(false)
    let watched = WatchedFileSystem(other) { path in
      guard path.hasSuffix(".tsst"), !isDone.withLock({ $0 }) else { return }
      isDone.withLock { $0 = true }
      do {
        try store.blocking.put("afterwards", "1")
        try store.blocking.compact()
        store.engine.waitUntilIdle()
      } catch {
        Issue.record("\(error)")
      }
    }
    let report = try store.engine.checkpoint(into: "copy", of: watched)
    #expect(isDone.withLock { $0 })
    #expect(report.tableCount > 1)
    let copy = try open(Subdirectory("copy", of: other), mode: .existing)
    #expect(try contents(copy) == model)
  }

  @Test("a full disk costs a clear error and leaves nothing behind")
  func full() throws {
    let (disk, other) = (SimulatedDisk(), SimulatedDisk())
    let store = try open(disk)
    var model: [Bytes: Bytes] = [:]
    try work(store, &model, SeededRandom(seed: 3), count: 120)
    other.setSpaceLimit(3000)
    do throws(StoreError) {
      _ = try store.engine.checkpoint(into: "copy", of: other)
      Issue.record("a checkpoint fits where it cannot")
    } catch {
      guard case .outOfSpace = error else {
        Issue.record("\(error)")
        return
      }
    }
    #expect(try other.list("") == [])
    other.setSpaceLimit(nil)
    try work(store, &model, SeededRandom(seed: 4), count: 20)
    _ = try store.engine.checkpoint(into: "copy", of: other)
    let copy = try open(Subdirectory("copy", of: other), mode: .existing)
    #expect(try contents(copy) == model)
  }

  @Test("what is in the way is left alone and named")
  func refusals() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("store")
    let store = try open(Subdirectory("store", of: disk))
    try store.blocking.put("a", "1")
    func refusal(_ name: String) -> StoreError? {
      do throws(StoreError) { _ = try store.engine.checkpoint(into: name, of: disk) } catch {
        return error
      }
      return nil
    }
    _ = try disk.open("file", .create)
    try disk.createDirectory("directory")
    #expect(refusal("file") == .storeExists(path: "file"))
    #expect(refusal("directory") == .storeExists(path: "directory"))
    #expect(refusal("store") == .storeExists(path: "store"))

    // Someone else's file in the place is not removed, nor is anything beside it.
    try disk.createDirectory(".copy.checkpoint")
    try disk.setContents(".copy.checkpoint/MANIFEST-000001", [1])
    try disk.setContents(".copy.checkpoint/letter", [2])
    #expect(refusal("copy") == .storeExists(path: ".copy.checkpoint/letter"))
    #expect(disk.contents(".copy.checkpoint/MANIFEST-000001") == [1])
    try disk.remove(".copy.checkpoint/letter")
    // Another checkpoint to the same name is under way.
    let lock = try disk.open(".copy.checkpoint/LOCK", .readWrite)
    #expect(try lock.tryLock(.exclusive, from: 0, to: 1))
    #expect(refusal("copy") == .locked(path: ".copy.checkpoint"))
    try lock.unlock(from: 0, to: 1)
    #expect(refusal("copy") == nil)
    try store.blocking.close()
    #expect(refusal("other") == .closed)
  }

  @Test("a real checkpoint, while writers and compactions go on, is a prefix of each writer's work")
  func live() throws {
    let scratch = ScratchDirectory()
    var options = Self.options
    options.memtableByteCount = 16 << 10
    options.tableByteCount = 16 << 10
    let store = try Store.Blocking.open(
      at: scratch.file("store"), mode: .create, options: options)
    let writerCount = 3
    let isDone = Mutex(false)
    // What was tried and what was acknowledged, by writer.
    let tried = Mutex([Int](repeating: -1, count: writerCount))
    let acknowledged = Mutex([Int](repeating: -1, count: writerCount))
    let threads = (0..<writerCount).map { writer in
      Thread {
        var number = 0
        while !isDone.withLock({ $0 }) {
          tried.withLock { $0[writer] = number }
          do {
            try store.blocking.write { batch in
              batch.put(Bytes("newest/\(writer)"), Bytes("\(number)"))
              batch.put(
                Bytes("all/\(writer)/\(number)"), Bytes([UInt8](repeating: 7, count: 100)))
            }
          } catch {
            Issue.record("writer \(writer): \(error)")
            return
          }
          acknowledged.withLock { $0[writer] = number }
          number += 1
        }
        acknowledged.withLock { $0[writer] = -2 }
      }
    }
    for thread in threads { thread.start() }
    defer {
      isDone.withLock { $0 = true }
      while !acknowledged.withLock({ $0.allSatisfy { $0 == -2 } }) { usleep(1000) }
    }
    while acknowledged.withLock({ $0.min() ?? 0 }) < 200 { usleep(1000) }
    for round in 0..<8 {
      let before = acknowledged.withLock { $0 }
      let path = scratch.file("copy\(round)")
      // By the process that has it open, and as another one would.
      let report =
        round % 2 == 0
        ? try store.blocking.checkpoint(into: path)
        : try Turbidite.checkpoint(storeAt: scratch.file("store"), into: path)
      let after = tried.withLock { $0 }
      #expect(report.fileCount > 0)
      let copy = try Store.Blocking.open(at: path, mode: .existing, options: options)
      for writer in 0..<writerCount {
        let text = try copy.blocking.get(Bytes("newest/\(writer)")).map { "\($0)" } ?? ""
        let newest = try #require(Int(text))
        #expect((before[writer]...after[writer]).contains(newest), "round \(round)")
        var count = 0
        let scan = try copy.blocking.scan(.prefix(Bytes("all/\(writer)/")), keysOnly: true)
        while try scan.next() != nil { count += 1 }
        #expect(count == newest + 1, "round \(round)")
      }
      try copy.blocking.put("mine", "1", durability: .synced)
      try copy.blocking.close()
    }
    #expect(try store.blocking.get("mine") == nil)
  }

  @Test("the asynchronous verb does the same")
  func asynchronous() async throws {
    let scratch = ScratchDirectory()
    let store = try await Store.open(at: scratch.file("store"))
    try await store.put("a", "1")
    let report = try await store.checkpoint(into: scratch.file("copy"))
    #expect(report.fileCount == 1)
    try await store.put("a", "2")
    let copy = try await Store.open(at: scratch.file("copy"), mode: .existing)
    #expect(try await copy.get("a") == "1")
    try await copy.close()
    try await store.close()
  }

  @Test("a path that cannot be made is refused before anything is touched")
  func paths() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(at: scratch.file("store"))
    func refusal(_ path: String) -> StoreError? {
      do throws(StoreError) { try store.blocking.checkpoint(into: path) } catch { return error }
      return nil
    }
    for path in ["", "/", ".", "..", "a/.."] {
      guard case .invalidArgument = refusal(path) else {
        Issue.record("\(path)")
        continue
      }
    }
    guard case .noStore = refusal(scratch.file("absent/copy")) else {
      Issue.record("a parent that is absent")
      return
    }
    #expect(refusal(scratch.file("store")) == .storeExists(path: scratch.file("store")))
    #expect(refusal(scratch.file("copy") + "/") == nil)
    try store.blocking.close()
    let reader = try Store.Blocking.open(at: scratch.file("store"), mode: .readOnly)
    do throws(StoreError) {
      try reader.blocking.checkpoint(into: scratch.file("other"))
      Issue.record("a read-only store was checkpointed")
    } catch {
      #expect(error == .readOnly)
    }
  }
}
