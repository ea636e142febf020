// JobCrashTests — whenever the machine stops, a job's target is what it was, or the whole result.

import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

#if canImport(Glibc)
import Glibc
#endif

/// One run of a job on a disk that fails from some operation on.
///
/// Safe to share: the disk's hook, which another thread might call, touches what the mutex guards.
private final class JobScript: @unchecked Sendable {
  let machine = SimulatedMachine(seed: 6)
  private let counts = Mutex((changes: [Int](), isJob: false))
  private(set) var isAcknowledged = false
  let target: JobTarget

  var changes: [Int] { counts.withLock { $0.changes } }

  init(_ target: JobTarget, memtableByteCount: Int, failingFrom stop: Int?) throws {
    self.target = target
    machine.disk.beforeOperation = { [unowned self] operation, index throws(SystemError) in
      let fails = counts.withLock { counts in
        if operation.changesDisk, counts.isJob { counts.changes.append(index) }
        return counts.isJob && index >= stop ?? .max
      }
      if fails { throw SystemError(operation: "crash", path: operation.path, code: EIO) }
    }
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = memtableByteCount
    let store = try machine.open(options)
    let old = try store.blocking.createKeyspace("x")
    try store.blocking.put("old", "1", in: old)
    var batch = Store.Batch()
    for number in 0..<400 { batch.put(Bytes("k\(number)"), Bytes("\(number % 90)")) }
    try store.blocking.commit(batch, durability: .synced)
    counts.withLock { $0.isJob = true }
    do throws(StoreError) {
      try store.blocking.mapReduce(
        over: .scan(), into: target, options: JobOptions(workerCount: 1, splitByteCount: 500),
        map: { record, emit in
          emit(record.value, 1)
          emit(record.key, 1)
        }, reduce: .sum)
      isAcknowledged = true
    } catch { isAcknowledged = false }
    counts.withLock { $0.isJob = false }
    store.engine.abandon()
    machine.disk.beforeOperation = nil
  }

  static let whole: [Bytes: Bytes] = {
    var whole: [Bytes: Bytes] = [:]
    for number in 0..<400 { whole[Bytes("k\(number)")] = "1" }
    for value in 0..<90 { whole[Bytes("\(value)")] = value < 40 ? "5" : "4" }
    return whole
  }()

  /// Throws what is wrong with what the crash left.
  func check(_ survival: Survival) throws {
    let crashed = machine.crashed(survival)
    let store = try crashed.open()
    var found: [Bytes: Bytes] = [:]
    let scan = try store.blocking.scan(in: store.blocking.keyspace("x"))
    while let entry = try scan.next() { found[entry.key] = entry.value }
    let isOld = found == ["old": "1"]
    #expect(isOld || found == JobScript.whole, "\(found.count) entries")
    #expect(!isAcknowledged || !isOld, "an acknowledged result is gone")
    // What was left does not hinder the next job.
    try store.blocking.mapReduce(
      over: .scan(), into: target, options: JobOptions(workerCount: 1),
      map: { record, emit in emit(record.key, 1) }, reduce: .count)
    #expect(try store.blocking.keyspaces() == ["x"])
    #expect(try store.blocking.count(over: .scan(in: store.blocking.keyspace("x"))) == 400)
    try store.blocking.close()
    #expect(try crashed.verify().filter { $0.severity == .damage }.isEmpty)
  }
}

@Suite("Crashes of jobs")
struct JobCrashTests {
  /// Results that are in tables before the keyspace gets its name, and results that are in the log.
  @Test(
    "a crash at any operation of a job leaves the old keyspace or the whole new one",
    arguments: [8 << 10, 1 << 20])
  func everywhere(_ memtableByteCount: Int) throws {
    let target = JobTarget.keyspace("x", replacing: true)
    let whole = try JobScript(
      target, memtableByteCount: memtableByteCount, failingFrom: nil)
    #expect(whole.isAcknowledged)
    #expect(whole.changes.count > 5)
    for stop in whole.changes + [Int.max] {
      let script = try JobScript(
        target, memtableByteCount: memtableByteCount, failingFrom: stop)
      for survival in [Survival.nothingUnsynced, .processKill, .random(UInt64(stop))] {
        try script.check(survival)
      }
    }
  }
}
