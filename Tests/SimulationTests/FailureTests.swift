// FailureTests — what single failures must not lead to; each was once a bug.

import Synchronization
import Testing
import Turbidite
import TurbiditeSimulation

@Suite("Failures")
struct FailureTests {
  /// The operations of an opening after a kill, one after the other, fail once.
  @Test("an opening that fails holds no lock and no file, whichever call it failed at")
  func failedOpening() throws {
    let machine = SimulatedMachine(seed: 3)
    // Several segments, and nothing in tables: memtables that one has filled wait for a flush when
    // the next is read.
    var options = Workload.smallParts
    options.memtableByteCount = 1 << 20
    options.memoryBudgetByteCount = 8 << 20
    var store: Store? = try machine.open(options)
    for number in 0..<100 {
      try store?.blocking.put(Client.key(number), Bytes([UInt8](repeating: 1, count: 400)))
    }
    store = nil
    var failures = 0
    for failing in 0..<200 {
      let after = machine.crashed(.processKill)
      let first = after.disk.operationCount
      after.disk.faultPlan = { _, index in index == first + failing ? .error(5) : nil }
      do {
        _ = try after.open(Workload.smallParts)
      } catch {
        failures += 1
        #expect(after.disk.openFileCount == 0, "operation \(failing): \(error)")
      }
      after.disk.faultPlan = nil
      #expect(throws: Never.self, "operation \(failing)") { try after.open(Workload.smallParts) }
    }
    #expect(failures > 10)
  }

  @Test("a store whose log could not be synced says so again when it is closed")
  func poisonedClose() throws {
    let machine = SimulatedMachine(seed: 4)
    let store = try machine.open(Workload.smallParts)
    try store.blocking.put("acknowledged", "1")
    machine.disk.faultPlan = { operation, _ in
      operation.systemName == "fdatasync" ? .syncFailure(.pagesRevert) : nil
    }
    let failure = #expect(throws: StoreError.self) { try store.blocking.sync() }
    #expect(failure?.outcome == .unknown)
    machine.disk.faultPlan = nil
    #expect(throws: StoreError.self) { try store.blocking.close() }
  }

  /// Handles run out at each moment in turn, and come back.
  ///
  /// A sync opened the log's directory, and a new manifest its file: one refusal, and the store was
  /// read-only.
  @Test("running out of handles refuses calls, and ends writing at no moment")
  func outOfHandles() throws {
    var refusals = 0
    for start in stride(from: 0, to: 1200, by: 37) {
      let machine = SimulatedMachine(seed: 10, rarePathOdds: 4)
      let store = try machine.open(Workload.smallParts)
      let first = machine.disk.operationCount + start
      machine.disk.faultPlan = { operation, index in
        let isOut = (first..<(first + 40)).contains(index)
        return isOut && operation.systemName == "open" ? .error(24) : nil
      }
      var acknowledged: [Int] = []
      for number in 0..<90 {
        do throws(StoreError) {
          try store.blocking.put(
            Client.key(number), Bytes([UInt8](repeating: 1, count: 400)),
            durability: number % 3 == 0 ? .synced : .buffered)
          acknowledged.append(number)
          if number % 30 == 29 { try store.blocking.compact() }
        } catch {
          refusals += 1
          #expect(error.errorClass == "resourceExhausted", "\(start): \(error)")
          #expect(error.outcome == .no, "\(start): \(error)")
        }
      }
      machine.disk.faultPlan = nil
      #expect(store.health().state == .usable, "\(start): \(store.health())")
      try store.blocking.sync()
      let after = try machine.crashed(.nothingUnsynced).open(Workload.smallParts)
      for number in acknowledged {
        #expect(try after.blocking.get(Client.key(number)) != nil, "\(start): \(number)")
      }
    }
    #expect(refusals > 0)
  }

  @Test("a sync needs no handle")
  func syncWithoutHandles() throws {
    let machine = SimulatedMachine(seed: 11)
    let store = try machine.open(Workload.smallParts)
    try store.blocking.put("key", "1")
    machine.disk.setOpenFileLimit(0)
    try store.blocking.sync()
    #expect(store.health().state == .usable)
  }

  @Test("a file that cannot be removed stops no opening")
  func stuckFile() throws {
    let machine = SimulatedMachine(seed: 5)
    var store: Store? = try machine.open(Workload.smallParts)
    try store?.blocking.put("key", "1", durability: .synced)
    store = nil
    machine.disk.faultPlan = { operation, _ in operation.systemName == "unlink" ? .error(5) : nil }
    let again = try machine.open(Workload.smallParts)
    #expect(try again.blocking.get("key") == "1")
  }

