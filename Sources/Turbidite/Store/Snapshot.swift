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
    var value: Bytes?
    let outcome = try key.withSpan { span throws(StoreError) in
      try pin.store.engine.read(
        span, in: pin.store.state(of: keyspace), at: pin.sequence, mode: .blocking
      ) { value = Bytes(copying: $0) }
    }
    assert(outcome != .wouldBlock, "a blocking read waits")
    return value
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
