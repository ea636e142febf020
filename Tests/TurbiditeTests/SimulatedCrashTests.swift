// SimulatedCrashTests — power losses, kills and full disks at every operation of a workload.

import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

#if canImport(Glibc)
import Glibc
#endif

/// Whenever the machine stops, the store that is found afterwards is a prefix of the commits.
///
/// Method: a script of commits, flushes, compactions and reopenings runs on a disk in memory, once
/// to count the disk's operations, and then once for each operation that changes the disk: from it
/// on every call fails. The disk is then taken as a kill or a power loss leaves it, and opened: the
/// contents must be those after some commit, no earlier than the last one that was acknowledged at
/// the level that survives; opened a second time, they must be the same.
@Suite("Simulated crash")
struct SimulatedCrashTests {
  @Test(
    "a crash at any disk operation leaves a prefix that holds what was acknowledged",
    arguments: [UInt64(1), 2])
  func crashEverywhere(_ offset: UInt64) throws {
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1)) + offset
    let whole = CrashScript(seed: seed)
    whole.run()
    #expect(whole.failure == nil, "without a crash")
    let stops = whole.changes
    var (checked, failures) = (0, 0)
    for stop in stops where failures < 5 {
      let script = CrashScript(seed: seed, failure: .from(stop))
      script.run()
      var survivals: [Survival] = [.nothingUnsynced, .processKill]
      for chance in UInt64(0)..<3 { survivals.append(.random(seed ^ UInt64(stop) << 8 ^ chance)) }
      for survival in survivals {
        checked += 1
        do { try script.check(survival) } catch {
          failures += 1
          Issue.record("seed \(seed), crash at operation \(stop), \(survival): \(error)")
        }
      }
    }
    print("simulated crash: seed \(seed), \(stops.count) operations, \(checked) recoveries")
  }

  @Test("a disk that is full for one operation costs a clear error, and later writes go on")
  func fullOnce() throws {
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1)) + 10
    let whole = CrashScript(seed: seed)
    whole.run()
    var failures = 0
    for stop in whole.spaceTakers where failures < 5 {
      let script = CrashScript(seed: seed, failure: .fullOnce(stop))
      script.run()
      do { try script.checkAfterFullDisk() } catch {
        failures += 1
        Issue.record("seed \(seed), full at operation \(stop): \(error)")
      }
    }
    print("full disk: seed \(seed), \(whole.spaceTakers.count) operations")
  }
}

/// One run of a script on a disk that fails in one way.
final class CrashScript: @unchecked Sendable {
  enum Failure: Equatable {
    case none
    case from(Int)
    case fullOnce(Int)
  }

  private struct Record {
    var changes: [Int] = []
    var spaceTakers: [Int] = []
  }

  let machine: SimulatedMachine
  private let random: SeededRandom
  private let mode: Failure
  private let record = Mutex(Record())
  private let options: Store.Options
  private var store: Store?
  /// The contents after each commit that was tried; the first are those of an empty store.
  private var states: [[Bytes: Bytes]] = [[:]]
  /// The states that may be found at the earliest after a kill and after a power loss.
  private var acknowledged = 0
  private var synced = 0
  /// The commits that failed are in doubt, or not there at all.
  private(set) var failure: StoreError?
  private(set) var errors: [StoreError] = []

  init(seed: UInt64, failure: Failure = .none) {
    machine = SimulatedMachine(seed: seed)
    random = SeededRandom(seed: seed)
    mode = failure
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 4 << 10
    options.tableByteCount = 4 << 10
    options.logByteCount = 64 << 10
    options.memoryBudgetByteCount = 1 << 20
    self.options = options
    machine.disk.beforeOperation = {
      [unowned self] operation, index throws(SystemError) in
      record.withLock { record in
        if operation.changesDisk { record.changes.append(index) }
        switch operation.kind {
        case .open(.create), .write, .preallocate: record.spaceTakers.append(index)
        default: break
        }
      }
      switch mode {
      case .none: return
      case .from(let first) where index < first: return
      case .fullOnce(let only) where index != only: return
      case .from: throw SystemError(operation: "crash", path: operation.path, code: EIO)
      case .fullOnce: throw SystemError(operation: "write", path: operation.path, code: ENOSPC)
      }
    }
  }

