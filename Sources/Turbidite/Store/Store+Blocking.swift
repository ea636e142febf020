// Store+Blocking — every verb for synchronous code: scripts, C, Python, threads of one's own.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine
internal import TurbiditeSystem

extension Store {
  /// A store's verbs, each of which may block the calling thread: for a system call, for a sync, or
  /// while background work catches up.
  ///
  /// Not for Swift's cooperative pool.
  public struct Blocking: Sendable {
    let store: Store

    private var engine: Engine { store.engine }

    /// Opens the store in the directory at `path`; see ``Store/open(at:mode:options:)``.
    public static func open(
      at path: String, mode: Mode = .openOrCreate, options: Options = Options()
    ) throws(StoreError) -> Store {
      try options.validate()
      let fileSystem = try openRoot(path, mode)
      let processors = processorCount()
      let scheduler: ThreadScheduler
      do throws(SystemError) {
        scheduler = try ThreadScheduler(threadCount: options.threadCount(processors))
      } catch {
        throw .resourceExhausted("\(error.operation): \(systemMessage(error.code))")
      }
      let machine = StoreMachine(
        environment: EngineEnvironment(
          fileSystem: fileSystem, clock: SystemClock(), random: SystemRandom(),
          scheduler: scheduler, threads: IOThreads(count: 4)),
        processorCount: processors)
      do throws(StoreError) {
        return try Store.open(on: machine, name: path, mode: mode, options: options)
      } catch {
        scheduler.stop()
        throw error
      }
    }

    private static func openRoot(
      _ path: String, _ mode: Mode
    ) throws(StoreError) -> PosixFileSystem {
      do throws(SystemError) {
        switch mode {
        case .openOrCreate, .create: return try PosixFileSystem.createRoot(path)
        case .existing, .readOnly: return try PosixFileSystem.openRoot(path)
        }
      } catch {
        throw named(error, path)
      }
    }

    // MARK: - Reading

    /// The value of `key`, or nil when there is none.
    public func get(
      _ key: Bytes, in keyspace: Keyspace = .default
    ) throws(StoreError) -> Bytes? {
      try key.withSpan { span throws(StoreError) in
        try withValue(forKey: span, in: keyspace) { Bytes(copying: $0) }
      }
    }

    /// Calls `body` with the value of `key`, without copying it; nil when there is none.
    ///
    /// The span is valid during the call. `body` may be called while a block is pinned in memory:
    /// it should be short.
    @inlinable
    public func withValue<Value: ~Copyable>(
      forKey key: RawSpan, in keyspace: Keyspace = .default, _ body: (RawSpan) -> Value
    ) throws(StoreError) -> Value? {
      var result: Value?
      try read(key, in: keyspace) { result = body($0) }
      return result
    }

    /// What ``withValue(forKey:in:_:)`` cannot do in the caller's module.
    @usableFromInline
    func read(
      _ key: RawSpan, in keyspace: Keyspace, _ body: (RawSpan) -> Void
    ) throws(StoreError) {
      let outcome = try engine.read(
        key, in: store.state(of: keyspace), at: nil, mode: .blocking, body)
      assert(outcome != .wouldBlock, "a blocking read waits")
    }

    /// Whether `key` has a value.
    public func contains(
      _ key: Bytes, in keyspace: Keyspace = .default
    ) throws(StoreError) -> Bool {
      try key.withSpan { span throws(StoreError) in
        try withValue(forKey: span, in: keyspace) { _ in true } ?? false
      }
    }

    /// A consistent view of the whole store as it is now.
    public func snapshot() -> Snapshot { Snapshot(store: store) }

    /// The entries of `range` in key order, or in reverse, as they are now.
    public func scan(
      _ range: KeyRange = .all, in keyspace: Keyspace = .default, reverse: Bool = false,
      limit: Int? = nil, keysOnly: Bool = false
    ) throws(StoreError) -> Scan {
      try Scan(
        pin: SnapshotPin(store: store), range: range, keyspace: store.state(of: keyspace),
        reverse: reverse, limit: limit, keysOnly: keysOnly)
    }

    // MARK: - Writing

    /// Sets `key` to `value`.
    public func put(
      _ key: Bytes, _ value: Bytes, in keyspace: Keyspace = .default,
      durability: Durability = .buffered
    ) throws(StoreError) {
      var batch = Batch()
      batch.put(key, value, in: keyspace)
      try commit(batch, durability: durability)
    }

    /// Sets the key in one span to the value in the other.
    public func put(
      key: RawSpan, value: RawSpan, in keyspace: Keyspace = .default,
      durability: Durability = .buffered
    ) throws(StoreError) {
      var batch = Batch()
      batch.put(key: key, value: value, in: keyspace)
      try commit(batch, durability: durability)
    }

