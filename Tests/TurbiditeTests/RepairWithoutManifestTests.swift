// RepairWithoutManifestTests — whose a table is, and which keyspaces there are, when no manifest says.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// Without a manifest nothing that was deleted comes back, though a header is damaged too, and what
/// may be back is told.
@Suite("Repair without a manifest")
struct RepairWithoutManifestTests {
  private static func manifests(of disk: SimulatedDisk) throws -> [String] {
    try disk.list("").filter { $0.hasPrefix("MANIFEST") }.sorted()
  }

  /// A store without manifest and log, whose keys are in one table and the deletions of every
  /// second one in another, in the default keyspace or in another.
  private func deleted(
    inOther: Bool
  ) throws -> (disk: SimulatedDisk, truth: Set<[UInt8]>, deletions: String) {
    let machine = SimulatedMachine(seed: 9)
    let store = try machine.open(Store.Options(shardCount: 1))
    let other = try store.blocking.createKeyspace("other")
    let keyspace = inOther ? other : try store.blocking.keyspace("")
    for number in 10..<50 { try store.blocking.put(Bytes("key\(number)"), "old", in: keyspace) }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    for number in 10..<50 where number.isMultiple(of: 2) {
      try store.blocking.delete(Bytes("key\(number)"), in: keyspace)
    }
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    try store.blocking.close()
    let disk = machine.disk.copy()
    let truth = Set(try Specimen.contents(of: disk.copy()).values.keys.map(\.key))
    for file in try Self.manifests(of: disk) { try disk.remove(file) }
    for segment in try disk.list("log") { try disk.remove("log/\(segment)") }
    let newest = try #require(try disk.list("shards/0000").max())
    #expect(truth.count == 20)
    return (disk, truth, "shards/0000/\(newest)")
  }

  @Test(
    "a table with a damaged header belongs to the keyspace whose header its footer knows",
    arguments: [false, true], [9, 13, 20, 30, 50, 60])
  func damagedHeader(inOther: Bool, offset: Int) throws {
    let (disk, truth, deletions) = try deleted(inOther: inOther)
    try disk.corrupt(deletions, at: offset, xor: 0x40)
    let (result, saved) = try Specimen.repaired(disk)
    #expect(Set(saved.keys.map(\.key)) == truth, "\(result.files)")
    #expect(result.withheldEntryCount == 0)
    let file = try #require(result.files.first { $0.path == deletions })
    #expect(file.fate == .whole)
    #expect(file.rebuilt.contains { $0.offset == 0 })
  }

  @Test("a table of which no keyspace is known hides what it may have deleted in any of its shard")
  func unknownKeyspace() throws {
    for inOther in [false, true] {
      let (disk, truth, deletions) = try deleted(inOther: inOther)
      let count = try #require(disk.contents(deletions)).count
      try disk.corrupt(deletions, at: 13, xor: 0x40)
      try disk.corrupt(deletions, at: count - 5, xor: 0x40)
      let (result, saved) = try Specimen.repaired(disk)
      #expect(Set(saved.keys.map(\.key)).isSubset(of: truth), "keys came back")
      #expect(result.withheldEntryCount == 40)
      let file = try #require(result.files.first { $0.path == deletions })
      #expect(file.fate == .lost)
      #expect(file.losses.contains { $0.finding.contains("keyspace") }, "\(file.losses)")
    }
  }

