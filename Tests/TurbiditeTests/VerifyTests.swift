// VerifyTests — what a verification finds, where, and that it touches nothing.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// A whole store verifies clean whatever was done to it; a damaged one does not, and the finding
/// names the file and the place.
///
/// Method: stores on a disk in memory, so that each byte can be changed in turn and each operation
/// seen; and one on the real disk beside a writer.
@Suite("Verify")
struct VerifyTests {
  private struct Outcome {
    var count: StoreVerificationCount
    var findings: [StoreFinding]

    var damage: [StoreFinding] { findings.filter { $0.severity == .damage } }
    var notes: [StoreFinding] { findings.filter { $0.severity == .note } }
  }

  private func verify(
    _ fileSystem: any FileSystem, deep: Bool = true
  ) throws(StoreError) -> Outcome {
    var verifier = StoreVerifier(fileSystem, name: "memory", isDeep: deep)
    var findings: [StoreFinding] = []
    let count = try verifier.run { event throws(StoreError) in
      if case .finding(let finding) = event { findings.append(finding) }
    }
    return Outcome(count: count, findings: findings)
  }

  private static var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    options.blockByteCount = 256
    return options
  }

  /// A store with two tables in each of two shards, a keyspace, and a log; closed in order.
  private func writtenStore() throws -> SimulatedDisk {
    let machine = SimulatedMachine(seed: 5)
    let store = try machine.open(Self.options)
    for number in 0..<60 { try store.blocking.put(Bytes("key\(number)"), Bytes("old \(number)")) }
    try store.blocking.deleteRange(KeyRange(from: "key50", to: "key55"))
    try store.blocking.flush()
    let harbours = try store.blocking.createKeyspace("harbours")
    try store.blocking.put("leith", "deep", in: harbours)
    for number in 0..<8 { try store.blocking.put(Bytes("key\(number * 7)"), Bytes("\(number)")) }
    try store.blocking.flush()
    for number in 0..<8 { try store.blocking.put(Bytes("key\(number * 5)"), Bytes("\(number)")) }
    try store.blocking.close()
    return machine.disk
  }

  private func files(_ disk: SimulatedDisk) throws -> [String] {
    var files = try disk.list("").filter { $0.hasPrefix("MANIFEST") }
    files += try disk.list("log").map { "log/\($0)" }
    for shard in try disk.list("shards") {
      files += try disk.list("shards/\(shard)").map { "shards/\(shard)/\($0)" }
    }
    return files
  }

  // MARK: - Whole stores

  @Test(
    "a store verifies clean after any work, open, killed, without power, reopened and closed",
    arguments: OptionSet.allCases)
  func clean(_ set: OptionSet) throws {
    let random = SeededRandom(seed: 11)
    var options = set.options
    options.logByteCount = min(options.logByteCount, 256 << 10)
    let machine = SimulatedMachine(seed: 11)
    var store = try machine.open(options)
    _ = try store.blocking.createKeyspace("other")
    for round in 0..<5 {
      for step in 0..<250 {
        let key = Bytes("key\(random.below(400))")
        let keyspace =
          random.isOne(in: 5) ? try store.blocking.keyspace("other") : Keyspace.default
        switch random.below(60) {
        case 0: try store.blocking.flush()
        case 1: try store.blocking.deleteRange(KeyRange(from: key, to: "key9"), in: keyspace)
        case 2: try store.blocking.sync()
        case 3..<12: try store.blocking.delete(key, in: keyspace)
        default:
          try store.blocking.put(
            key, Bytes([UInt8](repeating: UInt8(step), count: random.below(400))), in: keyspace)
        }
      }
      let name = "\(set), round \(round)"
      // The disk as a second process sees it, then as it is after each kind of stop.
      let open = try verify(machine.disk)
      #expect(open.findings.isEmpty, "\(name), open: \(open.findings)")
      for survival in [
        Survival.processKill, .nothingUnsynced, .random(UInt64(round)), .random(99),
      ] {
        let found = try verify(machine.disk.crashed(survival))
        #expect(found.damage.isEmpty, "\(name), \(survival): \(found.damage)")
      }
      if round == 2 { try store.blocking.compact() }
      if round % 2 == 0 {
        try store.blocking.close()
        let closed = try verify(machine.disk)
        #expect(closed.damage.isEmpty, "\(name), closed: \(closed.damage)")
        #expect(closed.count.entryCount > 0, "\(name)")
      } else {
        store.engine.abandon()
      }
      store = try machine.open(options)
    }
    let reopened = try verify(machine.disk)
    #expect(reopened.findings.isEmpty, "\(set), reopened: \(reopened.findings)")
    store.engine.abandon()
  }

  @Test("a checkpoint verifies clean, and on its own")
  func checkpoint() throws {
    let disk = try writtenStore()
    let store = try SimulatedMachine(seed: 6, disk: disk).open(Self.options)
    try store.blocking.put("late", "1")
    let other = SimulatedDisk()
    _ = try store.engine.checkpoint(into: "copy", of: other)
    try store.blocking.put("later", "1")
    let found = try verify(Subdirectory("copy", of: other.crashed(.nothingUnsynced)))
    #expect(found.findings.isEmpty, "\(found.findings)")
    #expect(found.count.tableCount > 1)
    #expect(found.count.segmentCount > 0)
    #expect(found.count.fileCount == found.count.tableCount + found.count.segmentCount + 1)
    #expect(found.count.byteCount == found.count.totalByteCount)
  }

  // MARK: - Damage

  @Test("each changed byte is found by a deep look, in its file and place")
  func flips() throws {
    let disk = try writtenStore()
    for file in try files(disk) {
      let count = disk.contents(file)?.count ?? 0
      // A manifest holds its slots in the open: the step keeps the test short.
      let step = count > 4000 ? 7 : 1
      var failures = 0
      for offset in stride(from: 0, to: count, by: step) where failures < 4 {
        let copy = disk.crashed(.processKill)
        try copy.corrupt(file, at: offset, xor: 0x41)
        let found = try verify(copy)
        let isFound = found.findings.contains { finding in
          finding.file == file && finding.offset <= UInt64(offset)
            && UInt64(offset) < finding.offset + (finding.byteCount ?? .max - finding.offset)
        }
        // The last record of a manifest may have been torn: no one can tell.
        let isNamed = found.damage.contains { $0.file == file }
        if !isFound || !(isNamed || file.hasPrefix("MANIFEST")) {
          failures += 1
          Issue.record("\(file) at \(offset) of \(count): \(found.findings)")
        }
      }
    }
  }

  @Test("a quick look finds each changed byte outside the data blocks")
  func quickFlips() throws {
    let disk = try writtenStore()
    for file in try files(disk) where file.hasPrefix("shards") {
      let bytes = try #require(disk.contents(file))
      let filterOffset = Int(
        bytes.withView { $0.load(bytes.count - 128, as: UInt64.self) })
      for offset in bytes.indices where offset < 64 || offset >= filterOffset {
        let copy = disk.crashed(.processKill)
        try copy.corrupt(file, at: offset, xor: 0x10)
        let found = try verify(copy, deep: false)
        #expect(found.damage.contains { $0.file == file }, "\(file) at \(offset)")
      }
      let copy = disk.crashed(.processKill)
      try copy.corrupt(file, at: 70, xor: 0x10)
      #expect(try verify(copy, deep: false).findings.isEmpty)
      let found = try verify(copy)
      let block = try #require(found.damage.first)
      #expect(block.offset == 64)
      #expect(block.keys != nil)
      #expect(found.damage.count == 1)
    }
  }

  @Test("a file cut to any length is found")
  func truncations() throws {
    let disk = try writtenStore()
    for file in try files(disk) {
      let count = disk.contents(file)?.count ?? 0
      let step = count > 4000 ? 13 : 1
      for length in stride(from: 0, to: count, by: step) {
        let copy = disk.crashed(.processKill)
        try copy.truncateDurable(file, to: length)
        let found = try verify(copy)
        let isNamed = found.damage.contains { $0.file == file }
        // A manifest that ends between two edits is whole, and one that ends within its last one
        // is torn; the log that it then does not know may show it.
        #expect(isNamed || file.hasPrefix("MANIFEST"), "\(file) cut to \(length) of \(count)")
      }
    }
  }

  @Test("every missing file and directory is damage, and what else is there is still looked at")
  func missing() throws {
    let disk = try writtenStore()
    let tables = try files(disk).filter { $0.hasPrefix("shards") }
    for file in try files(disk) {
      let copy = disk.crashed(.processKill)
      try copy.remove(file)
      let other = try #require(tables.first { $0 != file })
      try copy.corrupt(other, at: 70, xor: 1)
      let found = try verify(copy)
      if file.hasPrefix("MANIFEST") {
        #expect(found.damage.contains { $0.file.hasPrefix("MANIFEST") })
      } else if file.hasPrefix("log") {
        #expect(found.damage.contains { $0.file.hasPrefix("log/") }, "\(file)")
      } else {
        let missing = try #require(found.damage.first { $0.file == file })
        #expect(missing.keys != nil)
        #expect(missing.byteCount == UInt64(disk.contents(file)?.count ?? 0))
      }
      #expect(found.damage.contains { $0.file == other && $0.offset == 64 }, "\(file)")
    }
    for directory in ["log", "shards/0001"] {
      let copy = disk.crashed(.processKill)
      for name in try copy.list(directory) { try copy.remove("\(directory)/\(name)") }
      try copy.removeDirectory(directory)
      #expect(try verify(copy).damage.contains { $0.file == directory }, "\(directory)")
    }
  }

  @Test("files that lie in each other's place are found")
  func swapped() throws {
    let disk = try writtenStore()
    let tables = try files(disk).filter { $0.hasPrefix("shards") }
    let first = try #require(disk.contents(tables[0]))
    let last = try #require(disk.contents(tables[tables.count - 1]))
    let copy = disk.crashed(.processKill)
    try copy.setContents(tables[0], last)
    try copy.setContents(tables[tables.count - 1], first)
    for deep in [false, true] {
      let found = try verify(copy, deep: deep)
      #expect(Set(found.damage.map(\.file)) == [tables[0], tables[tables.count - 1]])
      #expect(found.count.damagedFileCount == 2)
    }
  }

  @Test("two damaged blocks, a damaged footer part and a damaged frame are each found")
  func several() throws {
    let disk = try writtenStore()
    let tables = try files(disk).filter { $0.hasPrefix("shards") }
    let largest = try #require(
      tables.max { disk.contents($0)?.count ?? 0 < disk.contents($1)?.count ?? 0 })
    let bytes = try #require(disk.contents(largest))
    let (filter, properties) = bytes.withView {
      ($0.load(bytes.count - 128, as: UInt64.self), $0.load(bytes.count - 56, as: UInt64.self))
    }
    try disk.corrupt(largest, at: 64, xor: 1)
    try disk.corrupt(largest, at: Int(filter) - 1, xor: 1)
    let blocks = try verify(disk)
    #expect(blocks.damage.map(\.file) == [largest, largest])
    #expect(blocks.damage.map(\.offset)[0] == 64)
    #expect(blocks.damage[0].keys?.first != blocks.damage[1].keys?.first)

    try disk.corrupt(largest, at: Int(filter) + 9, xor: 1)
    try disk.corrupt(largest, at: Int(properties) + 3, xor: 1)
    try disk.corrupt(largest, at: 9, xor: 1)
    let parts = try verify(disk, deep: false)
    #expect(Set(parts.damage.map(\.offset)) == [0, filter, properties])
    let segment = try #require(try disk.list("log").first)
    try disk.corrupt("log/\(segment)", at: 100, xor: 1)
    let found = try verify(disk)
    #expect(found.damage.contains { $0.file == "log/\(segment)" && $0.offset == 96 })
    #expect(found.damage.contains { $0.file == largest && $0.offset == filter })
  }

  @Test("each bad frame is damage of its own, as long as it is, and no note")
  func frames() throws {
    let machine = SimulatedMachine(seed: 9)
    let store = try machine.open(Self.options)
    for number in 0..<12 { try store.blocking.put(Bytes("key\(number)"), "value") }
    try store.blocking.close()
    let disk = machine.disk
    let path = "log/" + (try #require(try disk.list("log").last))
    var frames: [LogFrame] = []
    let segment = try LogSegmentReader(try disk.open(path, .read), number: 0, store: nil)
    _ = try segment.walk { frames.append($0) }
    #expect(frames.count == 13)
    for index in [2, 7, 8] { try disk.corrupt(path, at: frames[index].offset + 29, xor: 4) }
    let found = try verify(disk, deep: false)
    #expect(found.notes.isEmpty)
    #expect(found.damage.map(\.file) == [path, path])
    #expect(found.damage.map(\.offset) == [2, 7].map { UInt64(frames[$0].offset) })
    #expect(
      found.damage.map(\.byteCount) == [
        UInt64(frames[2].byteCount), UInt64(frames[7].byteCount + frames[8].byteCount),
      ])
  }

  /// Gives the store a newer manifest, whole in itself, that states something else.
  private func restate(
    _ disk: SimulatedDisk, _ change: (inout ManifestState) -> Void
  ) throws {
    let name = try #require(try disk.list("").last { $0.hasPrefix("MANIFEST") })
    let contents = try ManifestContents(try disk.open(name, .read))
    var state = contents.state
    change(&state)
    _ = try ManifestLog(
      fileSystem: disk, store: contents.store, number: contents.number + 1, state: state)
    try disk.remove(name)
  }

  @Test("what the manifest states of tables and sequence numbers is held against them")
  func contradictions() throws {
    let disk = try writtenStore()
    let count = disk.crashed(.processKill)
    var path = ""
    try restate(count) { state in
      let tree = TreeID(keyspace: 0, shard: 1)
      let table = state.trees[tree]?.levels.joined().first
      path = FileNames.table(shard: 1, table?.fileNumber ?? 0)
      for level in state.trees[tree]?.levels.indices ?? 0..<0 {
        for index in state.trees[tree]?.levels[level].indices ?? 0..<0
        where state.trees[tree]?.levels[level][index] == table {
          state.trees[tree]?.levels[level][index].summary.entryCount += 1
        }
      }
    }
    for deep in [false, true] {
      let found = try verify(count, deep: deep)
      #expect(found.damage.map(\.file) == [path])
      #expect(found.damage.first?.text.contains("counts and bounds") == true)
    }
    let sequence = disk.crashed(.processKill)
    try restate(sequence) { $0.lastSequence = 3 }
    let found = try verify(sequence, deep: false)
    #expect(!found.damage.isEmpty)
    #expect(found.damage.allSatisfy { $0.text.contains("sequence number") })
  }

  @Test("a log entry of a keyspace that was never made is found by a deep look")
  func unknownKeyspace() throws {
    let machine = SimulatedMachine(seed: 12)
    let store = try machine.open(Self.options)
    let other = try store.blocking.createKeyspace("other")
    try store.blocking.put("a", "1", in: other)
    try store.blocking.close()
    #expect(try verify(machine.disk).findings.isEmpty)
    try restate(machine.disk) { state in
      state.keyspaces[1] = nil
      state.nextKeyspaceID = 1
    }
    let found = try verify(machine.disk)
    #expect(found.damage.count == 1)
    #expect(found.damage.first?.file.hasPrefix("log/") == true)
    #expect(found.damage.first?.text.contains("keyspace 1") == true)
  }

  @Test("behind a damaged edit every table is still looked at, and none is called missing")
  func partialManifest() throws {
    let disk = try writtenStore()
    // Each table is named by an edit, and the last ones replaced some: the state before them names
    // tables that are gone.
    let store = try SimulatedMachine(seed: 6, disk: disk).open(Self.options)
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    try store.blocking.close()
    let tables = try files(disk).filter { $0.hasPrefix("shards") }
    let manifest = try #require(try files(disk).first)
    var offsets: [Int] = []
    _ = try ManifestContents(try disk.open(manifest, .read)) { offsets.append($0.offset) }
    try #require(offsets.count > 2)
    for offset in offsets.dropLast() {
      let copy = disk.crashed(.processKill)
      try copy.corrupt(manifest, at: offset + 24, xor: 1)
      let found = try verify(copy)
      #expect(found.damage.map(\.file) == [manifest], "\(offset): \(found.damage)")
      #expect(found.damage.first?.offset == UInt64(offset))
      #expect(found.count.tableCount == tables.count)
      try copy.corrupt(tables[0], at: 66, xor: 1)
      #expect(try verify(copy).damage.contains { $0.file == tables[0] && $0.offset == 64 })
    }
  }

  @Test("beside a writer only what stays is damage", arguments: ["log", "MANIFEST"])
  func secondLook(_ kind: String) throws {
    let disk = try writtenStore()
    let file = try #require(try files(disk).first { $0.hasPrefix(kind) })
    // A frame, or an edit, that is half-written at the first looks and whole later.
    let offset = kind == "log" ? 100 : 70
    try disk.corrupt(file, at: offset, xor: 1)
    let writer = try disk.open("LOCK", .readWrite)
    #expect(try writer.tryLock(.exclusive, from: 0, to: 1))
    #expect(try verify(disk).damage.contains { $0.file == file })
    let looks = Mutex(0)
    disk.beforeOperation = { [unowned disk] operation, _ throws(SystemError) in
      guard operation.path == file, case .open = operation.kind else { return }
      let look = looks.withLock { looks in
        looks += 1
        return looks
      }
      if look == 4 { try disk.corrupt(file, at: offset, xor: 1) }
    }
    let found = try verify(disk)
    #expect(found.findings.isEmpty, "\(found.findings)")
    withExtendedLifetime(writer) {}
  }

  @Test("a table of another shard's keys is found by a deep look")
  func otherShard() throws {
    let disk = try writtenStore()
    let path = try #require(try files(disk).first { $0.hasPrefix("shards") })
    let file = try disk.open(path, .read)
    let reader = try TableReader(
      file: file, identity: try TableReader.readIdentity(file).identity, expecting: nil,
      cache: BlockCache(capacityByteCount: 0))
    var blocks: [Int] = []
    try reader.verifyBlocks(
      owns: { _ in false }, progress: { _ throws(StoreError) in },
      onDamage: { _, block throws(StoreError) in if let block { blocks.append(block) } })
    #expect(blocks == Array(0..<reader.index.count))
  }

  // MARK: - What is no damage

  @Test("files that nothing refers to are notes, and each is told")
  func strays() throws {
    let disk = try writtenStore()
    let strays = [
      "MANIFEST-000001", "MANIFEST-000099.new", "letter", "log/000001.tlog", "log/x",
      "log/000777.tlog.new", "shards/0000/000778.tsst", "shards/0000/000779.tsst.new",
      "shards/file", "shards/0001/note",
    ]
    for path in strays { try disk.setContents(path, [1, 2, 3]) }
    try disk.createDirectory("album")
    try disk.setContents("LOCK", [1])
    let found = try verify(disk)
    #expect(found.damage.isEmpty, "\(found.damage)")
    #expect(Set(found.notes.map(\.file)) == Set(strays + ["album", "LOCK"]))
  }

  /// Nothing proves that the bad frame was ever durable: opening cuts it off with all that follows.
  ///
  /// After a power loss it must. But all was acknowledged, and the rest is still there.
  @Test("a bad frame with good ones behind it is a note that says so, and that a repair saves them")
  func followedTail() throws {
    let machine = SimulatedMachine(seed: 8)
    let store = try machine.open(Self.options)
    for number in 0..<10 {
      try store.blocking.put(Bytes("key\(number)"), "value", durability: .buffered)
    }
    store.engine.abandon()
    let segment = "log/" + (try #require(try machine.disk.list("log").last))
    let frames = try #require(machine.disk.contents(segment))
    // Two frames before the last one: the first ones are durable, and say so.
    let end = try #require(frames.lastIndex { $0 != 0 })
    try machine.disk.corrupt(segment, at: end - 120, xor: 1)
    let found = try verify(machine.disk)
    #expect(found.damage.isEmpty)
    #expect(found.notes.map(\.file) == [segment])
    let text = found.notes.first?.text ?? ""
    #expect(text.contains("the good frames behind it"), "\(text)")
    #expect(text.contains("a repair saves them"), "\(text)")
    let target = SimulatedDisk()
    _ = try repair(
      machine.disk, name: "memory", into: "new", of: target, random: SeededRandom(seed: 3)
    ) { (_, _) throws(StoreError) in }
    #expect(try Specimen.contents(of: target, in: "new").values.count == 9)
  }

  @Test("a tail that was being written is a note that says how much")
  func tornTail() throws {
    let machine = SimulatedMachine(seed: 8)
    let store = try machine.open(Self.options)
    for number in 0..<10 { try store.blocking.put(Bytes("key\(number)"), "value") }
    store.engine.abandon()
    let segment = "log/" + (try #require(try machine.disk.list("log").last))
    let frames = try #require(machine.disk.contents(segment))
    let end = try #require(frames.lastIndex { $0 != 0 })
    try machine.disk.corrupt(segment, at: end - 1, xor: 0xff)
    let found = try verify(machine.disk)
    #expect(found.damage.isEmpty)
    #expect(found.notes.count == 1)
    #expect(found.notes.first?.file == segment)
    #expect(found.notes.first?.text.contains("repair") == false)

    // The next writer begins a segment that supersedes the tail: nothing is left to say.
    let reopened = try SimulatedMachine(seed: 8, disk: machine.disk).open(Self.options)
    try reopened.blocking.put("late", "1")
    reopened.engine.abandon()
    let after = try verify(machine.disk)
    let rest = after.findings.filter { !$0.file.hasPrefix("MANIFEST") }
    #expect(rest.isEmpty, "\(after.findings)")
  }

  @Test("what a later segment supersedes is no finding")
  func superseded() throws {
    let machine = SimulatedMachine(seed: 8)
    let store = try machine.open(Self.options)
    try store.blocking.put("a", "1", durability: .synced)
    let segment = "log/" + (try #require(try machine.disk.list("log").last))
    let synced = try #require(machine.disk.contents(segment)?.lastIndex { $0 != 0 })
    for number in 0..<10 { try store.blocking.put(Bytes("key\(number)"), "value") }
    store.engine.abandon()
    let reopened = try SimulatedMachine(seed: 8, disk: machine.disk).open(Self.options)
    try reopened.blocking.put("late", "1", durability: .synced)
    reopened.engine.abandon()
    #expect(try machine.disk.list("log").count > 1)
    // The frames behind the first sync were written anew elsewhere.
    try machine.disk.corrupt(segment, at: synced + 60, xor: 1)
    let found = try verify(machine.disk)
    let rest = found.findings.filter { !$0.file.hasPrefix("MANIFEST") }
    #expect(rest.isEmpty, "\(found.findings)")
  }

  @Test("nothing is ever written, to a whole store or to a damaged one")
  func writesNothing() throws {
    let disk = try writtenStore()
    let writes = Mutex<[FileOperation]>([])
    func watch(_ disk: SimulatedDisk) {
      disk.beforeOperation = { operation, _ throws(SystemError) in
        if operation.changesDisk { writes.withLock { $0.append(operation) } }
      }
    }
    watch(disk)
    _ = try verify(disk)
    _ = try verify(disk, deep: false)
    for file in try files(disk) {
      let copy = disk.crashed(.processKill)
      try copy.corrupt(file, at: 10, xor: 1)
      watch(copy)
      _ = try verify(copy)
    }
    #expect(writes.withLock { $0 } == [])
  }

  @Test("a block that the disk will not read is a finding, and the rest is read")
  func unreadable() throws {
    let disk = try writtenStore()
    let tables = try files(disk).filter { $0.hasPrefix("shards") }
    disk.beforeOperation = { operation, _ throws(SystemError) in
      guard operation.path == tables[0], case .read(let offset, let count) = operation.kind,
        offset <= 64, offset + UInt64(count) > 64
      else { return }
      throw SystemError(operation: "pread", path: operation.path, code: 5)
    }
    let found = try verify(disk)
    #expect(found.damage.map(\.file) == [tables[0]])
    #expect(found.damage.first?.offset == 64)
    #expect(found.damage.first?.text.contains("cannot be read") == true)
  }

  @Test("an empty directory is no store, and another version's manifest is refused")
  func refusals() throws {
    do throws(StoreError) {
      _ = try verify(SimulatedDisk())
      Issue.record("nothing was verified")
    } catch {
      guard case .noStore = error else {
        Issue.record("\(error)")
        return
      }
    }
    let disk = try writtenStore()
    let manifest = try #require(try files(disk).first)
    try disk.setFormatVersion(2, of: manifest)
    do throws(StoreError) {
      _ = try verify(disk)
      Issue.record("a manifest of version 2 was read")
    } catch {
      #expect(error == .unsupportedFormat(file: manifest, found: 2, supported: 1))
    }
  }

  @Test(
    "a file that the system does not let be read is no damage: the verification ends there",
    arguments: ["LOCK", "MANIFEST-", "log/", "shards/0000/"])
  func permission(_ prefix: String) throws {
    let disk = try writtenStore()
    disk.faultPlan = { operation, _ in
      operation.path.hasPrefix(prefix) ? .error(EACCES) : nil
    }
    do throws(StoreError) {
      let found = try verify(disk)
      Issue.record("\(prefix): \(found.findings)")
    } catch {
      #expect(error.exitStatus == 77, "\(prefix): \(error)")
    }
  }

  @Test("what the report throws ends the verification")
  func ends() throws {
    let disk = try writtenStore()
    var verifier = StoreVerifier(disk, name: "memory", isDeep: true)
    do throws(StoreError) {
      _ = try verifier.run { _ throws(StoreError) in throw .cancelled }
      Issue.record("it went on")
    } catch {
      #expect(error == .cancelled)
    }
  }

  // MARK: - On the real disk

  @Test("a live store verifies clean while writers and compactions go on")
  func live() throws {
    let scratch = ScratchDirectory()
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 16 << 10
    options.tableByteCount = 16 << 10
    options.logByteCount = 64 << 10
    let store = try Store.Blocking.open(
      at: scratch.file("store"), mode: .create, options: options)
    let state = Mutex((isDone: false, isEnded: false, count: 0))
    let writer = Thread {
      var number = 0
      while !state.withLock({ $0.isDone }) {
        do {
          try store.blocking.put(
            Bytes("key\(number % 700)"), Bytes([UInt8](repeating: 1, count: 200)),
            durability: number % 50 == 0 ? .synced : .buffered)
          if number % 3000 == 2999 { try store.blocking.compact() }
        } catch {
          Issue.record("\(error)")
          break
        }
        number += 1
        state.withLock { $0.count = number }
      }
      state.withLock { $0.isEnded = true }
    }
    writer.start()
    var rounds = 0
    while rounds < 40 || state.withLock({ $0.count < 9000 && !$0.isEnded }) {
      rounds += 1
      var findings: [Verification.Finding] = []
      let result = try Turbidite.verify(storeAt: scratch.file("store"), deep: rounds % 2 == 0) {
        event throws(StoreError) in
        if case .finding(let finding) = event { findings.append(finding) }
      }
      if !findings.isEmpty { Issue.record("round \(rounds): \(findings)") }
      #expect(result.isClean)
    }
    state.withLock { $0.isDone = true }
    while !state.withLock({ $0.isEnded }) { usleep(1000) }
    try store.blocking.close()
    let result = try Turbidite.verify(storeAt: scratch.file("store"), deep: true)
    #expect(result.isClean)
    print("verify beside a writer: \(rounds) rounds, \(state.withLock { $0.count }) commits")
  }
}
