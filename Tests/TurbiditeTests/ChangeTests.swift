// ChangeTests — who follows the changes of a keyspace has the keyspace.

import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("Changes of a keyspace")
struct ChangeTests {
  /// What the changes make, from the first on.
  private func replayed(_ stream: EventStream, of store: Store) throws -> [Bytes: Bytes] {
    var contents: [Bytes: Bytes] = [:]
    let scan = try store.blocking.events(of: stream, partition: 0)
    while let event = try scan.next() {
      switch try Change(event) {
      case .put(let key, let value): contents[key] = value
      case .delete(let key): contents[key] = nil
      case .deleteRange(let range):
        for key in contents.keys {
          if key >= range.from ?? "", range.to.map({ key < $0 }) ?? true { contents[key] = nil }
        }
      }
    }
    return contents
  }

  private func held(_ keyspace: Keyspace, of store: Store) throws -> [Bytes: Bytes] {
    var contents: [Bytes: Bytes] = [:]
    let scan = try store.blocking.scan(in: keyspace)
    while let entry = try scan.next() { contents[entry.key] = entry.value }
    return contents
  }

  @Test(
    "the changes from the first on make the keyspace, after crashes as well",
    arguments: OptionSet.allCases)
  func model(_ set: OptionSet) throws {
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let random = SeededRandom(seed: seed &* 0x9e37_79b9_7f4a_7c15)
    func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
    func key() -> Bytes { Bytes("\(draw(9))/\(draw(40))") }
    var machine = SimulatedMachine(seed: seed)
    var store = try machine.open(set.options)
    var stream = try store.blocking.createStream("changes", partitionCount: 1)
    var keyspaces = [
      try store.blocking.createKeyspace("users", recordingChangesIn: stream),
      try store.blocking.createKeyspace("others"),
    ]
    // Each look replays all changes.
    for _ in 0..<min(8_000, environmentCount("TURBIDITE_STREAM_OPERATIONS", default: 1_500)) {
      switch draw(100) {
      case 0..<90:
        var batch = Store.Batch()
        for _ in 0..<1 + draw(4) {
          let keyspace = keyspaces[draw(4) / 3]
          switch draw(12) {
          case 0: batch.deleteRange(KeyRange(from: key(), to: key()), in: keyspace)
          case 1: batch.deleteRange(KeyRange(from: key()), in: keyspace)
          case 2...4: batch.delete(key(), in: keyspace)
          default: batch.put(key(), Bytes("value \(draw(1000))"), in: keyspace)
          }
        }
        try store.blocking.commit(batch, durability: draw(6) == 0 ? .synced : .buffered)
      case 90..<94: try store.blocking.flush()
      case 94..<95: try store.blocking.compact()
      default:
        store.engine.abandon()
        if draw(2) == 0 { machine = machine.crashed(.random(random.next())) }
        store = try machine.open(set.options, mode: .existing)
        keyspaces = try ["users", "others"].map { try store.blocking.keyspace($0) }
        stream = try #require(keyspaces[0].changes)
        #expect(try replayed(stream, of: store) == held(keyspaces[0], of: store), "seed \(seed)")
      }
    }
    #expect(keyspaces[1].changes == nil)
    #expect(try replayed(stream, of: store) == held(keyspaces[0], of: store), "seed \(seed)")
    store.engine.abandon()
  }

  @Test("a copy and a repaired store record changes as before")
  func copies() throws {
    let scratch = ScratchDirectory()
    let paths = ["store", "copy", "mended"].map { scratch.file($0) }
    let store = try Store.Blocking.open(at: paths[0], options: Store.Options(shardCount: 2))
    let stream = try store.blocking.createStream("changes", partitionCount: 1)
    let users = try store.blocking.createKeyspace("users", recordingChangesIn: stream)
    for number in 0..<200 {
      try store.blocking.put(Bytes("user \(number)"), Bytes("\(number)"), in: users)
      if number % 50 == 7 { try store.blocking.flush() }
    }
    try store.blocking.checkpoint(into: paths[1])
    try store.blocking.close()
    _ = try repair(storeAt: paths[0], into: paths[2])
    for path in paths {
      let found = try Store.Blocking.open(at: path, mode: .existing)
      let users = try found.blocking.keyspace("users")
      try found.blocking.delete("user 3", in: users)
      let stream = try #require(users.changes)
      let contents = try held(users, of: found)
      #expect(contents.count == 199)
      #expect(try replayed(stream, of: found) == contents, "\(path)")
      try found.blocking.close()
    }
  }

  @Test("a stream that records changes stays as long as the keyspace does")
  func lives() throws {
    let machine = SimulatedMachine(seed: 7)
    var store = try machine.open()
    let stream = try store.blocking.createStream("changes", partitionCount: 1)
    let users = try store.blocking.createKeyspace("users", recordingChangesIn: stream)
    #expect(users.changes?.name == "changes")
    #expect(try store.blocking.createKeyspace("users").changes?.name == "changes")
    let other = try store.blocking.createStream("other", partitionCount: 1)
    #expect(throws: StoreError.self) {
      _ = try store.blocking.createKeyspace("users", recordingChangesIn: other)
    }
    #expect(throws: StoreError.self) { try store.blocking.dropStream("changes") }
    // It is the keyspace's alone, has one partition, was empty, and is kept whole.
    #expect(throws: StoreError.self) {
      _ = try store.blocking.createKeyspace("second", recordingChangesIn: stream)
    }
    #expect(throws: StoreError.self) {
      try store.blocking.compact(stream, by: KeyCompaction())
    }
    try store.blocking.append(NewEvent("x"), to: other)
    let wide = try store.blocking.createStream("wide", partitionCount: 2)
    for unfit in [other, wide] {
      #expect(throws: StoreError.self) {
        _ = try store.blocking.createKeyspace("second", recordingChangesIn: unfit)
      }
    }
    // Who commits is told of what was appended, and not of what was recorded.
    var batch = Store.Batch()
    batch.put("a", "1", in: users)
    batch.append(NewEvent("y"), to: other)
    #expect(try store.blocking.commit(batch) == [EventPosition(partition: 0, offset: 1)])
    // The manifest is written anew at each opening.
    for _ in 0..<2 {
      try store.blocking.close()
      store = try machine.open(mode: .existing)
    }
    let found = try store.blocking.keyspace("users")
    let changes = try #require(found.changes)
    try store.blocking.delete("a", in: found)
    let tail = store.blocking.tail(changes, from: .start)
    #expect(
      try tail.next().map { try Change($0) } == [.put(key: "a", value: "1"), .delete(key: "a")])
    try store.blocking.append(NewEvent("x"), to: changes)
    #expect(throws: StoreError.self) { _ = try tail.next().map { try Change($0) } }
    try store.blocking.dropKeyspace("users")
    try store.blocking.dropStream("changes")
    #expect(throws: StoreError.self) {
      _ = try store.blocking.createKeyspace("again", recordingChangesIn: changes)
    }
    try store.blocking.close()
  }
}
