// LogCases — docs/catalogue.md: the commit log, torn, cut, full and closed.

import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// Each case by itself; CrashStateTests and ErrorSweepTests meet them in all combinations.
@Suite("Cases of the log")
struct LogCases {
  private static let options = Store.Options(shardCount: 2)

  /// A store whose segments are short, with `count` synced commits, as a kill leaves it.
  private func manySegments(_ count: Int) throws -> SimulatedMachine {
    let machine = SimulatedMachine(seed: 1)
    var options = Self.options
    options.logByteCount = 64 << 10
    options.compresses = false
    let store = try machine.open(options)
    for number in 0..<count {
      let value = Bytes(String(repeating: "\(number % 10)", count: 400))
      try store.blocking.put(Bytes("key\(number)"), value, durability: .synced)
    }
    store.engine.abandon()
    return machine
  }

  @Test("case 02: a synced commit, and all before it, outlive a power loss")
  func case02() throws {
    let machine = SimulatedMachine(seed: 2)
    let store = try machine.open(Self.options)
    try store.blocking.put("buffered", "1")
    try store.blocking.put("synced", "2", durability: .synced)
    for choice in [Survivors.Choice.none, .all] {
      let after = try machine.crashed(.these(Survivors(choice))).open(Self.options)
      #expect(try contents(after) == ["buffered": "1", "synced": "2"])
      after.engine.abandon()
    }
    store.engine.abandon()
  }

  @Test("case 04: a last frame that is cut anywhere is left out, and counted")
  func case04() throws {
    let machine = SimulatedMachine(seed: 4)
    let store = try machine.open(Self.options)
    try store.blocking.put("whole", "1", durability: .synced)
    let before = try #require(store.engine.log?.openSegment?.byteCount)
    try store.blocking.put("torn", Bytes(String(repeating: "x", count: 600)))
    let after = try #require(store.engine.log?.openSegment?.byteCount)
    store.engine.abandon()
    let path = try machine.disk.newestSegment()
    for length in Int(before)..<Int(after) {
      let cut = machine.crashed(.processKill)
      try cut.disk.truncateDurable(path, to: length)
      let reopened = try cut.open(Self.options)
      #expect(try contents(reopened) == ["whole": "1"], "cut to \(length)")
      #expect(reopened.engine.recovery.tornByteCount == UInt64(length) - before)
      reopened.engine.abandon()
    }
  }

