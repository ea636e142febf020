// LyingDiskTests — beyond any promise: a disk that says it has synced, and has not.

import Testing
import Turbidite
import TurbiditeSimulation

@Suite("Lying disks")
struct LyingDiskTests {
  /// Nothing can keep what such a disk drops.
  ///
  /// But what is read was written once, under that key, and a store that cannot be right says that
  /// it is damaged.
  @Test("a disk that lies about syncs loses data, and invents none", arguments: 1...60)
  func nothingInvented(seed: UInt64) throws {
    var random = Random(seed: seed)
    var machine = SimulatedMachine(seed: seed, rarePathOdds: 20)
    var written: [Bytes: Set<Bytes>] = [:]
    var count: UInt64 = 0
    for _ in 0..<6 {
      let lie: SyncFailure = random.below(2) == 0 ? .reportedElsewhere : .reportedLater
      let odds = UInt64(2 + random.below(6))
      machine.disk.faultPlan = { operation, index in
        operation.systemName == "fdatasync" && UInt64(index) % odds == 0 ? .syncFailure(lie) : nil
      }
      var store: Store?
      do throws(StoreError) {
        store = try machine.open(Workload.smallParts)
        let scan = try store?.blocking.scan()
        while let entry = try scan?.next() {
          #expect(written[entry.key]?.contains(entry.value) == true, "\(entry.key) was never that")
        }
        for _ in 0..<30 {
          count += 1
          let key = Client.key(random.below(40))
          let value = Bytes("\(seed) \(count) " + String(repeating: "x", count: random.below(300)))
          written[key, default: []].insert(value)
          try store?.blocking.put(key, value, durability: count % 3 == 0 ? .synced : .buffered)
          if count % 20 == 0 { try store?.blocking.flush() }
        }
      } catch {
        // It may find that it was robbed, or be told at last; nothing else goes wrong.
        switch error {
        case .corrupt, .durabilityLost, .poisoned: break
        default: throw error
        }
      }
      store = nil
      machine.disk.faultPlan = nil
      machine = machine.crashed(.random(random.next()), seed: random.next())
    }
  }
}
