// EntryInserter — the way of logged entries into memtables.
//
// Room:    Engine/Shard.

import Synchronization

/// Routes entries to memtables, and remembers which trees a group went to.
///
/// For the leader, or one replay.
struct EntryInserter {
  /// The log segment that the entries at hand are in.
  private(set) var segment: UInt64 = 0
  /// The keyspace of the last entry; nil when there was none, or it was dropped.
  private var keyspace: KeyspaceState?
  /// Where the last entry went.
  private var tree: Tree?
  /// Whether the last entry belongs to the group at hand.
  private var isTreeUsed = false
  /// Where other entries of the group went: none in the many groups of one put, which so allocate
  /// nothing.
  private var others: [Tree] = []

  /// Goes on with another group of entries, in `segment` of the log.
  mutating func beginGroup(segment: UInt64) {
    self.segment = segment
    isTreeUsed = false
    if !others.isEmpty { others = [] }
  }

  /// Accounts for what the group has brought.
  ///
  /// - Returns: the trees whose memtables are full.
  func endGroup(now: UInt64, _ options: EngineOptions) -> [Tree] {
    var full: [Tree] = []
    if let tree, isTreeUsed, tree.endGroup(now, options) { full.append(tree) }
    for tree in others where tree.endGroup(now, options) { full.append(tree) }
    return full
  }

  /// Inserts one entry; those of keyspaces that were dropped go nowhere.
  mutating func insert(
    _ entry: LogEntry, _ sequence: UInt64, _ engine: Engine
  ) throws(StoreError) {
    if keyspace?.id != entry.keyspace {
      keyspace = engine.keyspaces.withLock { $0[entry.keyspace] }
    }
    guard let keyspace else { return }
    guard entry.kind == .rangeDeletion else {
      let (shard, target) = engine.places(of: entry.key, in: keyspace)
      _ = try insert(entry, sequence, into: keyspace.tree(shard), engine)
      if let target, !planted(.forgetMovingCommits) {
        _ = try insert(entry, sequence, into: keyspace.tree(target), engine)
      }
      return
    }
    let end = entry.value.isEmpty ? nil : entry.value.bytes()
    // Where slots move to there may be none of the keys yet that others have.
    let isMoving = engine.routing.read { $0.move != nil }
    let last = isMoving ? keyspace.trees.compactMap(\.version.lastKey).max(by: isBefore) : nil
    for tree in engine.trees(of: keyspace, from: entry.key.bytes(), to: end) {
      try insertRange(entry, sequence, into: tree, last: last, engine)
    }
  }

  /// Inserts the entries that follow the last one into the same memtable, where all of a keyspace
  /// go to one.
  ///
  /// Looks that memtable up once: by perf, counting references to what leads to it took a sixth of
  /// the commit of a large batch.
  ///
  /// - Returns: the first entry that goes elsewhere; nil at the end.
  mutating func insertRun(
    from reader: inout LogEntryReader, _ engine: Engine
  ) throws(StoreError) -> (entry: LogEntry, sequence: UInt64)? {
    guard let keyspace, let tree, isTreeUsed, let active = tree.leadersActive,
      engine.routing.read({ $0.treeCount == 1 }), keyspace.tree(0) === tree
    else { return try reader.nextOfBatch() }
    let (memtable, id) = (active.memtable, keyspace.id)
    while let next = try reader.nextOfBatch() {
      let (entry, sequence) = next
      guard entry.keyspace == id, entry.kind != .rangeDeletion else { return next }
      _ = try memtable.insert(entry.key, Tag(sequence: sequence, kind: entry.kind), entry.value)
    }
    return nil
  }

  /// Inserts the entries of a batch that has nothing but events of one stream, all in one tree:
  /// where they lie in the batch is known, so that nothing has to be read.
  ///
  /// - Parameter payload: the batch's bytes.
  /// - Returns: whether it is such a batch; if not, nothing was inserted.
  mutating func insertEvents(
    of batch: EncodedBatch, _ payload: ByteView, from sequence: UInt64, _ engine: Engine
  ) throws(StoreError) -> Bool {
    let places = batch.places
    guard let stream = places.first?.stream, places.count == batch.entryCount,
      engine.routing.read({ $0.treeCount == 1 }), places.allSatisfy({ $0.stream == stream })
    else { return false }
    if keyspace?.id != stream { keyspace = engine.keyspaces.withLock { $0[stream] } }
    guard let keyspace else { return true }
    let memtable = memtable(of: keyspace.tree(0), engine)
    var tag = Tag(sequence: sequence, kind: .value)
    for place in places {
      let (key, value) = try place.event(in: payload)
      _ = try memtable.insert(key, tag, value)
      tag.rawValue &+= 1 << 8
    }
    return true
  }