  @Test("a write that failed and could not be cut back may be there, and is said to be in doubt")
  func uncutWrite() throws {
    let machine = SimulatedMachine(seed: 6)
    let store = try machine.open(Workload.smallParts)
    try store.blocking.put("key", "1")
    machine.disk.faultPlan = { operation, _ in
      switch operation.systemName {
      case "pwrite": .partialWrite(byteCount: 1 << 20, 28)
      case "ftruncate": .error(5)
      default: nil
      }
    }
    let failure = #expect(throws: StoreError.self) { try store.blocking.put("key", "2") }
    #expect(failure?.outcome == .unknown)
    machine.disk.faultPlan = nil
    #expect(try store.blocking.get("key") == "1")
    guard case .readOnly = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
  }

  /// One shard rests and another writes: what the first holds is carried to the end of the log, and
  /// must be durable there before the log is cut where it was.
  @Test(
    "what was synced outlives the segment that it was written to", arguments: 0..<3,
    [500, 700, 900])
  func carriedPastTrim(_ other: Int, _ byteCount: Int) throws {
    var options = Workload.smallParts
    options.memtableByteCount = 32 << 10
    let machine = SimulatedMachine(seed: 7)
    let store = try machine.open(options)
    try store.blocking.put("resting", "1", durability: .synced)
    for number in 0..<160 {
      try store.blocking.put(
        Client.key(other), Bytes([UInt8](repeating: UInt8(number), count: byteCount)))
      guard number >= 40 else { continue }
      let after = try machine.crashed(.nothingUnsynced).open(options)
      #expect(try after.blocking.get("resting") == "1", "after \(number) puts")
    }
    try store.blocking.close()
  }

  /// Each of these lives led to a bug of docs/track-record.md, or, the last two, replays a range
  /// deletion that one shard carried forward.
  @Test(
    "seeds that once found something find nothing",
    arguments: [UInt64(34), 156, 461, 2837, 20_283_564, 1416, 1492])
  func seedsOfOldBugs(_ seed: UInt64) {
    let found = Simulation(seed: seed).run(callCount: 120)
    #expect(found.violations.isEmpty, "\(found.violations)")
  }

