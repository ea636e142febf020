// BadInputTests — directories that are no stores, damaged files, and arguments outside their
// limits.

import Foundation
import Testing
import TurbiditeSystem

@testable import Turbidite

/// What is wrong is said in one error with the right class; nothing traps, nothing is misread.
@Suite("Bad input")
struct BadInputTests {
  private let place = ScratchDirectory()
  private var path: String { place.file("store") }

  /// The error that `body` throws.
  private func failure(_ body: () throws -> Void) -> StoreError? {
    do { try body() } catch let error as StoreError { return error } catch {
      Issue.record("an error of another type: \(error)")
    }
    return nil
  }

  private func opening(
    _ path: String? = nil, _ mode: Store.Mode = .openOrCreate,
    _ options: Store.Options = Store.Options()
  ) -> StoreError? {
    failure {
      let store = try Store.Blocking.open(at: path ?? self.path, mode: mode, options: options)
      try store.blocking.close()
    }
  }

  // MARK: - Directories

  @Test("a directory that is no store is refused, and nothing in it is touched", arguments: 0..<5)
  func noStore(_ variant: Int) throws {
    let manager = FileManager.default
    var (path, mode) = (self.path, Store.Mode.existing)
    switch variant {
    case 0: break
    case 1:
      try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
      mode = .readOnly
    case 2:
      try Data("x".utf8).write(to: URL(fileURLWithPath: path))
    case 3:
      try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
      try Data("x".utf8).write(to: URL(fileURLWithPath: path + "/notes.txt"))
      mode = .openOrCreate
    default:
      try Data("x".utf8).write(to: URL(fileURLWithPath: path))
      path += "/below"
      mode = .readOnly
    }
    let error = opening(path, mode)
    guard case .noStore = error else {
      Issue.record("variant \(variant): \(String(describing: error))")
      return
    }
    #expect(error?.exitStatus == 66)
    if variant == 3 {
      #expect(try manager.contentsOfDirectory(atPath: path) == ["notes.txt"])
    }
  }

  @Test("a second handle for writing is refused, in this process and in another")
  func locked() throws {
    let store = try Store.Blocking.open(at: path, options: Store.Options(shardCount: 3))
    let error = opening()
    guard case .locked = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.exitStatus == 75)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: buildProduct("turbidite-torture"))
    process.arguments = ["child", path, "1", "write"]
    let pipe = Pipe()
    process.standardError = pipe
    try process.run()
    process.waitUntilExit()
    let said = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    #expect(process.terminationStatus == 70)
    #expect(said.contains("open for writing elsewhere"), "\(said)")
    try store.blocking.put("a", "1")
    try store.blocking.close()
    #expect(opening() == nil)
  }

  @Test("what was given contradicts the store: its mode, its shards, its options")
  func configuration() throws {
    #expect(opening(nil, .create, Store.Options(shardCount: 3)) == nil)
    #expect(opening(nil, .create)?.exitStatus == 75)
    let shards = opening(nil, .existing, Store.Options(shardCount: 4))
    guard case .configuration = shards else {
      Issue.record("\(String(describing: shards))")
      return
    }
    #expect(shards?.exitStatus == 78)
    let changes: [(inout Store.Options) -> Void] = [
      { $0.shardCount = 0 }, { $0.shardCount = 4097 }, { $0.memoryBudgetByteCount = 1 },
      { $0.memtableByteCount = 0 }, { $0.blockByteCount = 63 }, { $0.tableByteCount = -1 },
      { $0.logByteCount = 1 }, { $0.filterBitsPerKey = 33 }, { $0.maximumOpenTableCount = 7 },
      { $0.backgroundThreadCount = 65 },
    ]
    for (index, change) in changes.enumerated() {
      var options = Store.Options()
      change(&options)
      #expect(opening(nil, .existing, options)?.exitStatus == 64, "option \(index)")
    }
    #expect(opening() == nil)
  }

  @Test("a directory that denies access is a permission error", .disabled(if: getuid() == 0))
  func permission() throws {
    #expect(opening() == nil)
    try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: path)
    defer {
      do {
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
      } catch { Issue.record("\(error)") }
    }
    #expect(opening()?.exitStatus == 77)
  }

  // MARK: - Arguments

  @Test("keys, values and batches outside their limits are refused before anything is written")
  func limits() throws {
    let store = try Store.Blocking.open(at: path)
    let blocking = store.blocking
    let longKey = Bytes([UInt8](repeating: 1, count: 64 << 10))
    let tooLongKey = Bytes([UInt8](repeating: 1, count: 64 << 10 + 1))
    let longValue = Bytes([UInt8](repeating: 2, count: 64 << 20))
    let tooLongValue = Bytes([UInt8](repeating: 2, count: 64 << 20 + 1))
    try blocking.put(longKey, "1")
    try blocking.put("long", longValue)
    #expect(try blocking.get(longKey) == "1")
    #expect(try blocking.get("long") == longValue)
    let before = store.snapshot().sequence
    let refusals: [() throws -> Void] = [
      { try blocking.put("", "1") },
      { try blocking.put(tooLongKey, "1") },
      { try blocking.put("a", tooLongValue) },
      { try blocking.delete("") },
      { try blocking.delete(tooLongKey) },
      { try blocking.deleteRange(KeyRange(from: tooLongKey)) },
      {
        try blocking.write { batch in
          batch.put("good", "1")
          batch.put("", "1")
        }
      },
      {
        try blocking.write { batch in for _ in 0..<4 { batch.put("big", longValue) } }
      },
      { _ = try blocking.createKeyspace("") },
      {
        _ = try blocking.createKeyspace(String(repeating: "x", count: 256))
      },
      { try blocking.dropKeyspace("") },
    ]
    for (index, refusal) in refusals.enumerated() {
      let error = failure(refusal)
      guard case .invalidArgument = error else {
        Issue.record("refusal \(index): \(String(describing: error))")
        continue
      }
      #expect(error?.exitStatus == 64)
    }
    #expect(store.snapshot().sequence == before)
    #expect(try blocking.get("good") == nil)
    try blocking.close()
  }

  @Test("a keyspace that does not exist, and a store that was closed, say so")
  func absentAndClosed() async throws {
    let store = try Store.Blocking.open(at: path)
    let blocking = store.blocking
    for error in [
      failure { _ = try blocking.keyspace("none") },
      failure { try blocking.dropKeyspace("none") },
    ] {
      guard case .notFound = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(error?.exitStatus == 1)
    }
    try blocking.put("a", "1")
    let scan = try blocking.scan()
    try blocking.close()
    let verbs: [() throws -> Void] = [
      { _ = try blocking.get("a") },
      { _ = try scan.next() },
      { try blocking.put("a", "1") },
      { try blocking.sync() },
      { try blocking.flush() },
      { try blocking.compact() },
      { _ = try blocking.createKeyspace("new") },
    ]
    for (index, verb) in verbs.enumerated() {
      #expect(failure(verb) == .closed, "verb \(index)")
    }
    #expect(StoreError.closed.exitStatus == 69)
    await #expect(throws: StoreError.closed) { try await store.put("a", "1") }
    await #expect(throws: StoreError.closed) { _ = try await store.get("a") }
    // Closing twice is no mistake.
    try blocking.close()
  }
}