  @Test("a store whose shards came and went has one when nothing tells where its slots lay")
  func lostRing() throws {
    let machine = SimulatedMachine(seed: 9)
    let store = try machine.open(Store.Options(shardCount: 3))
    let stream = try store.blocking.createStream("clicks", partitionCount: 7)
    func work(_ round: Int) throws {
      for number in 0..<300 {
        try store.blocking.put(Bytes("key\(number)"), Bytes("\(round) \(number)"))
        if number % 3 == round { try store.blocking.delete(Bytes("key\(number * 7 % 300)")) }
        try store.blocking.append(NewEvent(Bytes("\(round) \(number)")), to: stream)
      }
      try store.blocking.deleteRange(KeyRange(from: "key1", to: "key2"))
    }
    try work(0)
    try store.blocking.reshard(.remove(1))
    try work(1)
    try store.blocking.reshard(.remove(0))
    try store.blocking.compact()
    try work(2)
    try store.blocking.flush()
    try store.blocking.put("last", "1")
    let expected = try Specimen.contents(of: machine.disk.copy()).values
    try store.blocking.close()
    let disk = machine.disk.copy()
    for file in try Self.manifests(of: disk) { try disk.remove(file) }
    let (result, saved) = try Specimen.repaired(disk)
    #expect(saved == expected)
    #expect(result.shardCount == 1)
    #expect(!result.isComplete)
    #expect(try #require(result.manifestTrouble).contains("shard"))
  }

  @Test("a keyspace that a readable manifest knows to be dropped stays away")
  func droppedForCertain() throws {
    let machine = SimulatedMachine(seed: 10)
    var store = try machine.open(Store.Options(shardCount: 1))
    let other = try store.blocking.createKeyspace("other")
    for number in 10..<20 { try store.blocking.put(Bytes("key\(number)"), "old", in: other) }
    try store.blocking.flush()
    for number in 20..<30 { try store.blocking.put(Bytes("key\(number)"), "old", in: other) }
    store.engine.waitUntilIdle()
    let tables = try Specimen.paths(of: machine.disk).filter { !$0.hasPrefix("MANIFEST") }
      .map { ($0, machine.disk.contents($0)) }
    try store.blocking.dropKeyspace("other")
    store.engine.abandon()
    let older = try #require(try Self.manifests(of: machine.disk).last)
    let bytes = try #require(machine.disk.contents(older))
    store = try machine.open()
    store.engine.abandon()
    let disk = machine.disk.copy()
    let newest = try #require(try Self.manifests(of: disk).last)
    #expect(newest != older)
    try disk.corrupt(newest, at: 70, xor: 0x40)
    for (path, contents) in tables + [(older, bytes)] {
      if disk.contents(path) == nil { _ = try disk.open(path, .create) }
      try disk.setContents(path, try #require(contents))
    }
    let (result, saved) = try Specimen.repaired(disk)
    #expect(result.manifestTrouble != nil)
    #expect(saved.isEmpty)
    #expect(result.keyspaces == [""])
  }

  @Test("a keyspace that was dropped, and may be back, is told", arguments: [false, true])
  func droppedPerhaps(isFlushed: Bool) throws {
    let machine = SimulatedMachine(seed: 10)
    let store = try machine.open(Store.Options(shardCount: 1))
    let other = try store.blocking.createKeyspace("other")
    try store.blocking.put("key", "old", in: other, durability: .synced)
    if isFlushed { try store.blocking.flush() }
    store.engine.waitUntilIdle()
    let disk = machine.disk.copy()
    store.engine.abandon()
    for file in try Self.manifests(of: disk) { try disk.remove(file) }
    let (result, saved) = try Specimen.repaired(disk)
    #expect(saved.count == 1)
    #expect(result.keyspaces == ["", "keyspace-1"])
    #expect(result.uncertainKeyspaces == ["keyspace-1"])
  }

  @Test("a keyspace that an older manifest names stays dropped")
  func droppedBefore() throws {
    let machine = SimulatedMachine(seed: 10)
    var store = try machine.open(Store.Options(shardCount: 1))
    _ = try store.blocking.createKeyspace("other")
    store.engine.abandon()
    let older = try #require(try Self.manifests(of: machine.disk).last)
    let bytes = try #require(machine.disk.contents(older))
    store = try machine.open()
    try store.blocking.dropKeyspace("other")
    try store.blocking.close()
    let disk = machine.disk.copy()
    if disk.contents(older) == nil { _ = try disk.open(older, .create) }
    try disk.setContents(older, bytes)
    let (result, _) = try Specimen.repaired(disk)
    #expect(result.manifestTrouble == nil)
    #expect(result.keyspaces == [""])
    #expect(result.uncertainKeyspaces.isEmpty)
  }
}
