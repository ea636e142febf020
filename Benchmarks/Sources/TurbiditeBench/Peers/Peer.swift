// Peer — what the comparison asks of an engine, ours and others'.
//
// Room:    Benchmarks.
// Limits:  Nothing here allocates per operation; a call through it costs a few nanoseconds, the same
//          for every engine.

/// Bytes that are lent for the duration of a call.
typealias Lent = UnsafeRawBufferPointer

/// How a store is opened: the same terms for all.
struct PeerTerms: Sendable {
  /// Every commit waits for the disk.
  var isSynced = false
  /// Memory for block cache and memtables together, where an engine has them.
  var memoryByteCount = 256 << 20
  var filterBitsPerKey = 10
  /// Memtables large enough that nothing is flushed while a log of 64 MiB is written.
  var keepsLog = false
  /// Only ours has shards; nil means as many as it takes by itself.
  var shardCount: Int?
}

/// An open store.
protocol Peer: AnyObject, Sendable {
  /// A handle for one thread.
  func session() throws -> any PeerSession

  /// Writes what memory holds to tables, where there are tables.
  func flush() throws

  /// Rewrites the store as compactly as the engine can. Sessions made before are of no use after.
  func compact() throws

  /// All sessions must have ended.
  func close() throws
}

/// What one thread does with a store.
protocol PeerSession: AnyObject {
  func put(_ key: Lent, _ value: Lent) throws
  func delete(_ key: Lent) throws

  func batchPut(_ key: Lent, _ value: Lent) throws
  /// Makes the puts since the last commit visible as one.
  func commitBatch() throws

  /// Calls `body` with the value and gives what it gives; nil when there is no value.
  func get(_ key: Lent, _ body: (Lent) -> Bool) throws -> Bool?

  /// Calls `body` with each entry until it returns false; values are empty in a walk of keys only.
  func scan(_ walk: Walk, _ body: (Lent, Lent) -> Bool) throws

  func end()
}

/// Which entries a scan visits.
struct Walk {
  /// The first key; nil means from the first, or in reverse from the last.
  var from: Lent?
  var isReversed = false
  var isOfKeysOnly = false
  var limit = Int.max
}

/// An engine that this build knows by name.
struct PeerKind: Sendable {
  var name: String
  /// How the table writes it.
  var title: String
  /// How charts draw it.
  var color: String
  /// What an unsynced write promises, for the page.
  var promise: String
  var aptPackage: String
  /// The version that is linked.
  var version: @Sendable () -> String
  /// Nil when its package was missing when this was built.
  var open: (@Sendable (_ directory: String, _ terms: PeerTerms) throws -> any Peer)?

  static let ours = "turbidite"

  static func named(_ name: String) throws -> PeerKind {
    guard let kind = all.first(where: { $0.name == name }) else {
      throw Stop("\(name): no such engine; there are \(all.map(\.name).joined(separator: ", "))")
    }
    return kind
  }
}
