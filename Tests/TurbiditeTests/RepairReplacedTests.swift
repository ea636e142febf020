// RepairReplacedTests — repairs without a manifest of stores where replaced tables are still there.

import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// Without a manifest a table that a compaction replaced does not count, for the deletion of a key
/// that it holds may be in no file any more.
@Suite("Repair of replaced tables")
struct RepairReplacedTests {
  /// The tables that the manifest names.
  private static func tables(of disk: SimulatedDisk) throws -> [String: [UInt8]] {
    let manifest = try #require(try disk.list("").filter { $0.hasPrefix("MANIFEST") }.max())
    let contents = try ManifestContents(try disk.open(manifest, .read))
    var tables: [String: [UInt8]] = [:]
    contents.state.forEachTable { tree, _, table in
      let path = FileNames.table(shard: tree.shard, table.fileNumber)
      tables[path] = disk.contents(path)
    }
    return tables
  }

  private static func loseManifest(_ disk: SimulatedDisk) throws {
    for file in try disk.list("") where file.hasPrefix("MANIFEST") { try disk.remove(file) }
  }

  /// A store of one shard, and files that it had.
  private struct Merged {
    /// Without manifest and log.
    var disk: SimulatedDisk
    var truth: [PlacedKey: [UInt8]]
    /// What the last compaction merged: tables with every key, and one with the deletions.
    var values: [String: [UInt8]]
    var deletions: [String: [UInt8]]
    /// What it wrote, in order.
    var outputs: [String]

    func putBack(_ files: [String: [UInt8]]) throws -> SimulatedDisk {
      let copy = disk.copy()
      for (path, bytes) in files {
        _ = try copy.open(path, .create)
        try copy.setContents(path, bytes)
      }
      return copy
    }
  }

  private func merged() throws -> Merged {
    var options = Store.Options(shardCount: 1)
    options.blockByteCount = 256
    options.tableByteCount = 4 << 10
    let machine = SimulatedMachine(seed: 11)
    let random = SeededRandom(seed: 12)
    let store = try machine.open(options)
    // Twice: one table alone would be moved, not merged.
    for _ in 0..<2 {
      for number in 100..<300 {
        let value = (0..<60).map { _ in UInt8(random.below(256)) }
        try store.blocking.put(Bytes("key\(number)"), Bytes(value))
      }
      try store.blocking.flush()
    }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    let values = try Self.tables(of: machine.disk)
    for number in 100..<300 where !number.isMultiple(of: 3) {
      try store.blocking.delete(Bytes("key\(number)"))
    }
    try store.blocking.flush()
    let deletions = try Self.tables(of: machine.disk).filter { values[$0.key] == nil }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    try store.blocking.close()
    let disk = machine.disk.copy()
    let truth = try Specimen.contents(of: disk.copy()).values
    let outputs = try Self.tables(of: disk).keys.sorted()
    try Self.loseManifest(disk)
    for segment in try disk.list("log") { try disk.remove("log/\(segment)") }
    for path in try Specimen.paths(of: disk) where !outputs.contains(path) { try disk.remove(path) }
    #expect(values.count > 1)
    #expect(deletions.count == 1)
    #expect(outputs.count > 1)
    #expect(outputs.allSatisfy { values[$0] == nil && deletions[$0] == nil })
    return Merged(
      disk: disk, truth: truth, values: values, deletions: deletions, outputs: outputs)
  }

  @Test("a table that a whole compaction replaced does not count, and is no loss")
  func replaced() throws {
    let merged = try merged()
    var leftovers = merged.values.map { [$0.key: $0.value] }
    leftovers += [merged.values, merged.deletions]
    leftovers.append(merged.values.merging(merged.deletions) { one, _ in one })
    for files in leftovers {
      let (result, saved) = try Specimen.repaired(try merged.putBack(files))
      #expect(saved == merged.truth, "\(files.keys.sorted()) came back")
      #expect(result.withheldEntryCount == 0)
      for file in result.files where files[file.path] != nil {
        #expect(file.fate == .unused && file.losses.isEmpty, "\(file)")
      }
    }
  }

  /// What may happen to one table that a compaction wrote.
  enum Harm: CaseIterable {
    case firstBlock
    case properties
    case file

    func apply(to path: String, of disk: SimulatedDisk) throws {
      let count = try #require(disk.contents(path)).count
      switch self {
      case .firstBlock:
        try disk.corrupt(path, at: TableFormat.headerByteCount + 20, xor: 0xff)
      case .properties:
        try disk.corrupt(
          path, at: count - TableFormat.footerByteCount - TableFormat.trailerByteCount - 30,
          xor: 0xff)
      case .file: try disk.remove(path)
      }
    }
  }

