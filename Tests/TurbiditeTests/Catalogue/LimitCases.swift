// LimitCases — docs/catalogue.md: clocks, closed stores, moments and sizes.

import Testing
import TurbiditeSimulation

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Cases of limits and life")
struct LimitCases {
  private static var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 16 << 10
    options.tableByteCount = 16 << 10
    options.memoryBudgetByteCount = 2 << 20
    options.logByteCount = 64 << 10
    return options
  }

  @Test("case 45: jumps of the wall clock change nothing, not one call of the disk")
  func case45() throws {
    func run(_ walls: [UInt64]) throws -> (UInt64, [String: String]) {
      let machine = SimulatedMachine(seed: 45)
      var store = try machine.open(Self.options)
      for round in 0..<walls.count {
        machine.clock.setWall(seconds: walls[round])
        for number in 0..<40 {
          let value = String(repeating: "\(round)", count: 300)
          try store.blocking.put(Bytes("key\(number * 7 % 60)"), Bytes(value))
        }
        if round % 2 == 1 { try store.blocking.compact() }
        try store.blocking.close()
        store = try machine.open(Self.options)
      }
      defer { store.engine.abandon() }
      return (machine.disk.traceHash, try contents(store))
    }
    let steady = try run([1000, 1001, 1002, 1003])
    for walls: [UInt64] in [[1000, 10, 0, 5], [0, .max, 1, 0], [7, 7, 7, 7]] {
      let jumping = try run(walls)
      #expect(jumping.0 == steady.0, "\(walls): the disk was used otherwise")
      #expect(jumping.1 == steady.1)
    }
  }

  @Test("case 48: a scan keeps its moment while its files are replaced", arguments: [false, true])
  func case48(reverse: Bool) throws {
    let machine = SimulatedMachine(seed: 48)
    let store = try machine.open(Self.options)
    for number in 100..<300 {
      try store.blocking.put(Bytes("key\(number)"), Bytes(String(repeating: "a", count: 200)))
    }
    try store.blocking.flush()
    let scan = try store.blocking.scan(reverse: reverse)
    var seen = 0
    while let entry = try scan.next() {
      #expect(entry.value.text?.first == "a")
      seen += 1
      guard seen % 50 == 1 else { continue }
      for number in 100..<300 {
        try store.blocking.put(Bytes("key\(number)"), Bytes(String(repeating: "b", count: 200)))
      }
      try store.blocking.deleteRange(KeyRange(from: "key150", to: "key250"))
      try store.blocking.compact()
    }
    #expect(seen == 200)
    #expect(try store.blocking.scan().count() == 100)
    try store.blocking.close()
  }

  @Test("case 49: what is used after the close says so, and nothing is left open")
  func case49() throws {
    let machine = SimulatedMachine(seed: 49)
    do {
      let store = try machine.open(Self.options)
      for number in 0..<100 { try store.blocking.put(Bytes("key\(number)"), "1") }
      try store.blocking.flush()
      let snapshot = store.snapshot()
      let scans = try (0..<3).map { _ in try store.blocking.scan() }
      _ = try scans[0].next()
      _ = try scans[1].count()
      try store.blocking.close()
      for scan in scans.dropFirst(2) + [scans[0]] {
        #expect(storeError { _ = try scan.next() } == .closed)
        #expect(storeError { _ = try scan.count() } == .closed)
        #expect(storeError { try scan.forEach { _, _ in true } } == .closed)
      }
      #expect(storeError { _ = try snapshot.get("key1") } == .closed)
      #expect(storeError { _ = try snapshot.blockingScan() } == .closed)
      #expect(storeError { _ = try store.blocking.scan() } == .closed)
      #expect(storeError { try store.blocking.put("a", "1") } == .closed)
      #expect(storeError { try store.blocking.dropKeyspace("a") } == .closed)
      _ = store.snapshot().sequence
      try store.blocking.close()
      // While old scans are alive the store may be opened again: they hold no lock.
      let again = try machine.open(Self.options)
      #expect(try again.blocking.scan().count() == 100)
      try again.blocking.close()
      withExtendedLifetime(scans) {}
    }
    #expect(machine.disk.openFileCount == 0)
  }

  @Test("case 50: a snapshot sees exactly its moment, however keys lie in files")
  func case50() throws {
    let machine = SimulatedMachine(seed: 50)
    let store = try machine.open(Self.options)
    let empty = store.snapshot()
    #expect(empty.sequence == 0)
    try store.blocking.put("key", "1")
    let first = store.snapshot()
    // The same key over and over, in memtables, in level 0 and below.
    for round in 2...40 {
      try store.blocking.put("key", Bytes("\(round)"))
      try store.blocking.put(Bytes("fill\(round)"), Bytes(String(repeating: "x", count: 2000)))
      if round % 3 == 0 { try store.blocking.flush() }
    }
    let middle = store.snapshot()
    try store.blocking.delete("key")
    let deleted = store.snapshot()
    try store.blocking.put("key", "last")
    for _ in 0..<2 {
      try store.blocking.compact()
      #expect(try empty.get("key") == nil)
      #expect(try empty.blockingScan().count() == 0)
      #expect(try first.get("key") == "1")
      #expect(try first.blockingScan().count() == 1)
      #expect(try middle.get("key") == "40")
      #expect(try middle.blockingScan(reverse: true).count() == 40)
      #expect(try deleted.get("key") == nil)
      #expect(try deleted.blockingScan().count() == 39)
      #expect(try store.blocking.get("key") == "last")
    }
    try store.blocking.close()
  }

  @Test("case 51: sizes at their bounds are taken, those beyond cost no call of the disk")
  func case51() throws {
    let machine = SimulatedMachine(seed: 51)
    let store = try machine.open(Store.Options(shardCount: 2))
    let blocking = store.blocking
    let keys = [1, 2, 64 << 10].map { Bytes([UInt8](repeating: 0xff, count: $0)) }
    for key in keys { try blocking.put(key, "") }
    try blocking.put("one", "1")
    try blocking.put("\0", "\0")
    try blocking.commit(Store.Batch())
    let long = String(repeating: "n", count: 255)
    let named = try blocking.createKeyspace(long)
    try blocking.put("a", "1", in: named)
    try blocking.deleteRange(KeyRange(from: "b", to: "b"))
    let refused = machine.disk.changes {
      let tooLong = Bytes([UInt8](repeating: 1, count: 64 << 10 + 1))
      for error in [
        storeError { try blocking.put("", "1") }, storeError { try blocking.put(tooLong, "1") },
        storeError { try blocking.delete("") }, storeError { try blocking.delete(tooLong) },
        storeError { _ = try blocking.createKeyspace("") },
        storeError { _ = try blocking.createKeyspace(long + "n") },
        // 255 characters, but more bytes.
        storeError { _ = try blocking.createKeyspace(String(repeating: "ü", count: 128)) },
      ] {
        guard case .invalidArgument = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
      }
    }
    #expect(refused == 0)
    for flushes in [false, true] {
      if flushes { try blocking.flush() }
      for key in keys { #expect(try blocking.get(key) == "") }
      #expect(try blocking.scan().count() == 5)
    }
    try blocking.close()
    let again = try machine.open()
    for key in keys { #expect(try again.blocking.get(key) == "") }
    #expect(try again.blocking.get("a", in: again.blocking.keyspace(long)) == "1")
    try again.blocking.close()
  }
}
