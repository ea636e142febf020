// LogSpaceTests — what the log takes of the disk, and when it gives it back.

import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("The log's space")
struct LogSpaceTests {
  private func logByteCount(_ machine: SimulatedMachine) throws -> Int {
    try machine.disk.list("log").reduce(0) {
      $0 + (machine.disk.contents("log/\($1)")?.count ?? 0)
    }
  }

  @Test("a flush leaves nothing of the log, and what follows is found by the next opening")
  func flush() throws {
    let machine = SimulatedMachine(seed: 1)
    var expected: [Bytes: Bytes] = [:]
    for round in 0..<4 {
      let store = try machine.open(Store.Options(shardCount: 2))
      for number in 0..<20 {
        let key = Bytes("key\(number * round)")
        try store.blocking.put(key, Bytes("\(round)"))
        expected[key] = Bytes("\(round)")
      }
      #expect(try logByteCount(machine) > 0)
      try store.blocking.flush()
      store.blocking.waitUntilIdle()
      #expect(try machine.disk.list("log").isEmpty)
      try store.blocking.put("last", Bytes("\(round)"))
      expected["last"] = Bytes("\(round)")
      if round.isMultiple(of: 2) { try store.blocking.close() } else { store.engine.abandon() }
      #expect(try machine.verify().allSatisfy { $0.severity == .note })
    }
    let store = try machine.open()
    for (key, value) in expected { #expect(try store.blocking.get(key) == value) }
    try store.blocking.close()
  }

  @Test("zeros are written ahead of short frames that are synced, one after the other, alone")
  func zeros() throws {
    let machine = SimulatedMachine(seed: 4)
    let store = try machine.open(Store.Options(shardCount: 1))
    /// The bytes to which zeros are written ahead of one commit.
    func zeroed(_ durability: Durability, _ valueByteCount: Int = 10) throws -> Int {
      let before = machine.disk.zeroedByteCount
      // Not to be compressed.
      let random = SeededRandom(seed: UInt64(before))
      let value = Bytes((0..<valueByteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) })
      try store.blocking.put("key", value, durability: durability)
      return machine.disk.zeroedByteCount - before
    }
    #expect(try zeroed(.synced) == 0)
    let first = try zeroed(.synced)
    #expect(0 < first && first <= 256 << 10)
    // What was written ahead is for these.
    for _ in 0..<10 { #expect(try zeroed(.synced) == 0) }
    for _ in 0..<500 { #expect(try zeroed(.buffered, 1000) == 0) }
    #expect(try zeroed(.synced) == 0)
    #expect(try zeroed(.synced) > 0)
    for _ in 0..<4 { #expect(try zeroed(.synced, 200 << 10) == 0) }
    try store.blocking.close()
    let again = try machine.open()
    #expect(try again.blocking.get("key")?.count == 200 << 10)
    try again.blocking.close()
  }

  @Test("records that repeat themselves take less of the log, unless the store does not compress")
  func compression() throws {
    var taken: [Bool: Int] = [:]
    for compresses in [true, false] {
      let machine = SimulatedMachine(seed: 2)
      var options = Store.Options(shardCount: 1)
      options.compresses = compresses
      let store = try machine.open(options)
      for number in 0..<200 {
        let value = Bytes([UInt8](repeating: UInt8(number), count: 100))
        try store.blocking.put(Bytes("key\(number)"), value)
      }
      try store.blocking.close()
      taken[compresses] = try logByteCount(machine)
      let again = try machine.open(options)
      for number in 0..<200 {
        let value = Bytes([UInt8](repeating: UInt8(number), count: 100))
        #expect(try again.blocking.get(Bytes("key\(number)")) == value)
      }
      try again.blocking.close()
    }
    #expect(try #require(taken[true]) * 2 < (try #require(taken[false])))
  }

  @Test("an opening that must flush before it has read the whole log forgets none of it")
  func smallerBudget() throws {
    let machine = SimulatedMachine(seed: 3)
    var options = Store.Options(shardCount: 1)
    options.logByteCount = 3 << 20
    var store = try machine.open(options)
    let random = SeededRandom(seed: 3)
    var expected: [Bytes: Bytes] = [:]
    for number in 0..<1_600 {
      let value = Bytes((0..<1_000).map { _ in UInt8(random.below(256)) })
      expected[Bytes("key\(number)")] = value
      try store.blocking.put(Bytes("key\(number)"), value)
    }
    try store.blocking.close()
    #expect(try machine.disk.list("log").count > 2)
    options.memoryBudgetByteCount = 1 << 20
    for _ in 0..<3 {
      // Closed at once: a flush of what rests would hide the loss.
      try machine.open(options).blocking.close()
    }
    store = try machine.open()
    for (key, value) in expected { #expect(try store.blocking.get(key) == value) }
    try store.blocking.close()
  }

  @Test("no segment comes back alone: a repair without a manifest finds nothing that was deleted")
  func order() throws {
    let machine = SimulatedMachine(seed: 2)
    var options = Store.Options(shardCount: 1)
    options.compresses = false
    options.logByteCount = 64 << 10
    options.memtableByteCount = 1 << 20
    let store = try machine.open(options)
    try store.blocking.put("k", "v", durability: .synced)
    for number in 0..<60 {
      try store.blocking.put(
        Bytes("key\(number)"), Bytes([UInt8](repeating: 7, count: 400)))
    }
    try store.blocking.delete("k", durability: .synced)
    try store.blocking.compact()
    store.blocking.waitUntilIdle()
    for survivors in machine.disk.crashSurvivors(.posix) {
      let after = machine.disk.crashed(.these(survivors))
      let truth = try Specimen.contents(of: after.copy()).values
      for file in try after.list("") where file.hasPrefix("MANIFEST") { try after.remove(file) }
      let (result, saved) = try Specimen.repaired(after)
      let isTold = result.files.contains { $0.path.hasPrefix("log/") && $0.fate == .lost }
      #expect(saved == truth || isTold)
    }
  }

  @Test("what is held back on a disk with plenty is enough to open the store when that is gone")
  func reopening() throws {
    let machine = SimulatedMachine(seed: 4)
    var options = Store.Options(shardCount: 1)
    options.compresses = false
    options.memoryBudgetByteCount = 32 << 20
    options.memtableByteCount = 8 << 20
    machine.disk.setSpaceLimit(1 << 30)
    let store = try machine.open(options)
    for value in [7, 8] as [UInt8] {
      for number in 0..<1_000 {
        try store.blocking.put(
          Bytes("key\(number)"), Bytes([UInt8](repeating: value, count: 1_000)))
      }
      if value == 7 { try store.blocking.flush() }
      store.blocking.waitUntilIdle()
    }
    // Somebody else fills the disk, and the process is killed.
    let available = Int(try machine.disk.availableByteCount())
    machine.disk.setSpaceLimit((1 << 30) - available)
    store.engine.abandon()
    let again = try machine.open(options)
    try again.blocking.delete("key1")
    #expect(try again.blocking.get("key2") == Bytes([UInt8](repeating: 8, count: 1_000)))
    try again.blocking.close()
  }
}
