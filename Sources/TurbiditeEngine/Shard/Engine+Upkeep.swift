// Engine+Upkeep — keyspaces, flush, compaction on demand, closing.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

extension Engine {
  // MARK: - Keyspaces

  /// Creates a keyspace, durably; an existing one of that name is returned as it is.
  ///
  /// - Parameter partitioning: nil means by the whole key, or as the existing one has it.
  /// - Parameter changes: the stream in which changes are recorded; nil means none, or as the
  ///   existing one has it.
  package func createKeyspace(
    _ name: String, _ partitioning: Partitioning?, changes: KeyspaceState?
  ) throws(StoreError) -> KeyspaceState {
    if let refusal = partitioning?.refusal { throw refusal }
    if let changes { try requireReadable(changes) }
    return try create(name, .map(partitioning ?? .wholeKey), changes: changes) { existing in
      guard case .map(let found) = existing.kind else { return false }
      return found == partitioning ?? found
        && existing.changes?.id == changes?.id ?? existing.changes?.id
    }
  }

  /// Creates a stream, durably; an existing one of that name and as many partitions is returned.
  package func createStream(
    _ name: String, partitionCount: Int
  ) throws(StoreError) -> KeyspaceState {
    guard 1...Limits.partitionCount ~= partitionCount else {
      throw .invalidArgument("a stream has 1 to \(Limits.partitionCount) partitions")
    }
    let kind = KeyspaceKind.stream(partitionCount: partitionCount)
    return try create(name, kind, changes: nil) { $0.kind == kind }
  }

  /// - Parameter fits: whether a keyspace of the same name will do.
  private func create(
    _ name: String, _ kind: KeyspaceKind, changes: KeyspaceState?, fits: (KeyspaceState) -> Bool
  ) throws(StoreError) -> KeyspaceState {
    guard !name.isEmpty, name.utf8.count <= Limits.keyspaceNameByteCount else {
      throw .invalidArgument(
        "a keyspace's name has 1 to \(Limits.keyspaceNameByteCount) bytes of UTF-8")
    }
    try requireWritable()
    return try exclusively { () throws(StoreError) -> KeyspaceState in
      if let existing = keyspace(named: name) {
        guard fits(existing) else {
          let record = existing.changes.map { ", its changes recorded in \($0.name)" } ?? ""
          throw .invalidArgument("\(name) is there, \(existing.kind)\(record)")
        }
        return existing
      }
      if let changes { try requireFresh(changes) }
      // What was committed before must not be lost where this survives: one order for all.
      try syncLog()
      var created: KeyspaceState?
      try install(
        { state throws(StoreError) in
          guard state.keyspaces.count < Limits.keyspaceCount, state.nextKeyspaceID < .max else {
            throw .resourceExhausted("\(state.keyspaces.count) keyspaces")
          }
          var edit = VersionEdit()
          let description = KeyspaceDescription(name: name, kind: kind, changes: changes?.id)
          edit.createdKeyspaces = [.init(id: state.nextKeyspaceID, description: description)]
          edit.nextKeyspaceID = state.nextKeyspaceID + 1
          created = KeyspaceState(
            id: state.nextKeyspaceID, description,
            trees: [], environment, changes: changes)
          created?.addTrees(upTo: routing.value.treeCount)
          return edit
        },
        publish: { _ in
          if let created { keyspaces.withLock { $0[created.id] = created } }
        })
      guard let created else { throw .closed }
      return created
    }
  }

  /// Throws unless `stream` can hold a keyspace's changes, and nothing else: all of them in one
  /// order, from the first on.
  private func requireFresh(_ stream: KeyspaceState) throws(StoreError) {
    guard stream.partitionCount == 1 else {
      throw .invalidArgument("changes are recorded in a stream of one partition")
    }
    guard try offsets(of: stream, partition: 0, at: visibleSequence) == 0..<0,
      keyspace(recordedIn: stream) == nil
    else {
      throw .invalidArgument("changes are recorded in a stream of their own, which is empty")
    }
  }

  /// The keyspace whose changes a stream records.
  package func keyspace(recordedIn stream: KeyspaceState) -> KeyspaceState? {
    keyspaces.withLock { $0.values.first { $0.changes === stream } }
  }

  /// Drops a keyspace and all it holds, durably, in one manifest record.
  ///
  /// - Parameter isStream: whether it is to be one, looked at when nobody can replace it any more;
  ///   nil means either.
  package func dropKeyspace(_ name: String, isStream: Bool? = nil) throws(StoreError) {
    try requireWritable()
    guard !name.isEmpty else { throw .invalidArgument("the default keyspace cannot be dropped") }
    try exclusively { () throws(StoreError) in
      guard let keyspace = keyspace(named: name),
        isStream ?? (keyspace.partitionCount != nil) == (keyspace.partitionCount != nil)
      else { throw .notFound("\(isStream == true ? "stream" : "keyspace") \(name)") }
      if let recorded = self.keyspace(recordedIn: keyspace) {
        throw .invalidArgument("the changes of keyspace \(recorded.name) are recorded in \(name)")
      }
      try syncLog()
      try install(
        { _ throws(StoreError) in
          var edit = VersionEdit()
          edit.droppedKeyspaces = planted(.forgetKeyspaceDrop) ? [] : [keyspace.id]
          return edit
        },
        publish: { edit in forget(keyspace, since: edit) })
      trimLog()
    }
  }

