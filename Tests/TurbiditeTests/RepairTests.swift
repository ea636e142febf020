// RepairTests — what a repair does with whole stores, lost files, deletions, and crashes.

import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// A repair loses nothing of a whole store, brings back nothing that was deleted, touches nothing
/// of the damaged store, and leaves a whole new one or none.
@Suite("Repair")
struct RepairTests {
  private func repair(
    _ disk: SimulatedDisk, into target: SimulatedDisk
  ) throws(StoreError) -> Repair {
    try Turbidite.repair(
      disk, name: "simulated", into: "new", of: target, random: SeededRandom(seed: 3)
    ) { (_, _) throws(StoreError) in }
  }

  /// A store after random work, and what is in it.
  private func written(
    _ seed: UInt64, _ set: OptionSet
  ) throws -> (SimulatedDisk, [PlacedKey: [UInt8]]) {
    let random = SeededRandom(seed: seed)
    let machine = SimulatedMachine(seed: seed)
    let store = try machine.open(set.options)
    for _ in 0..<300 {
      let key = Bytes("key\(random.below(60))")
      switch random.below(20) {
      case 0: try store.blocking.flush()
      case 1: try store.blocking.deleteRange(KeyRange(from: key, to: Bytes(key.array + [57])))
      case 2..<6: try store.blocking.delete(key)
      default:
        try store.blocking.put(key, Bytes(Array(repeating: UInt8(random.below(256)), count: 30)))
      }
      if random.below(100) == 0 { try store.blocking.compact() }
    }
    if seed.isMultiple(of: 2) { try store.blocking.close() } else { store.engine.abandon() }
    return (machine.disk, try Specimen.contents(of: machine.disk.copy()).values)
  }

  @Test(
    "a whole store is saved whole, with its manifest and without", arguments: OptionSet.allCases)
  func whole(_ set: OptionSet) throws {
    for seed in 1...6 as ClosedRange<UInt64> {
      let (disk, truth) = try written(seed, set)
      for hasManifest in [true, false] {
        let copy = disk.copy()
        if !hasManifest {
          for file in try copy.list("") where file.hasPrefix("MANIFEST") { try copy.remove(file) }
        }
        let target = SimulatedDisk()
        let result = try repair(copy, into: target)
        #expect(result.isComplete == hasManifest, "seed \(seed): \(result.files)")
        let saved = try Specimen.contents(of: target, in: "new")
        #expect(saved.values == truth, "seed \(seed), \(set), manifest: \(hasManifest)")
        #expect(saved.objection == nil)
      }
    }
  }

  @Test("a log without a manifest and without a directory for tables is saved")
  func logAlone() throws {
    let machine = SimulatedMachine(seed: 4)
    let store = try machine.open(Store.Options(shardCount: 1))
    for number in 0..<50 { try store.blocking.put(Bytes("key\(number)"), "value") }
    try store.blocking.close()
    let disk = machine.disk
    for file in try disk.list("") where file.hasPrefix("MANIFEST") { try disk.remove(file) }
    for directory in ["shards/0000", "shards"] { try disk.removeDirectory(directory) }
    let error = #expect(throws: StoreError.self) { try machine.open(mode: .existing) }
    #expect(error?.errorClass == "corruption")
    let target = SimulatedDisk()
    _ = try repair(disk, into: target)
    #expect(try Specimen.contents(of: target, in: "new").values.count == 50)
  }

