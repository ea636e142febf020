// FullDiskTests — a full or damaged disk holds up what it must, and nothing else.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

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
    machine.disk.setSpaceLimit(300_000)
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
}