  /// Lets go of a keyspace that a manifest record has dropped.
  ///
  /// By the leader, in the gate of the manifest.
  private func forget(_ keyspace: KeyspaceState, since edit: UInt64) {
    keyspaces.withLock { $0[keyspace.id] = nil }
    keyspace.markDropped()
    inserter.change { $0 = EntryInserter() }
    streamOffsets.change { $0.forget(keyspace.id) }
    producerNumbers.change { $0.forget(keyspace.id) }
    for tree in keyspace.trees {
      tree.leadersActive = nil
      dirtyTrees.withLock { $0[tree.id] = nil }
      pressure.setLevel0Count(0, of: tree.id)
      let old = tree.update { _ in
        TreeVersion(active: nil, frozen: [], levels: TreeVersion.emptyLevels)
      }
      for table in old.levels.joined() { table.markObsolete(since: edit) }
    }
    forgetTroubles(of: keyspace.trees)
  }

  /// Gives a keyspace or a stream another name, durably, in one manifest record.
  ///
  /// What the name was may go in the same record: others see the one or the other. Handles of the
  /// keyspace under its old name are of no use afterwards.
  ///
  /// - Parameter replaces: whether there may be a keyspace of that name, which is then dropped.
  package func rename(
    _ keyspace: KeyspaceState, to name: String, replaces: Bool
  ) throws(StoreError) {
    try requireWritable()
    precondition(!keyspace.name.isEmpty, "the default keyspace has no name")
    guard !name.isEmpty, name.utf8.count <= Limits.keyspaceNameByteCount else {
      throw .invalidArgument(
        "a keyspace's name has 1 to \(Limits.keyspaceNameByteCount) bytes of UTF-8")
    }
    try exclusively { () throws(StoreError) in
      if keyspace.isDropped { throw .notFound("keyspace \(keyspace.name)") }
      guard keyspace.changes == nil, self.keyspace(recordedIn: keyspace) == nil else {
        throw .invalidArgument("\(keyspace.name) records changes, or its changes are recorded")
      }
      let old = self.keyspace(named: name)
      if let old {
        guard replaces else { throw .invalidArgument("\(name) is there already") }
        guard old.changes == nil, self.keyspace(recordedIn: old) == nil else {
          throw .invalidArgument("\(name) records changes, or its changes are recorded")
        }
      }
      try syncLog()
      try install(
        { _ throws(StoreError) in
          var edit = VersionEdit()
          edit.droppedKeyspaces = old.map { [$0.id] } ?? []
          edit.renamedKeyspaces = [.init(id: keyspace.id, name: name)]
          return edit
        },
        publish: { edit in
          if let old { forget(old, since: edit) }
          let renamed = KeyspaceState(
            id: keyspace.id, KeyspaceDescription(name: name, kind: keyspace.kind),
            trees: keyspace.trees, environment)
          keyspaces.withLock { $0[renamed.id] = renamed }
          keyspace.markRenamed()
          inserter.change { $0 = EntryInserter() }
        })
      trimLog()
    }
  }

  // MARK: - On demand

  /// Makes every commit that was acknowledged durable.
  package func sync() throws(StoreError) {
    try requireWritable()
    try requireInPlace()
    try syncLog()
  }

  /// Writes every memtable to a table, and returns when all are durable.
  package func flush() throws(StoreError) {
    try usingReserve { () throws(StoreError) in try flushOnce() }
  }

  private func flushOnce() throws(StoreError) {
    try requireWritable()
    forgetFailures(of: .flush)
    let trees = try exclusively { () throws(StoreError) -> [Tree] in
      let trees = dirtyTrees.withLock { $0.values.sorted { $0.id < $1.id } }
      freeze(trees)
      for tree in trees { considerWork(tree) }
      return trees
    }
    try waitForFlush(of: trees.map(FrozenMemtables.init))
  }

  /// Waits until memtables that were frozen are in tables.
  func waitForFlush(of waited: [FrozenMemtables]) throws(StoreError) {
    environment.scheduler.wait { hasFailed([.flush]) || waited.allSatisfy(\.areFlushed) }
    try throwIfFailed([.flush])
  }

  /// Flushes, and merges everything into the last level; returns when that is done.
  ///
  /// Trees with damage are left as they are, and the others compacted; that it was so is thrown at
  /// the end.
  package func compact() throws(StoreError) {
    try usingReserve { () throws(StoreError) in try compactOnce() }
  }

