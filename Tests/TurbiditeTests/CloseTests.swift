// CloseTests — what a store that was closed leaves on the disk.

import Testing
import TurbiditeSimulation

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Closing")
struct CloseTests {
  /// Fills a store, deletes most of it and compacts it.
  private func replaceTables(of store: Store) throws {
    for round in 0..<3 {
      for number in 0..<50 { try store.blocking.put(Bytes("key\(number)"), Bytes("\(round)")) }
      try store.blocking.flush()
    }
    try store.blocking.deleteRange(KeyRange(from: "key1"))
    try store.blocking.compact()
  }

  @Test("a closed store has no file that it does not consist of, whatever was left to be done")
  func obsolete() throws {
    for seed in UInt64(1)...40 {
      let machine = SimulatedMachine(seed: seed)
      let store = try machine.open(Store.Options(shardCount: 2))
      try replaceTables(of: store)
      try store.blocking.close()
      let files = try Engine.inventory(machine.disk, name: "store")
      let stray = files.filter { !$0.isReferenced }.map(\.path)
      #expect(stray.isEmpty, "seed \(seed)")
      let again = try machine.open()
      #expect(try again.blocking.get("key0") == "2")
      #expect(try again.blocking.get("key1") == nil)
      try again.blocking.close()
    }
  }
}