  @Test("case 06: the zeros of a preallocated segment are its end, and no damage")
  func case06() throws {
    let machine = SimulatedMachine(seed: 6)
    let store = try machine.open(Self.options)
    try store.blocking.put("key", "1", durability: .synced)
    let end = Int(try #require(store.engine.log?.openSegment?.byteCount))
    store.engine.abandon()
    let bytes = try #require(machine.disk.contents(try machine.disk.newestSegment()))
    #expect(bytes.count > end && bytes[end...].allSatisfy { $0 == 0 })
    #expect(try machine.verify().allSatisfy { $0.severity != .damage })
    let reopened = try machine.open(Self.options)
    #expect(try contents(reopened) == ["key": "1"])
    try reopened.blocking.close()
  }

  @Test("case 07: frames of another log behind the end are not replayed")
  func case07() throws {
    let machines = [UInt64(7), 8].map { SimulatedMachine(seed: $0) }
    for (index, machine) in machines.enumerated() {
      let store = try machine.open(Self.options)
      // The second log is longer, and its first frames are as long as those of the first one.
      for number in 0..<(index == 0 ? 5 : 20) {
        try store.blocking.put(Bytes("key\(10 + number)"), Bytes("\(index)"), durability: .synced)
      }
      store.engine.abandon()
    }
    let path = try machines[0].disk.newestSegment()
    #expect(try machines[1].disk.newestSegment() == path)
    var bytes = try #require(machines[0].disk.contents(path))
    let stale = try #require(machines[1].disk.contents(path))
    let end = try #require(bytes.lastIndex { $0 != 0 }) / 8 * 8 + 8
    #expect(stale[end...].contains { $0 != 0 })
    bytes.replaceSubrange(end..., with: stale[end...])
    try machines[0].disk.setContents(path, bytes)
    let store = try machines[0].open(Self.options)
    let expected = Dictionary(uniqueKeysWithValues: (0..<5).map { ("key\(10 + $0)", "0") })
    #expect(try contents(store) == expected)
    store.engine.abandon()
  }

  @Test("case 08: damage where the log was durable is refused with its place, changing nothing")
  func case08() throws {
    let machine = try manySegments(100)
    for name in try machine.disk.list("log").dropLast() {
      let path = "log/" + name
      let count = machine.disk.contents(path)?.count ?? 0
      for offset in stride(from: 0, to: count, by: 499) {
        let damaged = machine.crashed(.processKill)
        try damaged.disk.corrupt(path, at: offset, xor: 0x10)
        for mode in [Store.Mode.existing, .readOnly] {
          let hash = damaged.disk.durableHash
          let error = storeError { _ = try damaged.open(mode: mode) }
          guard case .corrupt(let damage) = error else {
            Issue.record("\(path) at \(offset), \(mode): \(String(describing: error))")
            continue
          }
          #expect(damage.file == path && damage.offset <= offset, "\(offset): \(damage)")
          #expect(damaged.disk.durableHash == hash, "the disk was changed")
        }
      }
    }
  }

  @Test("case 09: a segment that is cut, before one that is whole, is damage")
  func case09() throws {
    let machine = try manySegments(100)
    let names = try machine.disk.list("log")
    #expect(names.count > 2)
    for name in names.dropLast() {
      let path = "log/" + name
      for length in stride(from: 0, to: machine.disk.contents(path)?.count ?? 0, by: 8) {
        // Every frame begins at a multiple of eight; a sample beside the ends of frames is enough.
        guard length % 448 < 24 || length < 200 else { continue }
        let cut = machine.crashed(.processKill)
        try cut.disk.truncateDurable(path, to: length)
        guard case .corrupt = storeError({ _ = try cut.open(mode: .existing) }) else {
          Issue.record("\(path) cut to \(length): it opened")
          continue
        }
      }
    }
  }

  @Test("case 11: before a synced commit in a new segment, the old segment is synced")
  func case11() throws {
    let machine = SimulatedMachine(seed: 11)
    var options = Self.options
    options.logByteCount = 64 << 10
    let store = try machine.open(options)
    var expected: [String: String] = [:]
    let value = String(repeating: "x", count: 900)
    // Without any sync until the log has moved on to another segment.
    while store.engine.log?.segmentCount ?? 0 < 2 {
      let key = "key\(expected.count)"
      try store.blocking.put(Bytes(key), Bytes(value))
      expected[key] = value
    }
    try store.blocking.put("last", "1", durability: .synced)
    expected["last"] = "1"
    let after = try machine.crashed(.these(Survivors(.none))).open(options)
    #expect(try contents(after) == expected)
    after.engine.abandon()
    store.engine.abandon()
  }

  @Test("case 13: what a reopened store showed outlives a power loss")
  func case13() throws {
    let machine = SimulatedMachine(seed: 13)
    let store = try machine.open(Self.options)
    try store.blocking.put("buffered", "1")
    store.engine.abandon()
    let killed = machine.crashed(.processKill)
    let shown = try killed.open(Self.options)
    #expect(try contents(shown) == ["buffered": "1"])
    let after = try killed.crashed(.these(Survivors(.none))).open(Self.options)
    #expect(try contents(after) == ["buffered": "1"])
    after.engine.abandon()
    shown.engine.abandon()
  }

  @Test("case 22: damage in the log is refused, though one of the shards is flushed beyond it")
  func case22() throws {
    var options = Self.options
    options.memtableByteCount = 32 << 10
    options.logByteCount = 1 << 20
    let machine = SimulatedMachine(seed: 22)
    let store = try machine.open(options)
    let shards = (0..<20).map { number in
      Array("key\(number)".utf8).withView { store.engine.shard(of: $0, in: store.defaultKeyspace) }
    }
    let busy = try #require(shards.firstIndex(of: 0))
    let resting = try #require(shards.firstIndex(of: 1))
    let value = Bytes(String(repeating: "x", count: 900))
    try store.blocking.put(Bytes("key\(resting)"), value, durability: .synced)
    for _ in 0..<100 { try store.blocking.put(Bytes("key\(busy)"), value, durability: .synced) }
    store.engine.waitUntilIdle()
    store.engine.abandon()
    #expect(try !machine.disk.list("shards/0000").isEmpty, "the busy shard is flushed")
    #expect(try machine.disk.list("shards/0001").isEmpty, "the other one is not")
    let path = "log/" + (try #require(try machine.disk.list("log").first))
    // The segment's header is 96 bytes long, the first frame of the test 900 at least.
    for offset in stride(from: 96, to: 996, by: 100) {
      let damaged = machine.crashed(.processKill)
      try damaged.disk.corrupt(path, at: offset, xor: 0x10)
      for mode in [Store.Mode.existing, .readOnly] {
        let error = storeError { _ = try damaged.open(mode: mode) }
        guard case .corrupt(let damage) = error else {
          Issue.record("at \(offset), \(mode): \(String(describing: error))")
          continue
        }
        #expect(damage.file == path && damage.offset <= offset, "\(offset): \(damage)")
      }
    }
  }

  @Test(
    "case 23: however a sync fails and says so, writes are refused until a reopening",
    arguments: [SyncFailure.pagesLookClean, .pagesRevert, .dataArrived])
  func case23(_ failure: SyncFailure) throws {
    let machine = SimulatedMachine(seed: 23)
    let store = try machine.open(Self.options)
    try store.blocking.put("before", "1", durability: .synced)
    machine.disk.faultPlan = { operation, _ in
      operation.systemName == "fdatasync" ? .syncFailure(failure) : nil
    }
    let error = storeError { try store.blocking.put("unknown", "1", durability: .synced) }
    #expect(error?.outcome == .unknown && error?.storeState == .readOnly)
    machine.disk.faultPlan = nil
    #expect(storeError { try store.blocking.put("after", "1") }?.storeState == .readOnly)
    #expect(try contents(store) == ["before": "1"])
    store.engine.abandon()
    for survival in [Survival.processKill, .nothingUnsynced] {
      let after = try machine.crashed(survival).open(Self.options)
      var found = try contents(after)
      found["unknown"] = nil
      #expect(found == ["before": "1"])
      try after.blocking.put("after", "1", durability: .synced)
      after.engine.abandon()
    }
  }

  /// No store can know of such a failure in time, so that what was promised may be lost.
  ///
  /// It must be a suffix, and the failure be believed as soon as it is told.
  @Test(
    "case 23: a sync that fails in secret costs the end of the log at most",
    arguments: [SyncFailure.reportedElsewhere, .reportedLater])
  func case23InSecret(_ failure: SyncFailure) throws {
    let machine = SimulatedMachine(seed: 24)
    let store = try machine.open(Self.options)
    try store.blocking.put("before", "1", durability: .synced)
    let failures = OperationCounter()
    machine.disk.faultPlan = { operation, _ in
      guard operation.systemName == "fdatasync" else { return nil }
      return failures.count.withLock { count in
        count += 1
        return count == 1 ? .syncFailure(failure) : nil
      }
    }
    try store.blocking.put("first", "1", durability: .synced)
    let second = storeError { try store.blocking.put("second", "1", durability: .synced) }
    if failure == .reportedLater {
      #expect(second?.outcome == .unknown && second?.storeState == .readOnly)
      #expect(storeError { try store.blocking.put("third", "1") }?.storeState == .readOnly)
    } else {
      #expect(second == nil)
    }
    machine.disk.faultPlan = nil
    store.engine.abandon()
    let allowed: [[String: String]] = [
      ["before": "1"], ["before": "1", "first": "1"],
      ["before": "1", "first": "1", "second": "1"],
    ]
    for survival in [Survival.processKill, .nothingUnsynced] {
      let machine = machine.crashed(survival)
      // A hole in what was synced is damage, and told.
      let error = storeError {
        let after = try machine.open(Self.options)
        let found = try contents(after)
        #expect(allowed.contains(found), "\(found)")
        after.engine.abandon()
      }
      if let error { #expect(error.exitStatus == 76, "\(error)") }
    }
  }

  @Test("case 26: a write to a full disk is refused for certain, and later ones go on")
  func case26() throws {
    let machine = SimulatedMachine(seed: 26)
    let store = try machine.open(Self.options)
    try store.blocking.put("before", "1")
    let sequence = store.engine.lastSequence.load(ordering: .relaxed)
    for arrived in [0, 1, 30] {
      machine.disk.faultPlan = { operation, _ in
        operation.systemName == "pwrite" ? .partialWrite(byteCount: arrived, 28) : nil
      }
      let error = storeError { try store.blocking.put("refused", "1") }
      guard case .outOfSpace = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(error?.outcome == .no && error?.storeState == .usable && error?.retry == .afterAction)
      machine.disk.faultPlan = nil
      #expect(try contents(store)["refused"] == nil)
    }
    // The numbers of refused commits are not given again.
    #expect(store.engine.lastSequence.load(ordering: .relaxed) == sequence + 3)
    try store.blocking.put("after", "1", durability: .synced)
    try store.blocking.delete("before")
    store.engine.abandon()
    let reopened = try machine.crashed(.processKill).open(Self.options)
    #expect(try contents(reopened) == ["after": "1"])
    reopened.engine.abandon()
  }

  @Test("case 27: a disk that is full at a sync poisons the store; no file is synced again")
  func case27() throws {
    let machine = SimulatedMachine(seed: 27)
    let store = try machine.open(Self.options)
    try store.blocking.put("before", "1", durability: .synced)
    machine.disk.faultPlan = { operation, _ in
      operation.systemName == "fdatasync" ? .error(28) : nil
    }
    let error = storeError { try store.blocking.put("unknown", "1", durability: .synced) }
    guard case .durabilityLost = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.outcome == .unknown && error?.storeState == .readOnly)
    machine.disk.faultPlan = nil
    #expect(try contents(store) == ["before": "1"], "what may be lost is not shown")
    let syncs = OperationCounter()
    machine.disk.faultPlan = { operation, _ in
      if operation.systemName == "fdatasync" { syncs.count.withLock { $0 += 1 } }
      return nil
    }
    for _ in 0..<3 {
      #expect(storeError { try store.blocking.put("a", "1", durability: .synced) } != nil)
      #expect(storeError { try store.blocking.sync() } != nil)
    }
    #expect(storeError { try store.blocking.close() } != nil)
    #expect(syncs.count.withLock { $0 } == 0)
  }

  @Test("case 62: behind a clean close a power loss takes nothing", arguments: [false, true])
  func case62(flushes: Bool) throws {
    let machine = SimulatedMachine(seed: 62)
    let store = try machine.open(Self.options)
    let named = try store.blocking.createKeyspace("named")
    for number in 0..<50 { try store.blocking.put(Bytes("key\(number)"), "1") }
    if flushes { try store.blocking.flush() }
    try store.blocking.deleteRange(KeyRange(from: "key1", to: "key2"))
    try store.blocking.put("other", "1", in: named)
    let expected = try contents(store)
    try store.blocking.close()
    for choice in [Survivors.Choice.none, .all] {
      let machine = machine.crashed(.these(Survivors(choice)))
      let after = try machine.open(Self.options)
      #expect(try contents(after) == expected)
      #expect(try after.blocking.get("other", in: after.blocking.keyspace("named")) == "1")
      #expect(after.engine.recovery.tornByteCount == 0)
      after.engine.abandon()
    }
  }
}
