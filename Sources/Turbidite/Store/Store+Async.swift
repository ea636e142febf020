// Store+Async — the same verbs for tasks.
//
// Room:    Turbidite/Store. A thin floor: what may block runs on threads of the store's own.

internal import TurbiditeEngine
internal import TurbiditeSystem

extension Store {
  /// The value of `key`, or nil when there is none.
  ///
  /// Answered at once when memory holds the answer; otherwise the disk is asked on another thread.
  public func get(
    _ key: Bytes, in keyspace: Keyspace = .default
  ) async throws(StoreError) -> Bytes? {
    let state = state(of: keyspace)
    var value: Bytes?
    let quick = try key.withSpan { span throws(StoreError) in
      try engine.read(span, in: state, at: nil, mode: .cachedOnly) { value = Bytes(copying: $0) }
    }
    switch quick {
    case .found, .absent: return value
    case .wouldBlock:
      return try await run { blocking throws(StoreError) in try blocking.get(key, in: keyspace) }
    }
  }

  /// Whether `key` has a value.
  public func contains(
    _ key: Bytes, in keyspace: Keyspace = .default
  ) async throws(StoreError) -> Bool {
    try await run { blocking throws(StoreError) in try blocking.contains(key, in: keyspace) }
  }

  /// Sets `key` to `value`.
  public func put(
    _ key: Bytes, _ value: Bytes, in keyspace: Keyspace = .default,
    durability: Durability = .buffered
  ) async throws(StoreError) {
    var batch = Batch()
    batch.put(key, value, in: keyspace)
    try await commit(batch, durability: durability)
  }

  /// Removes `key`; an absent one is no error.
  public func delete(
    _ key: Bytes, in keyspace: Keyspace = .default, durability: Durability = .buffered
  ) async throws(StoreError) {
    var batch = Batch()
    batch.delete(key, in: keyspace)
    try await commit(batch, durability: durability)
  }

  /// Removes every key in `range`, at a cost that does not depend on how many there are.
  public func deleteRange(
    _ range: KeyRange, in keyspace: Keyspace = .default, durability: Durability = .buffered
  ) async throws(StoreError) {
    var batch = Batch()
    batch.deleteRange(range, in: keyspace)
    try await commit(batch, durability: durability)
  }

  /// Builds a batch and commits it whole.
  public func write(
    durability: Durability = .buffered, _ build: (inout Batch) throws(StoreError) -> Void
  ) async throws(StoreError) {
    var batch = Batch()
    try build(&batch)
    try await commit(batch, durability: durability)
  }

  /// Commits a batch; it is visible and durable at the level asked for when this returns.
  ///
  /// The task is suspended, not blocked: any number of commits share one write and one sync. A task
  /// that is cancelled before the commit is handed over throws ``StoreError/cancelled``; afterwards
  /// the commit goes through.
  ///
  /// - Returns: where the batch's events lie, in the order in which they were appended to it.
  @discardableResult
  public func commit(
    _ batch: consuming Batch, durability: Durability = .buffered
  ) async throws(StoreError) -> [EventPosition] {
    if let failure = batch.failure { throw failure }
    try engine.requireOwn(batch.engineNumber)
    if Task.isCancelled { throw .cancelled }
    let moves = batch.groupMoves ?? []
    try groups.begin(moves)
    defer { groups.end(moves) }
    let encoded = batch.encoded
    let failure = await withCheckedContinuation { continuation in
      engine.commit(encoded, synced: durability == .synced) { continuation.resume(returning: $0) }
    }
    if let failure { throw failure }
    return encoded.eventPositions
  }

  /// A consistent view of the whole store as it is now.
  public func snapshot() -> Snapshot { Snapshot(store: self) }

  /// The entries of `range` in key order, as they are now.
  public func scan(
    _ range: KeyRange = .all, in keyspace: Keyspace = .default, limit: Int? = nil,
    keysOnly: Bool = false
  ) -> EntrySequence {
    EntrySequence(
      pin: SnapshotPin(store: self), range: range, keyspace: keyspace, isReversed: false,
      limit: limit, keysOnly: keysOnly)
  }

  /// The entries whose keys begin with `prefix`, in key order, as they are now.
  public func scan(prefix: Bytes, in keyspace: Keyspace = .default) -> EntrySequence {
    scan(.prefix(prefix), in: keyspace)
  }

  /// The keyspace named `name`.
  public func keyspace(_ name: String) throws(StoreError) -> Keyspace {
    try blocking.keyspace(name)
  }

