// Engine+Background — which work is due, and what follows when it is done.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

extension Engine {
  /// A tree that was not written to for this long is compacted until old versions take little.
  static let settlingNanoseconds: UInt64 = 1_000_000_000

  /// A scan that passed over so many entries in one move has what hid them compacted away.
  static let crowdedEntryCount = 4096

  func sinkContext(for tree: TreeID, tableByteCount: UInt64) -> TableSinkContext {
    let manifest = manifest
    let keyspace = keyspaces.withLock { $0[tree.keyspace] }
    return TableSinkContext(
      fileSystem: environment.fileSystem, store: store, tree: tree,
      options: TableOptions(
        blockByteCount: options.blockByteCount, compresses: options.compresses,
        filterBitsPerKey: options.filterBitsPerKey,
        // Of a keyspace that is dropped meanwhile no table is kept.
        keyspaceKind: keyspace?.kind ?? .plain),
      tableByteCount: tableByteCount,
      smallestByteCount: UInt64(options.tableByteCount) / 64,
      nextNumber: { manifest.nextNumber() }, rarePaths: environment.rarePaths, gone: tables.gone)
  }

  /// Handles for new tables, newest first.
  func handles(for list: [TableMetadata], tree: TreeID) throws(StoreError) -> [TableHandle] {
    var handles: [TableHandle] = []
    for table in list { handles.append(try TableHandle(table, tree: tree, tables: tables)) }
    return handles
  }

  /// Queues what `tree` needs now.
  func considerWork(_ tree: Tree, urgency: CompactionUrgency = .needed) {
    guard !isReadOnly, !tree.isDropped.load(ordering: .acquiring) else { return }
    // Which keys are the shard's is asked under the lock: see `isBoundable`.
    let flush = tree.work.withLock { work -> FlushJob? in
      guard !work.isFlushing, !tree.version.frozen.isEmpty else { return nil }
      work.isFlushing = true
      let routing = routing.value
      work.flushRouting = routing
      return FlushJob(engine: self, tree: tree, owned: routing.retention(of: tree))
    }
    if let flush { jobs.add(flush) }
    if let compaction = planCompaction(tree, urgency) { jobs.add(compaction) }
    environment.scheduler.workIsReady()
  }

  func picker(for tree: Tree, _ version: TreeVersion) -> CompactionPicker {
    var tables = TreeTables()
    tables.levels = version.levels.map { $0.map(\.metadata) }
    return CompactionPicker(
      tree: tree.id, tables: tables, baseByteCount: UInt64(4 * options.memtableByteCount),
      oldestSnapshot: pins.oldest ?? visibleSequence,
      unsettledBelow: unsettledBelow(tree))
  }

  /// The next compaction of `tree`.
  private func planCompaction(
    _ tree: Tree, _ urgency: CompactionUrgency
  ) -> CompactionJob? {
    let now = environment.clock.monotonicNanoseconds()
    return tree.work.withLock { work in
      guard !work.isCompacting, !work.isMoving, work.compactionNotBefore <= now else {
        return nil
      }
      guard !work.isCompactionSuspended else {
        work.isFullCompactionWanted = false
        return nil
      }
      // What the reserve gave up is for those who make room: flushes first, then `compact()`.
      let isWanted = work.isFullCompactionWanted || work.isSettlingWanted
      if reserve.isReleased && !isWanted { return nil }
      // Read only now: a compaction publishes its version before it says that it has ended, and a
      // plan of the one before would replace tables that are gone.
      let version = tree.version
      let wanted =
        work.isFullCompactionWanted ? .full : work.isCrowded ? .settling : urgency
      let settlesFirst = work.isSettlingWanted || work.isSettlingTurn
      guard let plan = picker(for: tree, version).pick(wanted, settlesFirst: settlesFirst) else {
        work.isFullCompactionWanted = false
        if !work.isFlushing { work.isCrowded = false }
        return nil
      }
      work.isCompacting = true
      work.isSettlingTurn.toggle()
      let routing = routing.value
      work.compactionRouting = routing
      return CompactionJob(
        engine: self, tree: tree, plan: plan, levels: version.levels,
        owned: routing.retention(of: tree))
    }
  }

  func flushEnded(_ tree: Tree) {
    flushCount.add(1, ordering: .relaxed)
    let version = tree.version
    if version.active == nil && version.frozen.isEmpty { forgetIfClean(tree) }
    report(nil, of: .flush, in: tree)
    gaugePressure(of: tree)
    trimLog()
    considerReserve()
    considerWork(tree)
    jobs.wakeUp(at: environment.clock.monotonicNanoseconds() + Engine.settlingNanoseconds)
  }

  /// The leader may have begun a new memtable meanwhile: the tree stays dirty then.
  private func forgetIfClean(_ tree: Tree) {
    dirtyTrees.withLock { trees in
      let version = tree.version
      if version.active == nil && version.frozen.isEmpty { trees[tree.id] = nil }
    }
  }

  func compactionEnded(_ tree: Tree) {
    gaugePressure(of: tree)
    report(nil, of: .compaction, in: tree)
    considerReserve()
    noteSettled()
    deleteObsolete()
    let now = environment.clock.monotonicNanoseconds()
    let restsAt = tree.lastWrite.load(ordering: .relaxed) &+ Engine.settlingNanoseconds
    considerWork(tree, urgency: restsAt <= now ? .settling : .needed)
    jobs.wakeUp(at: environment.clock.monotonicNanoseconds() + Engine.settlingNanoseconds)
  }

