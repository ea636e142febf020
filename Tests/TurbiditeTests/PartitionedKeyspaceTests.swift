// PartitionedKeyspaceTests — related keys lie together, and nothing else changes.

import Foundation
import Testing
import TurbiditeSimulation

@testable import Turbidite

/// The model tests draw a partitioning for one of their keyspaces; here is what they do not see.
@Suite("Partitioned keyspaces")
struct PartitionedKeyspaceTests {
  static func options(_ shardCount: Int) -> Store.Options { Store.Options(shardCount: shardCount) }

  /// The shards that have tables.
  static func usedShards(_ machine: SimulatedMachine) throws -> Set<Substring> {
    let tables = try Specimen.paths(of: machine.disk).filter { $0.hasSuffix(".tsst") }
    return Set(tables.map { $0.prefix("shards/0000".count) })
  }

  @Test("keys of one part lie in one shard, those of many parts in all")
  func together() throws {
    for (partitioning, expected) in [
      (Partitioning.wholeKey, 16), (.upTo(delimiter: 0x2f), 1), (.firstBytes(4), 1),
    ] {
      let machine = SimulatedMachine(seed: 1)
      let store = try machine.open(Self.options(16))
      let keyspace = try store.blocking.createKeyspace("users", partitioning: partitioning)
      #expect(keyspace.partitioning == partitioning)
      for number in 0..<500 {
        try store.blocking.put(Bytes("user/\(number)"), "v", in: keyspace)
      }
      try store.blocking.flush()
      try store.blocking.close()
      #expect(try Self.usedShards(machine).count == expected, "\(partitioning)")
    }
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open(Self.options(16))
    let keyspace = try store.blocking.createKeyspace("users", partitioning: .upTo(delimiter: 0x2f))
    for number in 0..<500 { try store.blocking.put(Bytes("\(number)/name"), "v", in: keyspace) }
    try store.blocking.flush()
    try store.blocking.close()
    #expect(try Self.usedShards(machine).count == 16)
  }

  @Test("verify knows where the keys of a part belong, and those of a stream")
  func verified() throws {
    let machine = SimulatedMachine(seed: 7)
    let store = try machine.open(Self.options(16))
    let users = try store.blocking.createKeyspace("users", partitioning: .upTo(delimiter: 0x2f))
    let stream = try store.blocking.createStream("clicks", partitionCount: 8)
    for number in 0..<400 {
      try store.blocking.put(Bytes("\(number % 20)/\(number)"), "v", in: users)
      try store.blocking.append(NewEvent("v", key: Bytes("\(number)")), to: stream)
    }
    try store.blocking.trim(stream, partition: 3, before: 10)
    try store.blocking.flush()
    try store.blocking.close()
    let findings = try machine.verify()
    #expect(findings.allSatisfy { $0.severity == .note }, "\(findings)")
  }

  @Test("an existing keyspace keeps its partitioning, also when the store is opened again")
  func lasting() throws {
    let machine = SimulatedMachine(seed: 2)
    var store = try machine.open(Self.options(4))
    _ = try store.blocking.createKeyspace("users", partitioning: .firstBytes(3))
    _ = try store.blocking.createKeyspace("plain")
    for opening in 0..<3 {
      #expect(try store.blocking.keyspace("users").partitioning == .firstBytes(3), "\(opening)")
      #expect(try store.blocking.createKeyspace("users").partitioning == .firstBytes(3))
      #expect(try store.blocking.keyspace("plain").partitioning == .wholeKey)
      for other in [Partitioning.wholeKey, .firstBytes(4), .upTo(delimiter: 3)] {
        #expect(throws: StoreError.self) {
          _ = try store.blocking.createKeyspace("users", partitioning: other)
        }
      }
      if opening == 0 { try store.blocking.close() } else { store.engine.abandon() }
      store = try machine.open(Self.options(4), mode: .existing)
    }
    #expect(Keyspace.default.partitioning == .wholeKey)
    try store.blocking.close()
  }

  @Test("a part of no bytes or of more than a key can have is refused", arguments: [-1, 0, 65_537])
  func refused(_ count: Int) throws {
    let store = try SimulatedMachine(seed: 3).open(Self.options(2))
    do {
      _ = try store.blocking.createKeyspace("users", partitioning: .firstBytes(count))
      Issue.record("a part of \(count) bytes was accepted")
    } catch {
      guard case .invalidArgument = error else { throw error }
    }
    #expect(try store.blocking.keyspaces().isEmpty)
    try store.blocking.close()
  }

  /// What a repair has to go by.
  enum Remains: CaseIterable, Sendable {
    case manifest, tablesAlone, logAlone
  }

  @Test("a repair keeps keys together as long as anything says how", arguments: Remains.allCases)
  func mended(_ remains: Remains) throws {
    let scratch = ScratchDirectory()
    let path = scratch.file("store")
    let store = try Store.Blocking.open(at: path, options: Self.options(8))
    let users = try store.blocking.createKeyspace("users", partitioning: .upTo(delimiter: 0x2f))
    for number in 0..<2_000 {
      try store.blocking.put(
        Bytes("\(number % 50)/\(number)"), Bytes("v\(number)"), in: users)
      if number == 1_000 && remains != .logAlone { try store.blocking.flush() }
    }
    store.engine.abandon()
    let files = FileManager.default
    for name in try files.contentsOfDirectory(atPath: path)
    where remains != .manifest && name.hasPrefix("MANIFEST") {
      try files.removeItem(atPath: path + "/" + name)
    }
    _ = try repair(storeAt: path, into: scratch.file("mended"))
    let mended = try Store.Blocking.open(at: scratch.file("mended"), mode: .existing)
    let keyspace = try mended.blocking.keyspace(try #require(mended.blocking.keyspaces().first))
    #expect(
      keyspace.partitioning == (remains == .logAlone ? .wholeKey : .upTo(delimiter: 0x2f)))
    for number in 0..<2_000 {
      let value = try mended.blocking.get(Bytes("\(number % 50)/\(number)"), in: keyspace)
      #expect(value == Bytes("v\(number)"))
    }
    #expect(try mended.blocking.scan(.prefix("7/"), in: keyspace).count() == 40)
    try mended.blocking.close()
  }
}
