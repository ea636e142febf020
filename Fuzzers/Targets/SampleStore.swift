// SampleStore — a small valid store, the same each time, from which inputs begin.
//
// Room:    Fuzzers.

import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// A store with a table, a log and two keyspaces, on a disk in memory.
struct SampleStore: Sendable {
  /// The store as a killed process leaves it.
  let disk: SimulatedDisk
  /// The last segment of its log.
  let lastSegment: FileIdentity
  /// The paths of its files.
  let paths: [String]

  static let shared: SampleStore = {
    do throws(StoreError) {
      return try SampleStore()
    } catch {
      preconditionFailure("no sample store: \(error)")
    }
  }()

  private init() throws(StoreError) {
    let disk = SimulatedDisk()
    let store = try StoreTargets.open(disk, .create)
    for number in 0..<40 {
      try store.blocking.put(Bytes("key\(10 + number)"), Bytes("value \(number)"))
    }
    try store.blocking.delete("key13")
    try store.blocking.deleteRange(KeyRange(from: "key20", to: "key22"))
    try store.blocking.flush()
    let other = try store.blocking.createKeyspace("other")
    try store.blocking.put("key17", "newer")
    try store.blocking.put("elsewhere", "one", in: other)
    try store.blocking.deleteRange(KeyRange(from: "key30", to: "key33"))
    try store.blocking.put("long", Bytes([UInt8](repeating: 0x78, count: 200)), durability: .synced)
    try store.blocking.put("last", "one")
    self.disk = disk.crashed(.processKill)
    store.engine.abandon()

    var paths: [String] = []
    do throws(SystemError) {
      paths = try self.disk.list("").filter { $0.hasPrefix("MANIFEST") }
      paths += try self.disk.list("log").map { "log/\($0)" }
      paths += try self.disk.list("shards/0000").map { "shards/0000/\($0)" }
    } catch { throw StoreError(error) }
    self.paths = paths
    guard let last = try LogRecovery.segmentNumbers(self.disk).last,
      let bytes = self.disk.contents(FileNames.logSegment(last))
    else { throw .notFound("a log segment") }
    lastSegment = FileIdentity(
      store: StoreID(
        high: bytes.load(24, as: UInt64.self), low: bytes.load(32, as: UInt64.self)),
      number: last)
  }

  /// The bytes of the files of one kind.
  func files(_ kind: StoreArchive.Kind) -> [(number: UInt64, bytes: [UInt8])] {
    paths.compactMap { path in
      guard let bytes = disk.contents(path) else { return nil }
      switch (FileNames.kind(of: path), kind) {
      case (.manifest(let number), .manifest), (.logSegment(let number), .log):
        return (number, SampleStore.trimmed(bytes))
      case (.table(_, let number), .table): return (number, bytes)
      default: return nil
      }
    }
  }

  /// Without the zeros that a file was preallocated with.
  private static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    let end = (bytes.lastIndex { $0 != 0 } ?? -1) + 1
    return Array(bytes.prefix((end + 7) & ~7))
  }
}
