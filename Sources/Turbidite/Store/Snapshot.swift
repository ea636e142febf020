// Snapshot — the whole store as it was at one moment.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine

/// Keeps a sequence number readable for as long as it lives.
final class SnapshotPin: Sendable {
  let store: Store
  let sequence: UInt64

  init(store: Store) {
    self.store = store
    sequence = store.engine.pinSnapshot()
  }

  deinit { store.engine.unpinSnapshot(sequence) }
}

/// A consistent view over all shards and keyspaces: one sequence number.
///
/// Costs next to nothing to take. While it lives, old versions of what is overwritten stay on disk.
/// It cannot be copied, and gives back what it pins at the end of its scope.
public struct Snapshot: ~Copyable, Sendable {
  let pin: SnapshotPin

  init(store: Store) { pin = SnapshotPin(store: store) }

  /// The sequence number of the last commit that the snapshot sees.
  public var sequence: UInt64 { pin.sequence }

  /// The value of `key` at the snapshot's moment.
  ///
  /// May block the calling thread.
  public func get(
    _ key: Bytes, in keyspace: Keyspace = .default
  ) throws(StoreError) -> Bytes? {
    try key.withSpan { span throws(StoreError) in
      let result = try pin.store.engine.withValue(
        of: span, in: pin.store.state(of: keyspace), at: pin.sequence, mode: .blocking
      ) { Bytes(copying: $0) }
      switch consume result {
      case .found(let value): return value
      case .absent: return nil
      case .wouldBlock: return nil
      }
    }
  }

  /// The entries of `range` at the snapshot's moment, for synchronous code.
  public func blockingScan(
    _ range: KeyRange = .all, in keyspace: Keyspace = .default, reverse: Bool = false,
    limit: Int? = nil, keysOnly: Bool = false
  ) throws(StoreError) -> Scan {
    try Scan(
      pin: pin, range: range, keyspace: pin.store.state(of: keyspace), reverse: reverse,
      limit: limit, keysOnly: keysOnly)
  }

  /// The entries of `range` at the snapshot's moment.
  public func scan(
    _ range: KeyRange = .all, in keyspace: Keyspace = .default, limit: Int? = nil,
    keysOnly: Bool = false
  ) -> EntrySequence {
    EntrySequence(
      pin: pin, range: range, keyspace: keyspace, isReversed: false, limit: limit,
      keysOnly: keysOnly)
  }
}
