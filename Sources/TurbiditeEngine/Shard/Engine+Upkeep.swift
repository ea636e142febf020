// Engine+Upkeep — keyspaces, flush, compaction on demand, closing.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

extension Engine {
  // MARK: - Keyspaces

  /// Creates a keyspace, durably; an existing one of that name is returned as it is.
  package func createKeyspace(_ name: String) throws(StoreError) -> KeyspaceState {
    guard !name.isEmpty, name.utf8.count <= Limits.keyspaceNameByteCount else {
      throw .invalidArgument(
        "a keyspace's name has 1 to \(Limits.keyspaceNameByteCount) bytes of UTF-8")
    }
    try requireWritable()
    return try exclusively { () throws(StoreError) -> KeyspaceState in
      if let existing = keyspace(named: name) { return existing }
      // What was committed before must not be lost where this survives: one order for all.
      try syncLog()
      var created: KeyspaceState?
      try install(
        { state throws(StoreError) in
          guard state.keyspaces.count < Limits.keyspaceCount, state.nextKeyspaceID < .max else {
            throw .resourceExhausted("\(state.keyspaces.count) keyspaces")
          }
          var edit = VersionEdit()
          edit.createdKeyspaces = [.init(id: state.nextKeyspaceID, name: name)]
          edit.nextKeyspaceID = state.nextKeyspaceID + 1
          created = KeyspaceState(
            id: state.nextKeyspaceID, name: name,
            trees: (0..<UInt32(shardCount)).map { shard in
              Tree(
                id: TreeID(keyspace: state.nextKeyspaceID, shard: shard),
                levels: TreeVersion.emptyLevels)
            })
          return edit
        },
        publish: { _ in
          if let created { keyspaces.withLock { $0[created.id] = created } }
        })
      guard let created else { throw .closed }
      return created
    }
  }

  /// Drops a keyspace and all it holds, durably, in one manifest record.
  package func dropKeyspace(_ name: String) throws(StoreError) {
    try requireWritable()
    guard !name.isEmpty else { throw .invalidArgument("the default keyspace cannot be dropped") }
    try exclusively { () throws(StoreError) in
      guard let keyspace = keyspace(named: name) else {
        throw .notFound("keyspace \(name)")
      }
      try syncLog()
      try install(
        { _ throws(StoreError) in
          var edit = VersionEdit()
          edit.droppedKeyspaces = [keyspace.id]
          return edit
        },
        publish: { edit in
          keyspaces.withLock { $0[keyspace.id] = nil }
          keyspace.markDropped()
          for tree in keyspace.trees {
            dirtyTrees.withLock { $0[tree.id] = nil }
            pressure.setLevel0Count(0, of: tree.id)
            let old = tree.update { _ in
              TreeVersion(active: nil, frozen: [], levels: TreeVersion.emptyLevels)
            }
            for table in old.levels.joined() { table.markObsolete(since: edit) }
          }
        })
      trimLog()
    }
  }

  // MARK: - On demand

  /// Makes every commit that was acknowledged durable.
  package func sync() throws(StoreError) {
    try requireWritable()
    try syncLog()
  }

  /// Writes every memtable to a table, and returns when all are durable.
  package func flush() throws(StoreError) {
    try requireWritable()
    // What failed before is tried again now; only a new failure counts.
    reportBackground(nil)
    let trees = try exclusively { () throws(StoreError) -> [Tree] in
      let trees = dirtyTrees.withLock { $0.values.sorted { $0.id < $1.id } }
      for tree in trees { freeze(tree) }
      return trees
    }
    let waited = trees.map { (tree: $0, memtables: $0.version.frozen) }
    environment.scheduler.wait {
      hasFailed
        || waited.allSatisfy { tree, memtables in
          let frozen = tree.version.frozen
          return !memtables.contains { memtable in frozen.contains { $0 === memtable } }
        }
    }
    try throwIfFailed()
  }

  /// Flushes, and merges everything into the last level; returns when that is done.
  package func compact() throws(StoreError) {
    try flush()
    let trees = allTrees
    for tree in trees {
      tree.work.withLock { $0.isFullCompactionWanted = true }
      considerWork(tree)
    }
    environment.scheduler.wait {
      hasFailed
        || trees.allSatisfy { tree in
          tree.isDropped.load(ordering: .acquiring)
            || tree.work.withLock { !$0.isFullCompactionWanted && !$0.isCompacting }
        }
    }
    try throwIfFailed()
  }

  /// Waits until no background work is ready or running.
  ///
  /// For tests and benchmarks.
  package func waitUntilIdle() {
    environment.scheduler.wait { hasFailed || jobs.isIdle }
  }

  private var hasFailed: Bool {
    health.withLock { $0.isClosed || $0.poison != nil || $0.backgroundError != nil }
  }

  private func throwIfFailed() throws(StoreError) {
    try requireWritable()
    if let failure = health.withLock({ $0.backgroundError }) { throw failure }
  }

  // MARK: - Closing

  /// Makes everything durable and gives the store back.
  ///
  /// Operations that follow throw `closed`.
  package func close() throws(StoreError) {
    var failure: StoreError?
    if !isReadOnly {
      do throws(StoreError) {
        try exclusively { () throws(StoreError) in
          guard !health.withLock({ $0.isClosed }) else { return }
          // A poisoned store can make nothing durable any more, and its user must hear of it.
          try requireWritable()
          try closeLog()
        }
      } catch {
        failure = error
      }
    }
    abandon()
    if let failure { throw failure }
  }

  private func closeLog() throws(StoreError) {
    do throws(StoreError) { try log?.close() } catch {
      poison(error)
      throw error
    }
    // States how far the log was durable: a log that is shorter next time is damaged.
    try install({ _ throws(StoreError) in VersionEdit() }, publish: { _ in })
  }

  /// Stops all background work and gives the lock back, as a killed process would: nothing more is
  /// written.
  ///
  /// What was acknowledged is in the log.
  package func abandon() {
    guard markClosed() else { return }
    jobs.close()
    environment.scheduler.progressWasMade()
    environment.scheduler.stop()
    do throws(SystemError) {
      try lockFile?.unlock(from: 0, to: UInt64(Int64.max))
    } catch {
      // The lock goes with the file, which goes with the engine.
    }
  }
}