  var changes: [Int] { record.withLock { $0.changes } }
  var spaceTakers: [Int] { record.withLock { $0.spaceTakers } }

  /// Runs the script; a crash ends it, a full disk does not.
  func run() {
    for step in 0..<90 {
      do throws(StoreError) { try self.step(step) } catch {
        failure = error
        errors.append(error)
        if case .from = mode { break }
      }
    }
    store?.engine.abandon()
    store = nil
    machine.disk.beforeOperation = nil
  }

  private func step(_ step: Int) throws(StoreError) {
    if step == 30 || step == 60 {
      if step == 30 {
        // A store that could not be closed in order is closed all the same.
        let closing = store
        store = nil
        try closing?.blocking.close()
        synced = acknowledged
      } else {
        store?.engine.abandon()
      }
      store = nil
    }
    if store == nil {
      store = try machine.open(options)
      // Opening writes anew, durably, what it found.
      synced = acknowledged
    }
    guard let store else { return }
    switch random.below(24) {
    case 0: try store.blocking.flush()
    case 1: try store.blocking.compact()
    case 2:
      try store.blocking.sync()
      synced = acknowledged
    default: try commit(store)
    }
  }

  private func commit(_ store: Store) throws(StoreError) {
    var next = states[acknowledged]
    var batch = Store.Batch()
    for _ in 0..<(1 + random.below(12)) {
      let key = Bytes("key\(random.below(60))")
      if random.isOne(in: 4) {
        batch.delete(key)
        next[key] = nil
      } else {
        let value = Bytes([UInt8](repeating: UInt8(random.below(256)), count: random.below(200)))
        batch.put(key, value)
        next[key] = value
      }
    }
    let isSynced = random.isOne(in: 4)
    if case .fullOnce = mode {} else { states.append(next) }
    try store.blocking.commit(batch, durability: isSynced ? .synced : .buffered)
    if case .fullOnce = mode { states.append(next) }
    acknowledged = states.count - 1
    if isSynced { synced = acknowledged }
  }

  // MARK: - Afterwards

  func check(_ survival: Survival) throws {
    let disk = machine.disk.crashed(survival)
    let found = try Self.contents(disk, machine.seed, options, thenWrites: false)
    let first = survival == .processKill ? acknowledged : synced
    guard states[first...].contains(found) else {
      let earlier = states.firstIndex(of: found)
      throw Disagreement(
        description: "\(found.count) entries are no state from \(first) to \(states.count - 1),"
          + " but \(earlier.map { "state \($0)" } ?? "no state at all")")
    }
    let again = disk.crashed(.nothingUnsynced)
    guard try Self.contents(again, machine.seed, options, thenWrites: true) == found else {
      throw Disagreement(description: "a second recovery found other contents than the first")
    }
  }

  func checkAfterFullDisk() throws {
    for error in errors {
      switch error {
      case .outOfSpace: break
      default: throw Disagreement(description: "the error was \(error)")
      }
    }
    let disk = machine.disk.crashed(.processKill)
    let found = try Self.contents(disk, machine.seed, options, thenWrites: true)
    guard found == states[acknowledged] else {
      throw Disagreement(description: "\(found.count) entries, not \(states[acknowledged].count)")
    }
  }

  private static func contents(
    _ disk: SimulatedDisk, _ seed: UInt64, _ options: Store.Options, thenWrites: Bool
  ) throws -> [Bytes: Bytes] {
    let store = try SimulatedMachine(seed: seed, disk: disk).open(options)
    defer { store.engine.abandon() }
    var contents: [Bytes: Bytes] = [:]
    let scan = try store.blocking.scan()
    while let entry = try scan.next() { contents[entry.key] = entry.value }
    for (key, value) in contents {
      guard try store.blocking.get(key) == value else {
        throw Disagreement(description: "get \(key) differs from the scan")
      }
    }
    if thenWrites {
      try store.blocking.put("afterwards", "1", durability: .synced)
      guard try store.blocking.get("afterwards") == "1" else {
        throw Disagreement(description: "a write afterwards is not there")
      }
    }
    return contents
  }
}