  @Test(
    "where a compaction's table is damaged, its inputs count if all are there, or not at all",
    arguments: Harm.allCases)
  func damaged(_ harm: Harm) throws {
    let merged = try merged()
    let inputs = merged.values.merging(merged.deletions) { one, _ in one }
    for output in merged.outputs {
      let whole = try merged.putBack(inputs)
      try harm.apply(to: output, of: whole)
      let (_, restored) = try Specimen.repaired(whole)
      #expect(restored == merged.truth, "\(output) is damaged, all of its inputs are there")
      let parted = try merged.putBack(merged.values)
      try harm.apply(to: output, of: parted)
      let (result, saved) = try Specimen.repaired(parted)
      #expect(
        saved.allSatisfy { merged.truth[$0.key] == $0.value },
        "\(output) is damaged, the deletions are gone")
      #expect(result.withheldEntryCount >= 200)
      #expect(!result.isComplete)
    }
  }

  @Test("what a table with a damaged header says of others counts")
  func damagedHeader() throws {
    let merged = try merged()
    for output in merged.outputs {
      let disk = try merged.putBack(merged.values)
      try disk.corrupt(output, at: 13, xor: 0x40)
      let (result, saved) = try Specimen.repaired(disk)
      #expect(saved == merged.truth, "the header of \(output) is damaged")
      #expect(result.withheldEntryCount == 0)
    }
  }

  @Test("files that were never removed do not count, however often their successors were replaced")
  func neverRemoved() throws {
    var leftoverCount = 0
    for seed in 1...12 as ClosedRange<UInt64> {
      let machine = SimulatedMachine(seed: seed, rarePathOdds: 40)
      machine.disk.beforeOperation = { operation, _ throws(SystemError) in
        guard operation.kind == .remove, operation.path.hasPrefix("shards/") else { return }
        guard operation.path.utf8.reduce(seed, { ($0 &* 31) ^ UInt64($1) }) % 3 != 0 else { return }
        throw SystemError(operation: "unlink", path: operation.path, code: 5)
      }
      try work(on: machine, seed, shardCount: 1 + Int(seed % 2)) { _ in }
      let disk = machine.disk.copy()
      disk.beforeOperation = nil
      let truth = try Specimen.contents(of: disk.copy()).values
      try Self.loseManifest(disk)
      let (result, saved) = try Specimen.repaired(disk)
      #expect(saved == truth, "seed \(seed)")
      #expect(result.withheldEntryCount == 0, "seed \(seed)")
      leftoverCount += result.files.count { $0.fate == .unused && $0.path.hasPrefix("shards/") }
    }
    #expect(leftoverCount > 100)
  }

  @Test("after a crash a repair without the manifest saves what the next opening would show")
  func crashed() throws {
    var states: Set<UInt64> = []
    var (rightCount, excusedCount) = (0, 0)
    var leftoverCount = 0
    for seed in 21...26 as ClosedRange<UInt64> {
      let machine = SimulatedMachine(seed: seed, rarePathOdds: 40)
      try work(on: machine, seed, shardCount: 1) { number in
        guard number.isMultiple(of: 7) else { return }
        for survivors in machine.disk.crashSurvivors(.posix).prefix(6) {
          let after = machine.disk.crashed(.these(survivors))
          guard states.insert(after.durableHash).inserted else { continue }
          guard try after.list("").contains(where: { $0.hasPrefix("MANIFEST") }) else { continue }
          let truth = try Specimen.contents(of: after.copy()).values
          try Self.loseManifest(after)
          let (result, saved) = try Specimen.repaired(after)
          let differing = Set(saved.keys).union(truth.keys).filter { saved[$0] != truth[$0] }
          let names = differing.map {
            "\(String(decoding: $0.key, as: UTF8.self)) saved \(saved[$0]?.first as Any),"
              + " true \(truth[$0]?.first as Any)"
          }
          // An old segment that came back, while a later one that held a deletion did not: nobody
          // knows what was in it, but that it is missing is told.
          let isToldOf = result.files.contains { $0.path.hasPrefix("log/") && $0.fate == .lost }
          #expect(
            differing.isEmpty || isToldOf,
            "seed \(seed), after operation \(number): \(names); \(result)")
          if differing.isEmpty { rightCount += 1 } else { excusedCount += 1 }
          leftoverCount += result.files.count {
            $0.fate == .unused && $0.path.hasPrefix("shards/")
          }
        }
      }
    }
    print(
      "repair without a manifest: \(rightCount) of \(rightCount + excusedCount) crash states,"
        + " \(leftoverCount) leftovers")
    #expect(rightCount > states.count / 2)
    #expect(excusedCount < 4)
    #expect(leftoverCount > 20)
  }

  /// Random durable writes and deletions with many flushes and compactions, and a second process.
  private func work(
    on machine: SimulatedMachine, _ seed: UInt64, shardCount: Int,
    after: (Int) throws -> Void
  ) throws {
    var options = Store.Options(shardCount: shardCount)
    options.blockByteCount = 64
    options.memtableByteCount = 4 << 10
    options.tableByteCount = 4 << 10
    options.logByteCount = 64 << 10
    let random = SeededRandom(seed: seed)
    var store = try machine.open(options)
    for number in 0..<400 {
      let key = Bytes("key\(random.below(80))")
      switch random.below(20) {
      case 0, 1: try store.blocking.flush()
      case 2: if random.below(3) == 0 { try store.blocking.compact() }
      case 3: try store.blocking.deleteRange(KeyRange(from: key, to: Bytes(key.array + [57])))
      case 4..<10: try store.blocking.delete(key, durability: .synced)
      default:
        let value = Array(repeating: UInt8(random.below(256)), count: 60)
        try store.blocking.put(key, Bytes(value), durability: .synced)
      }
      if number == 200 {
        store.engine.abandon()
        store = try machine.open(options)
      }
      try after(number)
    }
    store.engine.abandon()
  }
}
