// ReadOnlyTests — reading beside a live writer, and without one.

import Foundation
import Testing

@testable import Turbidite

/// A reader sees one consistent state, writes nothing, and keeps the files that it needs.
///
/// Method: a real directory, a writer with small tables that compacts all the time, and readers that
/// are opened at any moment.
@Suite("Read-only")
struct ReadOnlyTests {
  private func options() -> Store.Options {
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 16 << 10
    options.tableByteCount = 16 << 10
    options.memoryBudgetByteCount = 2 << 20
    options.logByteCount = 128 << 10
    return options
  }

  /// Puts one number under four keys, and some ballast.
  private func commit(_ round: Int, to store: Store) throws {
    var batch = Store.Batch()
    for part in 0..<4 { batch.put(Bytes("p\(part)"), Bytes("\(round)")) }
    batch.put(
      Bytes("ballast/\(round % 60)"), Bytes(String(repeating: "\(round)", count: 200)))
    try store.blocking.commit(batch)
  }

  private func number(in reader: Store) throws -> Int {
    var seen: Set<String> = []
    for part in 0..<4 { seen.insert(try reader.blocking.get(Bytes("p\(part)"))?.text ?? "none") }
    #expect(seen.count == 1, "a reader saw half a batch: \(seen)")
    return Int(seen.first ?? "") ?? -1
  }

  @Test("a reader beside a writer sees a prefix that holds what was committed before it opened")
  func besideAWriter() throws {
    let directory = ScratchDirectory()
    let path = directory.file("store")
    let store = try Store.Blocking.open(at: path, options: options())
    for round in 1...600 {
      try commit(round, to: store)
      if round % 20 == 0 {
        let reader = try Store.Blocking.open(at: path, mode: .readOnly)
        #expect(try number(in: reader) == round)
        #expect(throws: StoreError.readOnly) { try reader.blocking.put("a", "b") }
        try reader.blocking.close()
      }
      if round % 150 == 0 { try store.blocking.compact() }
    }
    try store.blocking.close()
  }

  @Test("what a reader needs stays while the writer compacts, drops and goes on")
  func filesStay() throws {
    let directory = ScratchDirectory()
    let path = directory.file("store")
    let store = try Store.Blocking.open(at: path, options: options())
    let named = try store.blocking.createKeyspace("named")
    for round in 1...200 { try commit(round, to: store) }
    try store.blocking.put("key", "value", in: named)
    try store.blocking.flush()
    let reader = try Store.Blocking.open(at: path, mode: .readOnly)
    let held = try reader.blocking.keyspace("named")
    for round in 201...500 { try commit(round, to: store) }
    try store.blocking.dropKeyspace("named")
    try store.blocking.compact()
    for round in 501...700 { try commit(round, to: store) }
    try store.blocking.compact()
    // All of it lies in files that the writer no longer needs, and that the reader opens only now.
    #expect(try number(in: reader) == 200)
    #expect(try reader.blocking.get("key", in: held) == "value")
    #expect(try reader.blocking.scan(.prefix("ballast/")).count() == 60)
    try reader.blocking.close()
    #expect(try number(in: store) == 700)
    try store.blocking.close()
  }

  @Test("reading leaves every file as it was, with and without a LOCK")
  func writesNothing() throws {
    let directory = ScratchDirectory()
    let path = directory.file("store")
    let store = try Store.Blocking.open(at: path, options: options())
    for round in 1...100 { try commit(round, to: store) }
    // As after a kill: no seal, a log to replay.
    store.engine.abandon()
    func listing() throws -> [String: [AnyHashable]] {
      var result: [String: [AnyHashable]] = [:]
      for case let name as String in FileManager.default.enumerator(atPath: path) ?? .init() {
        let attributes = try FileManager.default.attributesOfItem(atPath: path + "/" + name)
        result[name] = [
          attributes[.size] as? Int ?? -1, attributes[.modificationDate] as? Date ?? Date(),
        ]
      }
      return result
    }
    for removesLock in [false, true] {
      if removesLock { try FileManager.default.removeItem(atPath: path + "/LOCK") }
      let before = try listing()
      let reader = try Store.Blocking.open(at: path, mode: .readOnly)
      #expect(try number(in: reader) == 100)
      _ = try reader.blocking.scan().count()
      _ = try reader.blocking.statistics()
      try reader.blocking.close()
      #expect(try listing() == before)
    }
  }
}