  /// The disk took every byte, and then said that it did not: the caller was told the answer.
  @Test("a write that was refused is not found after a kill, however much of it arrived")
  func refusedWrite() throws {
    for byteCount in [1, 40, 100, 1 << 20] {
      let machine = SimulatedMachine(seed: 6)
      var store: Store? = try machine.open(Workload.smallParts)
      try store?.blocking.put("kept", "1")
      machine.disk.faultPlan = { operation, _ in
        operation.systemName == "pwrite" ? .partialWrite(byteCount: byteCount, 5) : nil
      }
      let failure = #expect(throws: StoreError.self) {
        try store?.blocking.put("refused", Bytes([UInt8](repeating: 1, count: 200)))
      }
      #expect(failure?.outcome == .no)
      machine.disk.faultPlan = nil
      store = nil
      let again = try machine.crashed(.processKill).open(Workload.smallParts)
      #expect(try again.blocking.get("kept") == "1")
      #expect(try again.blocking.get("refused") == nil, "\(byteCount) bytes arrived")
    }
  }

  /// All of the frame but some of its padding had arrived, and padding is zeros: cut off in the
  /// cache alone, the frame was still whole on the disk, also where the next one should have been.
  @Test("a write that was refused is not found after a loss of power, whatever followed it")
  func refusedWriteThenPowerLoss() throws {
    for byteCount in 200..<208 {
      let machine = SimulatedMachine(seed: 6)
      let store = try machine.open(Workload.smallParts)
      try store.blocking.put("kept", "1", durability: .synced)
      func check(_ moment: String) throws {
        for survivors in machine.disk.crashSurvivors() {
          let found = try machine.crashed(.these(survivors)).open(Workload.smallParts)
          #expect(try found.blocking.get("kept") == "1")
          let refused = try found.blocking.get("refused")
          #expect(refused == nil, "\(byteCount) bytes, \(moment), \(survivors)")
        }
      }
      machine.disk.faultPlan = { operation, _ in
        operation.systemName == "pwrite" ? .partialWrite(byteCount: 1 << 20, 28) : nil
      }
      let failure = #expect(throws: StoreError.self) {
        try store.blocking.put("refused", Bytes([UInt8](repeating: 1, count: byteCount)))
      }
      #expect(failure?.outcome == .no)
      machine.disk.faultPlan = nil
      try check("refused")
      try store.blocking.put("later", Bytes([UInt8](repeating: 1, count: byteCount + 50)))
      try check("then another")
    }
  }

  /// Also what is carried to the log's end: were its frame in doubt and the store not, the next
  /// sync would vouch for bytes that the failed one had lost.
  @Test(
    "a frame that is in doubt, of whatever kind, ends writing",
    arguments: ["ftruncate", "fdatasync"])
  func doubtEndsWriting(_ cut: String) throws {
    var options = Workload.smallParts
    options.memtableByteCount = 32 << 10
    var doubts = 0
    for failing in 0..<60 {
      let machine = SimulatedMachine(seed: 7)
      let store = try machine.open(options)
      try store.blocking.put("resting", "1", durability: .synced)
      let state = Mutex((writes: 0, hasFailed: false))
      machine.disk.faultPlan = { operation, _ in
        guard operation.path.hasSuffix(".tlog") else { return nil }
        return state.withLock { state in
          if case .write(let offset, _) = operation.kind {
            // The header of a segment is no frame: without it the segment is not there.
            if offset == 0 { return nil }
            state.writes += 1
            guard state.writes == failing + 40 else { return nil }
            state.hasFailed = true
            return .partialWrite(byteCount: 1 << 20, 5)
          }
          return state.hasFailed && operation.systemName == cut ? .error(5) : nil
        }
      }
      do throws(StoreError) {
        for number in 0..<160 {
          try store.blocking.put(
            Client.key(0), Bytes([UInt8](repeating: UInt8(number), count: 700)))
        }
      } catch {
        doubts += 1
        #expect(error.outcome == .unknown, "write \(failing): \(error)")
        machine.disk.faultPlan = nil
        guard case .readOnly = store.health().state else {
          Issue.record("write \(failing): \(store.health())")
          continue
        }
      }
    }
    #expect(doubts == 60)
  }

  /// All but the zero that ends the edit of a compaction may have arrived, and the size that it
  /// lacks comes with a later sector of the next edit: then it names tables that were thrown away.
  @Test("an edit of the manifest that was refused is not found after a loss of power")
  func refusedEditThenPowerLoss() throws {
    var options = Workload.smallParts
    options.shardCount = 1
    for edits in 0..<12 {
      let machine = SimulatedMachine(seed: 8)
      let store = try machine.open(options)
      for number in 0..<(edits + 2) {
        // Each table overlaps the ones before, so that they are merged rather than moved.
        try store.blocking.put(Client.key(0), "1")
        try store.blocking.put(Client.key(number + 1), "1")
        try store.blocking.flush()
      }
      let refusals = Mutex(0)
      machine.disk.faultPlan = { operation, _ in
        guard operation.path.hasPrefix("MANIFEST"), operation.systemName == "pwrite" else {
          return nil
        }
        return refusals.withLock { count in
          count += 1
          return count == 1 ? .partialWrite(byteCount: 1 << 20, 5) : nil
        }
      }
      #expect(throws: StoreError.self) { try store.blocking.compact() }
      for number in 0..<2 {
        let key = Bytes([UInt8](repeating: UInt8(number), count: 400))
        try store.blocking.put(key, "1")
      }
      let copies = Mutex<[SimulatedDisk]>([])
      machine.disk.faultPlan = { [unowned disk = machine.disk] operation, _ in
        if operation.path.hasPrefix("MANIFEST"), operation.systemName == "fdatasync" {
          let copy = disk.copy()
          copies.withLock { $0.append(copy) }
        }
        return nil
      }
      try store.blocking.flush()
      machine.disk.faultPlan = nil
      for disk in copies.withLock({ $0 }) {
        let orders = disk.crashSurvivors().compactMap { survivors -> Int? in
          if case .only(let order) = survivors.content { order } else { nil }
        }
        let last = try #require(orders.max())
        for lost in orders {
          let survivors = Survivors(
            names: .all, content: .allBut(lost), tear: .from(sector: 1, of: last))
          let after = SimulatedMachine(seed: 9, disk: disk.crashed(.these(survivors)))
          #expect(throws: Never.self, "\(edits) edits, \(survivors)") {
            let found = try after.open(options)
            for number in 0...(edits + 2) {
              #expect(try found.blocking.get(Client.key(number)) == "1")
            }
          }
        }
      }
    }
  }
}