  private func compactOnce() throws(StoreError) {
    try flushOnce()
    forgetFailures(of: .compaction)
    let trees = allTrees
    for tree in trees {
      tree.work.withLock { work in
        work.isFullCompactionWanted = true
        work.compactionNotBefore = 0
      }
      considerWork(tree)
    }
    environment.scheduler.wait {
      hasFailed([.flush]) || hasFailedToCompact
        || trees.allSatisfy { tree in
          tree.isDropped.load(ordering: .acquiring)
            || tree.work.withLock { !$0.isFullCompactionWanted && !$0.isCompacting }
        }
    }
    try throwIfFailed([.flush, .compaction])
    if let damage = health.withLock({ $0.damages.first }) { throw .corrupt(damage) }
    // What was begun before all tables were known to need it.
    try settle()
  }

  /// Waits until no background work is ready or running.
  ///
  /// For tests and benchmarks.
  package func waitUntilIdle() {
    environment.scheduler.wait { hasFailed([.flush, .compaction]) || jobs.isIdle }
  }

  func hasFailed(_ kinds: [BackgroundWorkKind]) -> Bool {
    health.withLock { $0.isClosed || $0.poison != nil || $0.failure(of: kinds) != nil }
  }

  var hasFailedToCompact: Bool {
    health.withLock { $0.obstacle(to: .compaction) != nil }
  }

  func throwIfFailed(_ kinds: [BackgroundWorkKind]) throws(StoreError) {
    try requireWritable()
    if let failure = health.withLock({ $0.failure(of: kinds) }) { throw failure }
  }

  // MARK: - Closing

  /// Makes everything durable and gives the store back.
  ///
  /// Operations that follow throw `closed`. Who is not the first to close it waits for that one.
  package func close() throws(StoreError) {
    if isForked { throw .forked }
    var failure: StoreError?
    var wasOpen = false
    if isReadOnly {
      wasOpen = markClosed()
    } else {
      endFlushes()
      do throws(StoreError) {
        try exclusively { () throws(StoreError) in
          guard !health.withLock({ $0.isClosed }) else { return }
          // Before another leads: what is written to a log that was closed may come after the next
          // opening has read it.
          defer { wasOpen = markClosed() }
          // A poisoned store can make nothing durable any more, and its user must hear of it.
          try requireWritable()
          try closeLog()
        }
      } catch {
        failure = error
      }
    }
    if wasOpen {
      endWork(removingObsolete: failure == nil && !isReadOnly)
    } else {
      environment.scheduler.wait { isGivenBack.load(ordering: .acquiring) }
    }
    if let failure { throw failure }
  }

  /// Waits until memtables that are full are in tables, or cannot be.
  ///
  /// A flush that is broken off leaves its memtable to the log: where each opening is too short to
  /// end one, the log would grow until one is not, and all would read it.
  private func endFlushes() {
    let waited = dirtyTrees.withLock { Array($0.values) }.map(FrozenMemtables.init)
    environment.scheduler.wait { hasFailed([.flush]) || waited.allSatisfy(\.areFlushed) }
  }

  private func closeLog() throws(StoreError) {
    do throws(StoreError) {
      try usingReserve { () throws(StoreError) in try log?.close() }
    } catch {
      poison(error)
      throw error
    }
    // States how far the log was durable: a log that is shorter next time is damaged.
    try usingReserve { () throws(StoreError) in
      try install({ _ throws(StoreError) in VersionEdit() }, publish: { _ in })
    }
  }

  /// Stops all background work and gives the lock back, as a killed process would: nothing more is
  /// written.
  ///
  /// What was acknowledged is in the log.
  package func abandon() {
    // The lock belongs to the process that opened the store, and so do the threads.
    guard !isForked, markClosed() else { return }
    // Who leads may write to the log still, and has the engine: the lock goes with both then.
    let isUnled = takeLeadSoon()
    endWork(removingObsolete: false, unlocks: isUnled)
    if isUnled { handOver() }
  }

  /// Takes the lead, if it can be had within a second.
  ///
  /// Not waited for without end: a task that runs where it is resumed may let go of the store while
  /// its own thread leads.
  private func takeLeadSoon() -> Bool {
    if commits.tryLead(yields: CommitQueue.longYieldCount) { return true }
    for _ in 0..<1000 {
      environment.clock.sleep(nanoseconds: 1_000_000)
      if commits.tryLead() { return true }
    }
    return false
  }

  /// By who has marked the store as closed.
  private func endWork(removingObsolete: Bool, unlocks: Bool = true) {
    jobs.close()
    environment.scheduler.progressWasMade()
    environment.scheduler.stop()
    // An edit that was begun before is written by now; those that begin later are refused.
    manifest.waitForEdit(environment.scheduler)
    // Whoever closes a store finds no files in it that it does not consist of: the threads that
    // remove them may not have come to it. Under the lock still, as the next writer removes them.
    if removingObsolete { removeObsolete() }
    do throws(SystemError) {
      if unlocks { try lockFile?.unlock(from: 0, to: UInt64(Int64.max)) }
    } catch {
      // The lock goes with the file, which goes with the engine.
    }
    isGivenBack.store(true, ordering: .releasing)
    environment.scheduler.progressWasMade()
  }
}