    /// Removes `key`; an absent one is no error.
    public func delete(
      _ key: Bytes, in keyspace: Keyspace = .default, durability: Durability = .buffered
    ) throws(StoreError) {
      var batch = Batch()
      batch.delete(key, in: keyspace)
      try commit(batch, durability: durability)
    }

    /// Removes every key in `range`, at a cost that does not depend on how many there are.
    public func deleteRange(
      _ range: KeyRange, in keyspace: Keyspace = .default, durability: Durability = .buffered
    ) throws(StoreError) {
      var batch = Batch()
      batch.deleteRange(range, in: keyspace)
      try commit(batch, durability: durability)
    }

    /// Builds a batch and commits it whole.
    public func write(
      durability: Durability = .buffered, _ build: (inout Batch) throws(StoreError) -> Void
    ) throws(StoreError) {
      var batch = Batch()
      try build(&batch)
      try commit(batch, durability: durability)
    }

    /// Commits a batch; it is visible and durable at the level asked for when this returns.
    ///
    /// - Returns: where the batch's events lie, in the order in which they were appended to it.
    @discardableResult
    public func commit(
      _ batch: consuming Batch, durability: Durability = .buffered
    ) throws(StoreError) -> [EventPosition] {
      var batch = batch
      return try commit(&batch, durability: durability)
    }

    /// Commits a batch as the other form does, and empties it, to be filled again.
    ///
    /// A large one is filled faster where it was before. When this throws, the batch is as it was:
    /// it may be committed again, where a retry helps.
    ///
    /// - Returns: where the batch's events lie, in the order in which they were appended to it.
    @discardableResult
    public func commit(
      _ batch: inout Batch, durability: Durability = .buffered
    ) throws(StoreError) -> [EventPosition] {
      if let failure = batch.failure { throw failure }
      try engine.requireOwn(batch.engineNumber)
      let moves = batch.groupMoves
      if let moves { try store.groups.begin(moves) }
      defer { if let moves { store.groups.end(moves) } }
      try engine.commit(&batch.encoded, synced: durability == .synced)
      let positions = batch.encoded.eventPositions
      batch.removeAll()
      return positions
    }

    // MARK: - Keyspaces

    /// The keyspace named `name`.
    public func keyspace(_ name: String) throws(StoreError) -> Keyspace {
      if name.isEmpty { return .default }
      guard let state = engine.keyspace(named: name), state.partitionCount == nil else {
        throw .notFound("keyspace \(name)")
      }
      return Keyspace(state: state)
    }

    /// Creates the keyspace named `name`, durably; an existing one is returned as it is.
    ///
    /// - Parameter partitioning: which part of a key chooses its shard; nil means the whole key, or
    ///   what an existing keyspace has.
    /// - Parameter changes: the stream in which each change of the keyspace is recorded, in the
    ///   commit that makes it (see ``Change``); nil means none, or that of an existing keyspace.
    /// - Throws: `invalidArgument`, among others, when the keyspace is there with others.
    public func createKeyspace(
      _ name: String, partitioning: Partitioning? = nil,
      recordingChangesIn changes: EventStream? = nil
    ) throws(StoreError) -> Keyspace {
      try JobTarget.requireUsersName(name)
      return Keyspace(
        state: try engine.createKeyspace(name, partitioning, changes: changes?.state))
    }

    /// Drops the keyspace named `name` with all it holds, durably.
    public func dropKeyspace(_ name: String) throws(StoreError) {
      try engine.dropKeyspace(name, isStream: false)
    }

    /// The names of all keyspaces but the default one, sorted.
    public func keyspaces() throws(StoreError) -> [String] {
      engine.keyspaceNames.filter { !$0.isEmpty }
    }

    // MARK: - Upkeep

    /// Makes every commit that has returned survive a power loss.
    public func sync() throws(StoreError) { try engine.sync() }

    /// Writes every memtable to a table; the log is short afterwards.
    public func flush() throws(StoreError) { try engine.flush() }

    /// Merges everything into the last level: old versions and tombstones go, as far as no snapshot
    /// needs them.
    ///
    /// Rewrites most of the store.
    public func compact() throws(StoreError) { try engine.compact() }

    /// Waits until background work has caught up.
    package func waitUntilIdle() { engine.waitUntilIdle() }

    /// Throws when a live table is missing, is no file, or has another size than it should have.
    package func requireLiveTables() throws(StoreError) { try engine.requireLiveTables() }

    /// Counts of everything the store holds, from metadata.
    public func statistics() throws(StoreError) -> Statistics {
      try Statistics(of: store)
    }

    /// Makes everything durable and gives the store back; see ``Store/close()``.
    public func close() throws(StoreError) { try engine.close() }
  }
}
