// FailureTests — what single failures must not lead to; each was once a bug.

import Testing
import Turbidite
import TurbiditeSimulation

@Suite("Failures")
struct FailureTests {
  /// The operations of an opening after a kill, one after the other, fail once.
  @Test("an opening that fails holds no lock and no file, whichever call it failed at")
  func failedOpening() throws {
    let machine = SimulatedMachine(seed: 3)
    var store: Store? = try machine.open(Workload.smallParts)
    for number in 0..<60 {
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
}