  /// Creates the keyspace named `name`, durably; an existing one is returned as it is.
  ///
  /// - Parameter partitioning: which part of a key chooses its shard; nil means the whole key, or
  ///   what an existing keyspace has.
  /// - Parameter changes: the stream in which each change of the keyspace is recorded; see
  ///   ``Blocking/createKeyspace(_:partitioning:recordingChangesIn:)``.
  /// - Throws: `invalidArgument`, among others, when the keyspace is there with others.
  public func createKeyspace(
    _ name: String, partitioning: Partitioning? = nil,
    recordingChangesIn changes: EventStream? = nil
  ) async throws(StoreError) -> Keyspace {
    try await run { blocking throws(StoreError) in
      try blocking.createKeyspace(
        name, partitioning: partitioning, recordingChangesIn: changes)
    }
  }

  /// Drops the keyspace named `name` with all it holds, durably.
  public func dropKeyspace(_ name: String) async throws(StoreError) {
    try await run { blocking throws(StoreError) in try blocking.dropKeyspace(name) }
  }

  /// Makes every commit that has returned survive a power loss.
  public func sync() async throws(StoreError) {
    try await run { blocking throws(StoreError) in try blocking.sync() }
  }

  /// Writes every memtable to a table; the log is short afterwards.
  public func flush() async throws(StoreError) {
    try await run { blocking throws(StoreError) in try blocking.flush() }
  }

  /// Merges everything into the last level; see ``Blocking/compact()``.
  public func compact() async throws(StoreError) {
    try await run { blocking throws(StoreError) in try blocking.compact() }
  }

  /// Counts of everything the store holds, from metadata.
  public func statistics() throws(StoreError) -> Statistics { try blocking.statistics() }
}

/// Entries of a store at one moment, for `for try await`.
///
/// Entries are fetched in batches on a thread of the store's own; a cancelled task ends with
/// ``StoreError/cancelled`` at the next batch.
public struct EntrySequence: AsyncSequence, Sendable {
  /// What the sequence yields.
  public typealias Element = Entry
  /// What the sequence throws.
  public typealias Failure = StoreError

  let pin: SnapshotPin
  let range: KeyRange
  let keyspace: Keyspace
  let isReversed: Bool
  let limit: Int?
  let keysOnly: Bool

  /// The same entries in the opposite order.
  public func reversed() -> EntrySequence {
    EntrySequence(
      pin: pin, range: range, keyspace: keyspace, isReversed: !isReversed, limit: limit,
      keysOnly: keysOnly)
  }

  /// Begins at the first entry.
  public func makeAsyncIterator() -> Iterator { Iterator(sequence: self) }

  /// Walks an ``EntrySequence``.
  public struct Iterator: AsyncIteratorProtocol {
    private let sequence: EntrySequence
    private var source: SharedScan?
    private var batch: [Entry] = []
    private var index = 0

    init(sequence: EntrySequence) { self.sequence = sequence }

    /// The next entry, or nil at the end.
    public mutating func next() async throws(StoreError) -> Entry? {
      if index == batch.count {
        if Task.isCancelled { throw .cancelled }
        let (sequence, source) = (sequence, source)
        (self.source, batch) = try await sequence.pin.store.run {
          _ throws(StoreError) -> (SharedScan, [Entry]) in
          if let source { return (source, try source.nextBatch()) }
          let scan = try SharedScan(sequence)
          return (scan, try scan.nextBatch())
        }
        index = 0
      }
      guard index < batch.count else { return nil }
      index += 1
      return batch[index - 1]
    }

    /// The next entry; the isolation makes no difference, because batches come from other threads.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(StoreError) -> Entry? {
      try await next()
    }
  }
}

/// A scan that moves between threads.
///
/// Safe to share: an iterator has one batch in the making at a time, and awaits it.
final class SharedScan: @unchecked Sendable {
  private let scan: Scan

  init(_ sequence: EntrySequence) throws(StoreError) {
    scan = try Scan(
      pin: sequence.pin, range: sequence.range,
      keyspace: sequence.pin.store.state(of: sequence.keyspace), reverse: sequence.isReversed,
      limit: sequence.limit, keysOnly: sequence.keysOnly)
  }

  /// Up to 256 entries or about 64 KiB.
  func nextBatch() throws(StoreError) -> [Entry] {
    var batch: [Entry] = []
    var byteCount = 0
    while batch.count < 256, byteCount < 64 << 10, let entry = try scan.next() {
      byteCount += entry.key.count + entry.value.count
      batch.append(entry)
    }
    return batch
  }
}