  private func isBefore(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    one.lexicographicallyPrecedes(other)
  }

  /// Inserts one entry that is no range deletion.
  ///
  /// - Returns: whether it was new.
  mutating func insert(
    _ entry: LogEntry, _ sequence: UInt64, into tree: Tree, _ engine: Engine
  ) throws(StoreError) -> Bool {
    try memtable(of: tree, engine).insert(
      entry.key, Tag(sequence: sequence, kind: entry.kind), entry.value)
  }

  /// Records a range deletion in one tree, which holds some of the range's keys.
  ///
  /// A range without an end is given one behind the tree's last key: what it deletes is there
  /// already, and what comes later is newer.
  ///
  /// - Parameter last: a key that counts as the tree's last; nil means its own.
  mutating func insertRange(
    _ entry: LogEntry, _ sequence: UInt64, into tree: Tree, last: [UInt8]? = nil, _ engine: Engine
  ) throws(StoreError) {
    guard let last = last ?? tree.version.lastKey else { return }
    let end = entry.value.isEmpty ? last + [0] : entry.value.bytes()
    let memtable = memtable(of: tree, engine)
    try end.withView { end throws(StoreError) in
      guard entry.key.compare(end) < 0 else { return }
      try memtable.insertRangeTombstone(entry.key, end, sequence: sequence)
    }
  }

  /// The active memtable of `tree`; made when there is none.
  @inline(__always)
  mutating func memtable(of tree: Tree, _ engine: Engine) -> Memtable {
    if self.tree !== tree { moveOn(to: tree) }
    isTreeUsed = true
    assert(tree.version.active === tree.leadersActive)
    if let active = tree.leadersActive { return active.memtable }
    return begin(tree, engine).memtable
  }

  @inline(never)
  private mutating func moveOn(to next: Tree) {
    if let index = others.firstIndex(where: { $0 === next }) { others.remove(at: index) }
    if let tree, isTreeUsed { others.append(tree) }
    tree = next
  }

  private func begin(_ tree: Tree, _ engine: Engine) -> LoggedMemtable {
    let fresh = LoggedMemtable(segment: segment, pool: engine.budget.chunks, budget: engine.budget)
    tree.leadersActive = fresh
    tree.update { version in
      TreeVersion(active: fresh, frozen: version.frozen, above: version)
    }
    engine.dirtyTrees.withLock { $0[tree.id] = tree }
    return fresh
  }
}

extension LogEntryReader {
  /// The next entry of what this process has encoded.
  @inline(__always)
  mutating func nextOfBatch() throws(StoreError) -> (
    entry: LogEntry, sequence: UInt64
  )? {
    do throws(DecodingFailure) { return try next() } catch {
      throw .invalidArgument("a batch that cannot be read back: \(error.finding)")
    }
  }
}

extension BatchAppends.Place {
  /// The key and the value of the event's entry in the bytes of its batch.
  @inline(__always)
  fileprivate func event(
    in payload: ByteView
  ) throws(StoreError) -> (key: ByteView, value: ByteView) {
    let start = position &- StreamKey.offsetPlace
    let end = start &+ StreamKey.byteCount
    var reader = ByteReader(payload.slice(end, payload.count &- end))
    do throws(DecodingFailure) {
      return (payload.slice(start, StreamKey.byteCount), try reader.lengthPrefixed())
    } catch {
      throw .invalidArgument("a batch that cannot be read back: \(error.finding)")
    }
  }
}

extension Tree {
  /// Accounts for what a group of commits has brought.
  ///
  /// - Returns: whether the active memtable is full.
  fileprivate func endGroup(_ now: UInt64, _ options: EngineOptions) -> Bool {
    lastWrite.store(now, ordering: .relaxed)
    guard let active = leadersActive else { return false }
    active.chargeGrowth()
    return active.memtable.byteCount >= options.memtableByteCount
      || active.memtable.rangeTombstoneCount >= Engine.memtableTombstoneCount
  }
}