  /// After a failure: the work is tried again in a second.
  func lookAgainSoon() {
    jobs.wakeUp(at: environment.clock.monotonicNanoseconds() + 1_000_000_000)
    environment.scheduler.workIsReady()
  }

  /// Looks at every tree for work that no event announces: retries, and trees that came to rest.
  func lookForWork(now: UInt64) {
    probeForRoom()
    if health.withLock({ $0.failure(of: [.reserve]) }) != nil { considerReserve() }
    boundUnsettledIfPossible()
    deleteObsolete()
    var next: UInt64?
    var resting: [Tree] = []
    for tree in occupiedTrees {
      let restsAt = tree.lastWrite.load(ordering: .relaxed) &+ Engine.settlingNanoseconds
      let byteCount = tree.version.active?.memtable.byteCount ?? 0
      if restsAt <= now, byteCount >= options.smallMemtableByteCount { resting.append(tree) }
      considerWork(tree, urgency: restsAt <= now ? .settling : .needed)
      if restsAt > now { next = min(next ?? .max, restsAt) }
      let retriesAt = tree.work.withLock { $0.compactionNotBefore }
      if retriesAt > now { next = min(next ?? .max, retriesAt) }
    }
    if let next { jobs.wakeUp(at: next) }
    // So that the log of a store at rest is short.
    flushIfUnled(resting)
  }

  /// Has the tombstones of a keyspace that a scan had to pass over merged with what they delete.
  func thinOut(_ keyspace: KeyspaceState) {
    guard !isReadOnly else { return }
    for tree in keyspace.trees { tree.work.withLock { $0.isCrowded = true } }
    flushIfUnled(
      keyspace.trees.filter {
        $0.version.active?.memtable.deletionCount ?? 0 >= CompactionPicker.crowdedDeletionCount
      })
    for tree in keyspace.trees { considerWork(tree) }
  }

  /// Flushes trees, unless a leader is at work: there will be another time.
  private func flushIfUnled(_ trees: [Tree]) {
    guard !trees.isEmpty, commits.tryLead() else { return }
    freeze(trees)
    handOver()
  }

  // MARK: - The log's floor

  /// States in `edit` where a replay will have to begin once `flushed` is in a table.
  ///
  /// The newest segment is read before the memtables: what the leader appends meanwhile goes there
  /// or further on.
  func setLogFloor(
    in edit: inout VersionEdit, above old: UInt64, without flushed: LoggedMemtable?
  ) {
    guard let log else { return }
    var (floor, position) = log.nextSegment
    for tree in dirtyTrees.withLock({ Array($0.values) }) {
      for memtable in tree.version.memtables
      where memtable !== flushed && !planted(.logFloorTooHigh) {
        floor = min(floor, memtable.oldestSegment.load(ordering: .acquiring))
      }
    }
    if let first = log.firstSegment(from: floor) { (floor, position) = first }
    guard floor > old else { return }
    edit.logFloor = floor
    edit.logFloorPosition = position
  }

  /// Removes segments that the durable floor has passed.
  func trimLog() {
    guard let log else { return }
    var floor: UInt64 = 0
    do throws(StoreError) {
      floor = try manifest.withGate(environment.scheduler) { held throws(StoreError) in
        held.state.logFloor
      }
    } catch {
      return report(error, of: .log)
    }
    for number in log.forgetSegments(below: floor) {
      obsolete.add(
        ObsoleteFile(
          path: FileNames.logSegment(number), fileNumber: number, removedBy: manifest.editNumber))
    }
    deleteObsolete()
  }

  func deleteObsolete() {
    guard !obsolete.isEmpty else { return }
    jobs.add(DeletionJob(engine: self))
    environment.scheduler.workIsReady()
  }
}

/// Has memory ready before a memtable or the cache needs it.
///
/// Safe to share: nothing in it changes, and the pool has its own lock.
final class SpareChunkJob: BackgroundJob, @unchecked Sendable {
  private let chunks: ChunkPool

  init(_ chunks: ChunkPool) {
    self.chunks = chunks
    super.init(priority: .memory)
  }

  override func step() throws(StoreError) -> Bool { chunks.refill() }

  override func end(_ failure: StoreError?) { chunks.endRefill() }
}

/// Makes segments durable that writers have left.
///
/// One at most waits for its turn.
final class LogSyncJob: BackgroundJob, @unchecked Sendable {
  private let engine: Engine

  init(engine: Engine) {
    self.engine = engine
    super.init(priority: .logSync)
  }

  override func step() throws(StoreError) -> Bool {
    // First: what is written from here on may come too late for this one. An exchange, so that what
    // was written before whoever found it set is seen.
    _ = engine.isLogSyncQueued.exchange(false, ordering: .acquiringAndReleasing)
    try engine.syncLog()
    return false
  }

  override func end(_ failure: StoreError?) {
    if let failure { engine.report(failure, of: .log) }
  }
}

/// Raises the log's floor after entries were carried forward.
final class LogTrimJob: BackgroundJob, @unchecked Sendable {
  private let engine: Engine

  init(engine: Engine) {
    self.engine = engine
    super.init(priority: .logSync)
  }

  override func step() throws(StoreError) -> Bool {
    let engine = engine
    try engine.install(
      { state throws(StoreError) in
        var edit = VersionEdit()
        engine.setLogFloor(in: &edit, above: state.logFloor, without: nil)
        return edit.logFloor == nil ? nil : edit
      },
      publish: { _ in })
    engine.report(nil, of: .log)
    engine.trimLog()
    return false
  }

  override func end(_ failure: StoreError?) {
    if let failure { engine.report(failure, of: .log) }
  }
}
