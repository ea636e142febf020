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

  /// Opens a store as often as it takes to fill three memtables, each time for a few records.
  ///
  /// - Returns: the bytes of its log in the end.
  private func fillInShortOpenings(_ machine: SimulatedMachine) throws -> Int {
    var options = Store.Options()
    options.memtableByteCount = 1 << 20
    let value = Bytes([UInt8](repeating: 7, count: 20_000))
    var number = 0
    while number < 150 {
      let store = try machine.open(options)
      for _ in 0..<10 {
        try store.blocking.put(Bytes("key\(number)"), value)
        number += 1
      }
      try store.blocking.close()
    }
    let files = try Engine.inventory(machine.disk, name: "store")
    return files.filter { $0.path.hasPrefix("log/") }.reduce(0) { $0 + Int($1.byteCount) }
  }

  /// A flush that each close broke off left the log to the next opening, all of it.
  @Test("the log of a store that is open for moments only is no longer than a memtable")
  func shortOpenings() throws {
    for seed in UInt64(1)...20 {
      let machine = SimulatedMachine(seed: seed)
      #expect(try fillInShortOpenings(machine) < 3 << 19, "seed \(seed)")
      let store = try machine.open(Store.Options(), mode: .existing)
      for number in 0..<150 {
        #expect(try store.blocking.get(Bytes("key\(number)"))?.count == 20_000)
      }
      try store.blocking.close()
    }
  }
}