  /// The table is damaged, so that its tree takes all of the log; what was carried of the old shard
  /// names that shard.
  @Test("what was deleted as a range before its slot moved stays deleted", arguments: 1...16)
  func carriedThenMoved(seed: Int) throws {
    let machine = SimulatedMachine(seed: UInt64(seed))
    var options = Store.Options(shardCount: 2)
    options.logByteCount = 64 << 10
    options.memtableByteCount = 64 << 10
    let store = try machine.open(options)
    let other = try store.blocking.createKeyspace("other")
    for number in 0..<400 { try store.blocking.put(Bytes("key\(number)"), "1", in: other) }
    try store.blocking.compact()
    for number in 400..<440 { try store.blocking.put(Bytes("gone\(number)"), "1", in: other) }
    try store.blocking.deleteRange(.prefix("gone"), in: other)
    // The log grows, and what the other keyspace has in memory is appended again.
    let value = Bytes(String(repeating: "x", count: 900))
    for number in 0..<(50 + 5 * seed) { try store.blocking.put(Bytes("long\(number % 20)"), value) }
    try store.blocking.reshard(.add)
    for number in 0..<20 { try store.blocking.put(Bytes("more\(number)"), "1") }
    let expected = try Specimen.contents(of: machine.disk.copy()).values
    let disk = machine.disk.copy()
    for table in try disk.list("shards/0002") {
      try disk.corrupt("shards/0002/\(table)", at: 70, xor: 1)
    }
    let (_, saved) = try Specimen.repaired(disk)
    for key in saved.keys { #expect(expected[key] != nil, "\(key) came back") }
  }

  @Test("a store whose log is all that it has, and all of it, is whole")
  func neverFlushed() throws {
    let machine = SimulatedMachine(seed: 4)
    let store = try machine.open()
    for number in 0..<50 { try store.blocking.put(Bytes("key\(number)"), "value") }
    try store.blocking.close()
    let target = SimulatedDisk()
    let result = try repair(machine.disk.copy(), into: target)
    #expect(result.isComplete, "\(result.files)")
    #expect(!result.areCommitsLost)
    #expect(try Specimen.contents(of: target, in: "new").values.count == 50)
  }

  @Test(
    "a directory that is gone, or a file that is a directory, is no reason to give up",
    arguments: ["log", "table", "shard"])
  func oddEntries(_ kind: String) throws {
    let machine = SimulatedMachine(seed: 8)
    let store = try machine.open(Store.Options(shardCount: 2))
    for number in 0..<60 { try store.blocking.put(Bytes("key\(number)"), "value") }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    try store.blocking.close()
    let disk = machine.disk.copy()
    let table = "shards/0000/" + (try #require(try disk.list("shards/0000").first))
    var odd = table
    switch kind {
    case "log":
      for name in try disk.list("log") { try disk.remove("log/" + name) }
      try disk.removeDirectory("log")
      odd = "log"
    case "table":
      try disk.remove(table)
      try disk.createDirectory(table)
    default:
      for name in try disk.list("shards/0000") { try disk.remove("shards/0000/" + name) }
      try disk.removeDirectory("shards/0000")
    }
    let target = SimulatedDisk()
    let result = try repair(disk, into: target)
    #expect(result.files.contains { $0.path == odd }, "\(result.files)")
    // Nothing is in the log that is not in tables, and each table has the keys of its shard.
    let count = try Specimen.contents(of: target, in: "new").values.count
    #expect(kind == "log" ? count == 60 : count > 15 && count < 45, "\(count) keys")
  }

  @Test("a damaged table withholds no more than a missing one", arguments: ["gone", "cut", "flip"])
  func boundsOfALoss(_ damage: String) throws {
    let machine = SimulatedMachine(seed: 12)
    let store = try machine.open(Store.Options(shardCount: 1))
    for number in 10..<30 { try store.blocking.put(Bytes("key\(number)"), "old") }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    let old = Set(try machine.disk.list("shards/0000"))
    try store.blocking.delete("key20")
    try store.blocking.put("key21", "new")
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    try store.blocking.close()
    let disk = machine.disk.copy()
    for name in try disk.list("log") { try disk.remove("log/" + name) }
    let newer = try disk.list("shards/0000").filter { !old.contains($0) }
    let path = "shards/0000/" + (try #require(newer.first))
    #expect(newer.count == 1)
    var bytes = try #require(disk.contents(path))
    bytes[TableFormat.headerByteCount + 3] ^= 1
    switch damage {
    case "gone": try disk.remove(path)
    case "cut": try disk.setContents(path, [])
    default: try disk.setContents(path, bytes)
    }
    let target = SimulatedDisk()
    let result = try repair(disk, into: target)
    #expect(!result.isComplete)
    let saved = try Specimen.contents(of: target, in: "new").values
    #expect(saved.count == 18, "\(result.withheldEntryCount) withheld; \(result.files)")
  }

  @Test("every loss in a log is told, though another is told already")
  func severalLosses() throws {
    let machine = SimulatedMachine(seed: 6)
    var options = Store.Options(shardCount: 1)
    options.logByteCount = 1 << 20
    let store = try machine.open(options)
    for number in 0..<40 { try store.blocking.put(Bytes("key\(1000 + number)"), "value") }
    try store.blocking.sync()
    for number in 40..<80 { try store.blocking.put(Bytes("key\(1000 + number)"), "value") }
    try store.blocking.close()
    let name = try #require(try machine.disk.list("log").first)
    let whole = try #require(machine.disk.contents("log/" + name))
    let frame = (whole.count - LogSegmentHeader.byteCount) / 81
    for (flips, isCut) in [(true, false), (false, true), (true, true)] {
      let disk = machine.disk.copy()
      var bytes = whole
      if flips { bytes[LogSegmentHeader.byteCount + 10 * frame + frame / 2] ^= 1 }
      // Twenty bytes of a frame that is not the last stay: as many as a seal has.
      if isCut { bytes.removeLast(bytes.count - LogSegmentHeader.byteCount - 50 * frame - 20) }
      try disk.setContents("log/" + name, bytes)
      let target = SimulatedDisk()
      let result = try repair(disk, into: target)
      let losses = result.files.flatMap(\.losses)
      #expect(!result.isComplete)
      #expect(losses.contains { $0.offset < 20 * frame && $0.offset > 0 } == flips, "\(losses)")
      #expect(result.areCommitsLost)
      #expect(result.lostSequences.contains(11..<12) == flips, "\(result.lostSequences)")
      #expect(losses.contains { $0.offset == 0 || $0.offset > 40 * frame } == isCut, "\(losses)")
    }
  }

  @Test("blocks are found without an index, though values look like the ends of blocks")
  func misleadingValues() throws {
    let machine = SimulatedMachine(seed: 5)
    let random = SeededRandom(seed: 5)
    let store = try machine.open(Store.Options(shardCount: 1))
    for number in 0..<200 {
      var value: [UInt8] = []
      for _ in 0..<250 { value.append(littleEndian: UInt32(random.below(1 << 24))) }
      try store.blocking.put(Bytes("key\(1000 + number)"), Bytes(value))
    }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    try store.blocking.close()
    let disk = machine.disk.copy()
    for path in try disk.list("log") { try disk.remove("log/" + path) }
    let table = try #require(try disk.list("shards/0000").first)
    var bytes = try #require(disk.contents("shards/0000/" + table))
    bytes[bytes.count - 60] ^= 1
    try disk.setContents("shards/0000/" + table, bytes)
    let target = SimulatedDisk()
    let result = try repair(disk, into: target)
    let saved = try Specimen.contents(of: target, in: "new").values
    #expect(saved.count == 200, "\(result.files)")
  }

  @Test("what a lost block may have deleted stays away, and is counted")
  func withheld() throws {
    let machine = SimulatedMachine(seed: 9)
    var options = Store.Options(shardCount: 1)
    options.blockByteCount = 256
    options.logByteCount = 64 << 10
    let store = try machine.open(options)
    for number in 10..<90 { try store.blocking.put(Bytes("key\(number)"), "old") }
    try store.blocking.compact()
    for number in 10..<90 where number.isMultiple(of: 2) {
      try store.blocking.delete(Bytes("key\(number)"))
    }
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    try store.blocking.close()
    let specimen = machine.disk
    // The newest table holds deletions alone; without the log, only the old table knows the keys.
    let newest = try #require(try specimen.list("shards/0000").max())
    try specimen.corrupt("shards/0000/\(newest)", at: TableFormat.headerByteCount + 20, xor: 0xff)
    for segment in try specimen.list("log") { try specimen.remove("log/\(segment)") }
    let target = SimulatedDisk()
    let result = try repair(specimen, into: target)
    let saved = try Specimen.contents(of: target, in: "new").values
    #expect(!result.isComplete)
    #expect(result.withheldEntryCount > 0)
    for key in saved.keys {
      let number = try #require(Int(String(decoding: key.key.suffix(2), as: UTF8.self)))
      #expect(!number.isMultiple(of: 2), "key\(number) was deleted")
    }
    #expect(saved.count + Int(result.withheldEntryCount) >= 40)
  }

  @Test("a store that a process is writing is refused")
  func live() throws {
    let machine = SimulatedMachine(seed: 9)
    let store = try machine.open()
    try store.blocking.put("a", "1")
    let target = SimulatedDisk()
    #expect(throws: StoreError.locked(path: "simulated")) {
      try repair(machine.disk, into: target)
    }
    #expect(try target.list("").allSatisfy { $0 != "new" })
  }

  @Test("what is in the place of the new store stays")
  func occupied() throws {
    let (disk, _) = try written(2, .defaults)
    let target = SimulatedDisk()
    _ = try repair(disk, into: target)
    let before = try Specimen.contents(of: target, in: "new").values
    #expect(throws: StoreError.storeExists(path: "new")) { try repair(disk, into: target) }
    #expect(try Specimen.contents(of: target, in: "new").values == before)
  }

  /// What a store suffers before it is repaired.
  enum Ailment: CaseIterable {
    case none
    case block
    case manifest

    func apply(to disk: SimulatedDisk) throws {
      switch self {
      case .none: break
      case .block:
        // The log has the same entries.
        for segment in try disk.list("log") { try disk.remove("log/\(segment)") }
        let table = try #require(try disk.list("shards/0000").max())
        try disk.corrupt("shards/0000/\(table)", at: TableFormat.headerByteCount + 20, xor: 0xff)
      case .manifest:
        for file in try disk.list("") where file.hasPrefix("MANIFEST") { try disk.remove(file) }
      }
    }
  }

  /// Repairs `disk` into `target`, which fails from its operation `stop` on.
  ///
  /// - Returns: how many operations there were.
  private func repair(
    _ disk: SimulatedDisk, into target: SimulatedDisk, stoppingAt stop: Int?
  ) throws -> Int {
    let start = target.operationCount
    target.beforeOperation = { operation, index throws(SystemError) in
      if let stop, index >= start + stop {
        throw SystemError(operation: "crash", path: operation.path, code: 5)
      }
    }
    defer { target.beforeOperation = nil }
    do throws(StoreError) {
      _ = try repair(disk, into: target)
      #expect(stop == nil)
    } catch {
      #expect(stop != nil, "\(error)")
    }
    return target.operationCount - start
  }

  @Test(
    "a crash or a failure at any operation leaves a whole store or none, and a second try works",
    arguments: Ailment.allCases)
  func crash(_ ailment: Ailment) throws {
    let (disk, truth) = try written(2, .defaults)
    try ailment.apply(to: disk)
    let before = try Specimen.paths(of: disk).map { disk.contents($0) }
    let undisturbed = SimulatedDisk()
    let operations = try repair(disk, into: undisturbed, stoppingAt: nil)
    let saved = try Specimen.contents(of: undisturbed, in: "new").values
    #expect(operations > 20)
    #expect((saved == truth) == (ailment != .block))
    var states: Set<UInt64> = []
    var retryCount = 0
    /// What a crash left is the whole new store, or nothing that keeps a repair from making it.
    func check(_ target: SimulatedDisk, _ name: String) throws {
      if !(try target.list("").contains("new")) {
        _ = try repair(disk, into: target, stoppingAt: nil)
        #expect(try target.list("") == ["new"], "\(name)")
      }
      #expect(try Specimen.contents(of: target, in: "new").values == saved, "\(name)")
    }
    for stop in 0..<operations {
      let target = SimulatedDisk()
      _ = try repair(disk, into: target, stoppingAt: stop)
      for survivors in target.crashSurvivors(.posix) {
        let after = target.crashed(.these(survivors))
        guard states.insert(after.durableHash).inserted else { continue }
        if !(try after.list("").contains("new")) {
          // The second try is crashed as well, at calls that differ from state to state.
          for second in stride(from: states.count % 8, to: operations, by: 8) {
            let again = after.copy()
            _ = try repair(disk, into: again, stoppingAt: second)
            retryCount += 1
            for survivors in again.crashSurvivors(.posix).suffix(2) {
              let name = "operation \(stop), then \(second)"
              try check(again.crashed(.these(survivors)), name)
            }
          }
        }
        try check(after, "operation \(stop)")
      }
    }
    print(
      "repair crashes, \(ailment): \(operations) operations, \(states.count) distinct states,"
        + " \(retryCount) crashes of a second try")
    #expect(retryCount > 100)
    #expect(try Specimen.paths(of: disk).map { disk.contents($0) } == before)
  }

  @Test("a directory that holds no store is refused, and nothing is made")
  func noStore() throws {
    let target = SimulatedDisk()
    #expect(throws: StoreError.self) { try repair(SimulatedDisk(), into: target) }
    #expect(try target.list("").isEmpty)
  }
}
