// CrowdedScanTests — a scan that has to pass over much is the last one that has to.

import Synchronization
import Testing
import TurbiditeSimulation

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Crowded scans")
struct CrowdedScanTests {
  private static let keyCount = 20_000
  private static let deletedCount = 16_000

  private func key(_ number: Int) -> Bytes { Bytes("key\(100_000 + number)") }

  /// Writes all keys into tables.
  private func fill(_ store: Store) throws {
    for first in stride(from: 0, to: Self.keyCount, by: 1000) {
      var batch = Store.Batch()
      for number in first..<first + 1000 { batch.put(key(number), "1") }
      try store.blocking.commit(batch)
    }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
  }

  /// Deletes the first keys, in memory.
  private func deleteFirst(_ store: Store) throws {
    for first in stride(from: 0, to: Self.deletedCount, by: 1000) {
      var batch = Store.Batch()
      for number in first..<first + 1000 { batch.delete(key(number)) }
      try store.blocking.commit(batch)
    }
  }

  private func firstKey(_ store: Store, reverse: Bool = false) throws -> Bytes? {
    let range = reverse ? KeyRange(from: nil, to: key(Self.deletedCount)) : KeyRange()
    return try store.blocking.scan(range, reverse: reverse).next()?.key
  }

  @Test(
    "tombstones that a scan passes over are merged with what they delete", arguments: [false, true])
  func thinsOut(reverse: Bool) throws {
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open(Store.Options(shardCount: 2))
    try fill(store)
    try deleteFirst(store)
    #expect(try firstKey(store, reverse: reverse) == (reverse ? nil : key(Self.deletedCount)))
    store.engine.waitUntilIdle()
    for state in store.engine.keyspaces.withLock({ Array($0.values) }) {
      for tree in state.trees {
        #expect(tree.version.memtables.allSatisfy { $0.memtable.deletionCount == 0 })
        for table in tree.version.levels.joined() {
          #expect(table.metadata.summary.deletionCount == 0)
        }
      }
    }
    #expect(try store.blocking.scan().count() == Self.keyCount - Self.deletedCount)
    #expect(try firstKey(store) == key(Self.deletedCount))
    try store.blocking.close()
  }

  @Test("what a snapshot shows stays, and a crowd that it keeps is not rewritten for ever")
  func snapshotStays() throws {
    let machine = SimulatedMachine(seed: 2)
    let store = try machine.open(Store.Options(shardCount: 2))
    try fill(store)
    let before = store.snapshot()
    try deleteFirst(store)
    for _ in 0..<3 {
      #expect(try firstKey(store) == key(Self.deletedCount))
      store.engine.waitUntilIdle()
    }
    let calls = try machine.disk.changes { () throws in
      #expect(try firstKey(store) == key(Self.deletedCount))
      store.engine.waitUntilIdle()
    }
    #expect(calls == 0, "nothing more can be done while the snapshot is held")
    let scan = try before.blockingScan()
    var count = 0
    while try scan.next() != nil { count += 1 }
    #expect(count == Self.keyCount)
    try store.blocking.close()
  }
}
