// GoneTables — tables that are no part of the store any more, while their files may be there.
//
// Room:    Engine/Compaction.
// Limits:  As many numbers as files wait for their removal, and those removed since a shard's
//          directory was synced last.

import Synchronization

/// What new tables say of old ones, so that a repair without a manifest leaves these out.
///
/// Invariants:
/// 1. A number is added when the edit that removed the table is durable, or when an opening finds
///    the file and no state that names it; and before anything that follows is compacted.
/// 2. It leaves only when a sync of the directory followed the removal: until then a power failure
///    may bring the file back.
final class GoneTables: Sendable {
  private struct Place {
    var shard: UInt32
    var isRemoved: Bool
  }

  private let places = Mutex<[UInt64: Place]>([:])

  func add(_ number: UInt64, shard: UInt32) {
    places.withLock { $0[number] = Place(shard: shard, isRemoved: false) }
  }

  /// The name of the file was removed, which the next sync of its directory makes durable.
  func wasRemoved(_ number: UInt64, shard: UInt32) {
    places.withLock { $0[number] = Place(shard: shard, isRemoved: true) }
  }

  /// The tables of a shard whose files may still be there, ascending.
  func numbers(of shard: UInt32) -> [UInt64] {
    places.withLock { places in places.filter { $0.value.shard == shard }.keys.sorted() }
  }

  /// Syncs the directory of a shard by `sync`, and forgets what was removed before.
  func syncing<Failure: Error>(
    _ shard: UInt32, _ sync: () throws(Failure) -> Void
  ) throws(Failure) {
    let removed = places.withLock { places in
      places.filter { $0.value.shard == shard && $0.value.isRemoved }.keys.sorted()
    }
    try sync()
    places.withLock { places in
      for number in removed { places[number] = nil }
    }
  }
}
