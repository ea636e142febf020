// Batch — changes that land together or not at all.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine

extension Store {
  /// Changes over any keys, shards and keyspaces, applied in order and as one.
  ///
  /// A batch cannot be copied, and what was committed is in it no more. At most 256 MiB. Arguments
  /// outside their limits are remembered and thrown by the commit, before anything is written.
  public struct Batch: ~Copyable, Sendable {
    var encoded = EncodedBatch()
    var failure: StoreError?
    /// Who must have which partitions when the batch is committed; nil for most.
    var groupMoves: [GroupMove]?
    /// Whose keyspaces and streams are in it; 0 where only the default keyspace is.
    private(set) var engineNumber: UInt64 = 0

    /// An empty batch.
    public init() {}

    /// The number of changes.
    public var count: Int { encoded.entryCount }

    /// The bytes that the batch will take in the log, without its frame.
    public var byteCount: Int { encoded.bytes.count }

    /// Sets `key` to `value`.
    public mutating func put(_ key: Bytes, _ value: Bytes, in keyspace: Keyspace = .default) {
      put(key: key.array.span.rawBytes, value: value.array.span.rawBytes, in: keyspace)
    }

    /// Sets the key in one span to the value in the other; both are copied.
    public mutating func put(key: RawSpan, value: RawSpan, in keyspace: Keyspace = .default) {
      note(encoded.put(keyspace: id(of: keyspace), key: key, value: value))
      if let changes = keyspace.state?.changes {
        record(.put(key: Bytes(copying: key), value: Bytes(copying: value)), in: changes)
      }
    }

    /// Removes `key`; an absent one is no error.
    public mutating func delete(_ key: Bytes, in keyspace: Keyspace = .default) {
      note(encoded.delete(keyspace: id(of: keyspace), key: key.array.span.rawBytes))
      if let changes = keyspace.state?.changes { record(.delete(key: key), in: changes) }
    }

    /// Removes every key in `range`, at a cost that does not depend on how many there are.
    public mutating func deleteRange(_ range: KeyRange, in keyspace: Keyspace = .default) {
      note(
        encoded.deleteRange(
          keyspace: id(of: keyspace), from: range.from?.array ?? [], to: range.to?.array))
      if let changes = keyspace.state?.changes { record(.deleteRange(range), in: changes) }
    }

    /// Forgets all changes, and keeps the memory for those that follow.
    public mutating func removeAll() {
      encoded.removeAll()
      failure = nil
      groupMoves = nil
      engineNumber = 0
    }

    /// A handle of what is gone, or has another name now, is of no use.
    private mutating func id(of keyspace: Keyspace) -> UInt32 {
      guard let state = keyspace.state else { return 0 }
      if state.isDropped { note(.notFound("keyspace \(state.name)")) }
      require(state)
      return state.id
    }

    /// Notes whose keyspace is in the batch: of another store it would be any keyspace there.
    mutating func require(_ state: KeyspaceState) {
      if engineNumber == 0 { engineNumber = state.engineNumber }
      if engineNumber != state.engineNumber {
        note(.invalidArgument("keyspaces and streams of two stores are in one batch"))
      }
    }

    mutating func note(_ error: StoreError?) {
      if failure == nil { failure = error }
    }
  }
}
