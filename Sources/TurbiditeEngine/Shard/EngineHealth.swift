// EngineHealth — what stands in an engine's way, and since when.
//
// Room:    Engine/Shard.

/// A failure that has not been made good, and since when.
package struct Incident: Sendable, Hashable {
  package var cause: StoreError
  /// Seconds since 1970, by the wall clock.
  package var since: UInt64
}

/// Writes that were refused because there was no room for them.
package struct Pause: Sendable, Hashable {
  package var cause: StoreError
  /// Seconds since 1970, by the wall clock.
  package var since: UInt64
  /// The log's share in the last refused write.
  var frameByteCount: Int
  /// What must be free for writes to go on, as far as it is known.
  package var neededByteCount: Int
}

/// The kinds of work behind the writers' backs.
///
/// Each fails and recovers by itself: that a table cannot be compacted says nothing of a flush.
package enum BackgroundWorkKind: String, Sendable, Hashable, CaseIterable {
  /// Making the log durable, and shorter.
  case log
  case flush
  case compaction
  /// A new manifest in the place of one that has grown long.
  case manifest
  /// Removing files that are no longer needed: a failure costs space.
  case removal
  /// Holding back room for deletions on a full disk.
  case reserve
}

/// Work of a kind, on a tree where it is one's own.
struct BackgroundWorkItem: Hashable {
  var kind: BackgroundWorkKind
  var tree: TreeID?
}

/// What is known of an engine's troubles.
package struct EngineHealth: Sendable {
  package var isClosed = false
  /// Why writes are refused until the store is opened again.
  package var poison: Incident?
  /// Why writes are refused until there is room.
  package var pause: Pause?
  /// The last failure of each piece of work that was not followed by its success.
  var failures: [BackgroundWorkItem: Incident] = [:]
  /// Damage that a compaction met, by the tree that it stops from being compacted.
  var suspects: [TreeID: Incident] = [:]
  /// When work that failed is tried again at the latest; seconds since 1970.
  package var nextAttempt: UInt64?

  init() {}

  /// The files with damage, in the order of their names.
  package var damages: [Damage] {
    suspects.values.compactMap { incident in
      if case .corrupt(let damage) = incident.cause { return damage }
      return nil
    }.sorted { ($0.file, $0.offset) < ($1.file, $1.offset) }
  }

  /// The failures of one kind, the oldest first.
  package func failures(of kind: BackgroundWorkKind) -> [Incident] {
    failures.filter { $0.key.kind == kind }.sorted {
      ($0.value.since, $0.key.tree ?? TreeID(keyspace: 0, shard: 0))
        < ($1.value.since, $1.key.tree ?? TreeID(keyspace: 0, shard: 0))
    }.map(\.value)
  }

  /// Why waiting for work of a kind is vain, if it is.
  ///
  /// Damage stops the compaction of one tree; that of others goes on, and may bring relief.
  func obstacle(to kind: BackgroundWorkKind) -> StoreError? {
    failures(of: kind).first { incident in
      if case .corrupt = incident.cause, kind == .compaction { false } else { true }
    }?.cause
  }

  /// One of the failures of `kinds`, the first kind first.
  func failure(of kinds: [BackgroundWorkKind]) -> StoreError? {
    guard !failures.isEmpty else { return nil }
    for kind in kinds { if let failure = failures(of: kind).first { return failure.cause } }
    return nil
  }
}
