// FullDiskTests — a full or damaged disk holds up what it must, and nothing else.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Full disk")
struct FullDiskTests {
  static var options: Store.Options {
    var options = Store.Options(shardCount: 1)
    options.memtableByteCount = 4 << 10
    options.tableByteCount = 4 << 10
    options.logByteCount = 64 << 10
    options.memoryBudgetByteCount = 1 << 20
    options.blockByteCount = 512
    return options
  }

  /// Puts values of `byteCount` under keys from `first` on until one is refused.
  ///
  /// - Returns: the number of the key that was refused, and why.
  static func fill(
    _ store: Store, from first: Int = 0, byteCount: Int = 400, limit: Int = 100_000
  ) -> (number: Int, refusal: StoreError?) {
    for number in first..<limit {
      do throws(StoreError) {
        try store.blocking.put(
          Bytes("key\(number)"), Bytes([UInt8](repeating: UInt8(number & 255), count: byteCount)))
      } catch {
        return (number, error)
      }
    }
    return (limit, nil)
  }

  @Test("writes that a full disk refuses leave no file behind")
  func noLeak() throws {
    let machine = SimulatedMachine(seed: 21)
    let store = try machine.open(Self.options)
    machine.disk.setSpaceLimit(700_000)
    let (number, refusal) = Self.fill(store)
    guard case .outOfSpace = refusal else {
      Issue.record("\(number): \(String(describing: refusal))")
      return
    }
    let before = try machine.disk.list("log").count
    for further in 1...50 {
      #expect(throws: StoreError.self) {
        try store.blocking.put(
          Bytes("more\(further)"), Bytes([UInt8](repeating: 1, count: 70_000)))
      }
    }
    #expect(try machine.disk.list("log").count <= before + 1)
    #expect(try machine.disk.list("shards/0000").count < 200)
  }

  @Test("a batch that a full disk refused may be committed again, once, and is filled anew")
  func againLater() throws {
    let machine = SimulatedMachine(seed: 23)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("log", partitionCount: 1)
    machine.disk.setSpaceLimit(100_000)
    var batch = Store.Batch()
    // What repeats itself would find room in the log.
    let random = SeededRandom(seed: 23)
    for number in 0..<100 {
      let value = (0..<2_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      batch.put(Bytes("key\(number)"), Bytes(value))
    }
    batch.append(NewEvent("refused once"), to: stream)
    #expect(throws: StoreError.self) { try store.blocking.commit(&batch) }
    #expect(batch.count == 101)
    #expect(try store.blocking.get("key0") == nil)
    machine.disk.setSpaceLimit(nil)
    #expect(try store.blocking.commit(&batch).map(\.offset) == [0])
    #expect(batch.count == 0 && batch.byteCount == 0)
    #expect(try store.blocking.commit(&batch).isEmpty)
    batch.put("other", "value")
    #expect(try store.blocking.commit(&batch).isEmpty)
    #expect(try store.blocking.scan().count() == 101)
    #expect(try store.blocking.offsets(of: stream, partition: 0) == 0..<1)
    try store.blocking.close()
  }

  @Test("a manifest that finds no room leaves no file behind")
  func noManifestLeak() throws {
    let machine = SimulatedMachine(seed: 22, rarePathOdds: 1)
    let store = try machine.open(Self.options)
    let current = try #require(try machine.disk.list("").last { $0.hasPrefix("MANIFEST") })
    machine.disk.faultPlan = { operation, _ in
      let isNew = operation.path.hasSuffix(".new") && !operation.path.hasPrefix(current)
      return isNew && operation.systemName == "pwrite" ? .error(28) : nil
    }
    for name in ["one", "two", "three", "four"] {
      _ = try store.blocking.createKeyspace(name)
    }
    let names = try machine.disk.list("")
    #expect(!names.contains { $0.hasSuffix(".new") }, "\(names)")
    #expect(try store.blocking.keyspaces().count == 4)
  }

  @Test("a table that cannot be compacted does not stop writes, however many follow it")
  func damagedTableStopsNoWrite() throws {
    let machine = SimulatedMachine(seed: 23)
    let store = try machine.open(Self.options)
    for number in 0..<20 { try store.blocking.put(Bytes("key\(number)"), Bytes("\(number)")) }
    try store.blocking.flush()
    let table = try #require(try machine.disk.list("shards/0000").first)
    try machine.disk.corrupt("shards/0000/\(table)", at: 70, xor: 1)
    for round in 0..<80 {
      for number in 0..<4 {
        try store.blocking.put(
          Bytes("key\(number)-\(round)"), Bytes([UInt8](repeating: 2, count: 300)))
      }
      try store.blocking.flush()
    }
    #expect(try store.blocking.get("key3-79") != nil)
  }

  // MARK: - The reserve

  /// Takes away all room that is left, or all but so much.
  private static func takeAllRoom(_ disk: SimulatedDisk, but byteCount: Int = 0) throws {
    var paths = try disk.list("") + disk.list("log").map { "log/\($0)" }
    for shard in try disk.list("shards") {
      paths += try disk.list("shards/\(shard)").map { "shards/\(shard)/\($0)" }
    }
    disk.setSpaceLimit(paths.reduce(byteCount) { $0 + (disk.contents($1)?.count ?? 0) })
  }

  /// A store whose disk has no room left, and the number of its keys.
  private static func fullStore(_ machine: SimulatedMachine) throws -> (store: Store, count: Int) {
    let store = try machine.open(options)
    machine.disk.setSpaceLimit(900_000)
    let (count, _) = fill(store)
    try takeAllRoom(machine.disk)
    return (store, count)
  }

  @Test("a disk without any room takes deletions, and nothing else until there is some")
  func deletions() throws {
    let machine = SimulatedMachine(seed: 24)
    let (store, count) = try Self.fullStore(machine)
    let held = try #require(machine.disk.contents("RESERVE")?.count)
    #expect(held == (256 << 10) + (4 << 10) + (16 << 10))
    #expect(throws: StoreError.self) { try store.blocking.put("tiny", "1") }
    #expect(machine.disk.contents("RESERVE")?.count == held)
    for key in 0..<count / 2 { try store.blocking.delete(Bytes("key\(key)")) }
    try store.blocking.deleteRange(.all, durability: .synced)
    #expect(machine.disk.contents("RESERVE")?.count == 0)
    guard case .paused(let pause) = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
    #expect(pause.neededByteCount >= held)
    #expect(throws: StoreError.self) { try store.blocking.put("tiny", "1") }
    #expect(throws: StoreError.self) {
      try store.blocking.write { batch in
        batch.delete("key1")
        batch.put("tiny", "1")
      }
    }
    try store.blocking.compact()
    #expect(try store.blocking.get("tiny") == nil)
    try store.blocking.put("tiny", "1")
    #expect(store.health().state == .usable, "\(store.health())")
    #expect(machine.disk.contents("RESERVE")?.count == held)
    try store.blocking.close()
    #expect(try machine.verify().allSatisfy { $0.severity == .note })
  }

  /// What memory held was not counted: with room for most of a memtable nothing could be deleted.
  @Test("a full disk takes deletions from a store that was never open for long", arguments: 1...8)
  func shortLives(seed: UInt64) throws {
    let machine = SimulatedMachine(seed: seed)
    var options = Self.options
    options.memtableByteCount = 512 << 10
    options.logByteCount = 2 << 20
    machine.disk.setSpaceLimit(1_600_000)
    var (next, isFull) = (0, false)
    while !isFull {
      let store = try machine.open(options)
      // All at once, as each operation lets the flush go on.
      var batch = Store.Batch()
      let random = SeededRandom(seed: UInt64(next))
      for number in next..<next + 10 {
        let value = (0..<4_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        batch.put(Bytes("key\(number)"), Bytes(value))
      }
      do throws(StoreError) {
        try store.blocking.commit(&batch)
        next += 10
      } catch {
        guard case .outOfSpace = error else { throw error }
        isFull = true
      }
      store.engine.abandon()
    }
    #expect(next > 50)
    let store = try machine.open(options)
    for number in 0..<next { #expect(try store.blocking.get(Bytes("key\(number)")) != nil) }
    try store.blocking.deleteRange(.all)
    try store.blocking.compact()
    #expect(try store.blocking.scan().count() == 0)
    store.blocking.waitUntilIdle()
    try store.blocking.put("key", "value")
    try store.blocking.close()
  }

  @Test("a store is killed on a full disk, opened there, and closed in order")
  func opening() throws {
    let machine = SimulatedMachine(seed: 25)
    let (store, count) = try Self.fullStore(machine)
    let after = machine.crashed(.processKill)
    after.disk.setSpaceLimit(nil)
    try Self.takeAllRoom(after.disk)
    let again = try after.open(Self.options)
    guard case .paused = again.health().state else {
      Issue.record("\(again.health())")
      return
    }
    #expect(try again.blocking.get(Bytes("key\(count - 1)")) != nil)
    try again.blocking.delete("key0", durability: .synced)
    #expect(throws: StoreError.self) { try again.blocking.put("key0", "1") }
    // What was given up stays given up when the process ends.
    let third = SimulatedMachine(seed: 28, disk: after.disk.copy())
    try Self.takeAllRoom(third.disk, but: 30_000)
    let next = try third.open(Self.options)
    #expect(throws: StoreError.self) { try next.blocking.put("key0", "1") }
    third.disk.setSpaceLimit(nil)
    try next.blocking.put("key0", "1")
    #expect(next.health().state == .usable)
    #expect(third.disk.contents("RESERVE")?.isEmpty == false)
    try again.blocking.close()
    try store.blocking.close()
    for disk in [machine.disk, after.disk] {
      disk.setSpaceLimit(nil)
      let last = SimulatedMachine(seed: 26, disk: disk)
      #expect(try last.verify().allSatisfy { $0.severity == .note })
      let found = try last.open(Self.options)
      #expect(try found.blocking.get("key0") == nil || disk === machine.disk)
      #expect(try found.blocking.get(Bytes("key\(count - 1)")) != nil)
    }
  }

  @Test("where the disk has plenty little is held back, and more as soon as it has not")
  func reserveFollowsTheDisk() throws {
    let machine = SimulatedMachine(seed: 29)
    var options = Self.options
    options.memoryBudgetByteCount = 4 << 20
    options.memtableByteCount = 256 << 10
    let store = try machine.open(options)
    let random = SeededRandom(seed: 29)
    func write() throws -> Int? {
      for _ in 0..<500 {
        let value = (0..<400).map { _ in UInt8(random.below(256)) }
        try store.blocking.put(Bytes("key\(random.below(1 << 30))"), Bytes(value))
      }
      try store.blocking.flush()
      store.blocking.waitUntilIdle()
      return machine.disk.contents("RESERVE")?.count
    }
    machine.disk.setSpaceLimit(64 << 20)
    for _ in 0..<4 { #expect(try write() == 256 << 10) }
    machine.disk.setSpaceLimit(8 << 20)
    let held = try #require(try write())
    #expect(held > 1 << 20)
    #expect(try write() ?? 0 >= held)
    machine.disk.setSpaceLimit(64 << 20)
    #expect(try write() == 256 << 10)
    #expect(store.health().state == .usable && store.health().failures.isEmpty)
    try store.blocking.close()
  }

  @Test("a reserve that cannot be made hinders nothing, is told of, and is made when it can be")
  func noReserve() throws {
    let machine = SimulatedMachine(seed: 27)
    let store = try machine.open(Self.options)
    machine.disk.faultPlan = { operation, _ in operation.path == "RESERVE" ? .error(5) : nil }
    for number in 0..<50 {
      try store.blocking.put(Bytes("key\(number)"), Bytes([UInt8](repeating: 3, count: 400)))
    }
    try store.blocking.flush()
    store.blocking.waitUntilIdle()
    #expect(store.health().state == .usable)
    #expect(store.health().failures.map(\.work) == [.reserve])
    machine.disk.faultPlan = nil
    machine.clock.advance(by: 2_000_000_000)
    _ = store.engine.jobs.runStep { _ in 0 }
    store.blocking.waitUntilIdle()
    #expect(store.health().failures.isEmpty, "\(store.health())")
    #expect(machine.disk.contents("RESERVE")?.isEmpty == false)
  }
  @Test("a reserve that may not be opened hinders no opening, and gives way to a new one")
  func deniedReserve() throws {
    let machine = SimulatedMachine(seed: 28)
    let isThere = Mutex(false)
    machine.disk.faultPlan = { operation, _ in
      guard operation.path == "RESERVE" else { return nil }
      if operation.systemName == "unlink" { isThere.withLock { $0 = false } }
      return operation.systemName == "open" && isThere.withLock({ $0 }) ? .error(EACCES) : nil
    }
    try machine.open(Self.options).blocking.close()
    try machine.disk.setContents("RESERVE", [1])
    isThere.withLock { $0 = true }
    let store = try machine.open(Self.options)
    for number in 0..<50 {
      try store.blocking.put(Bytes("key\(number)"), Bytes([UInt8](repeating: 3, count: 400)))
    }
    try store.blocking.flush()
    store.blocking.waitUntilIdle()
    #expect(store.health().failures.isEmpty, "\(store.health())")
    #expect(machine.disk.contents("RESERVE")?.count ?? 0 > 1)
    try store.blocking.close()
  }
}
