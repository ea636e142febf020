// Engine+Room — when writers must wait, and how the log is kept short.
//
// Room:    Engine/Shard.
// Source:  Slowing writers by the debt of compaction: LevelDB's level-0 triggers; the smooth ramp
//          instead of a fixed sleep follows RocksDB's write controller.

import Synchronization
import TurbiditeSystem

/// Why writers are held back.
package enum BackPressure: String, Sendable, Hashable {
  case none
  /// Level 0 of some tree holds so many tables that reads suffer.
  case compaction
  /// Memtables wait for their flush.
  case flush
}

/// How far background work is behind.
final class PressureGauge: Sendable {
  private let level0Counts = Mutex<[TreeID: Int]>([:])
  private let worstLevel0 = Atomic<Int>(0)
  private let flushes = Mutex(FlushProgress())
  private let flushRest = Atomic<UInt64>(0)
  /// Whether writers are slowed for the sake of the flushes under way.
  let isPacing = Atomic<Bool>(false)
  /// Nanoseconds of delay that writers owe and have not yet slept.
  let owedNanoseconds = Atomic<UInt64>(0)

  /// From here on writers slow down, until at `level0Stop` they wait.
  static let level0Slow = CompactionPicker.level0Limit
  static let level0Stop = 36

  func setLevel0Count(_ count: Int, of tree: TreeID) {
    let worst = level0Counts.withLock { counts in
      counts[tree] = count > CompactionPicker.level0Trigger ? count : nil
      return counts.values.max() ?? 0
    }
    worstLevel0.store(worst, ordering: .relaxed)
  }

  /// Nanoseconds that the flushes under way will still take, by how they and those before went so
  /// far; 0 where none is.
  var flushNanoseconds: UInt64 { flushRest.load(ordering: .relaxed) }

  /// Takes into account how flushes go on.
  func noteFlush(_ change: (inout FlushProgress) -> Void) {
    flushes.withLock { progress in
      change(&progress)
      // Under the lock, or an older rest could be the last to be stored.
      flushRest.store(progress.restNanoseconds, ordering: .relaxed)
    }
  }

  var worstLevel0Count: Int { worstLevel0.load(ordering: .relaxed) }

  /// 0 where nothing holds writers back, 1 where they would have to stop.
  var compactionShare: Double {
    let excess = Double(worstLevel0Count - Self.level0Slow)
    return max(0, min(1, excess / Double(Self.level0Stop - Self.level0Slow)))
  }
}

extension Engine {
  /// Waits, if need be, until a commit of `byteCount` bytes may go on.
  ///
  /// By the leader.
  ///
  /// - Parameter deletesOnly: what is committed makes room in the end. On a full disk it does not
  ///   wait for a compaction, which may need just that.
  func makeRoom(for byteCount: Int, entryCount: Int, deletesOnly: Bool) throws(StoreError) {
    if !hasMemtableRoom { try waitForFlush() }
    if pressure.worstLevel0Count >= PressureGauge.level0Stop,
      !deletesOnly || !isPaused.load(ordering: .acquiring)
    {
      try waitForCompaction()
    }
    // From here on commits are slowed only as far as the debt has grown.
    let share = pressure.compactionShare
    if share > 0 { slowDown(byteCount, share) }
    if pressure.flushNanoseconds > 0 {
      keepPace(byteCount + WriterPace.entryByteCount * entryCount)
    }
    if let log, log.unsyncedByteCount > UInt64(Engine.unsyncedByteCount) { try syncLog() }
    try keepLogShort()
    try takeRarePaths()
  }

  /// What the engine does under pressure, without it.
  private func takeRarePaths() throws(StoreError) {
    let rarePaths = environment.rarePaths
    if rarePaths.takes(.syncLog) { try syncLog() }
    if rarePaths.takes(.freezeMemtable), let tree = firstDirtyTree { freeze(tree) }
    if rarePaths.takes(.carryMemtable), let tree = firstDirtyTree,
      let active = tree.version.active
    {
      try carry(tree, active)
      try syncLog()
      jobs.add(LogTrimJob(engine: self))
    }
  }

  private var firstDirtyTree: Tree? {
    dirtyTrees.withLock { $0.values.min { $0.id < $1.id } }
  }

  /// Why writers are held back now, if they are.
  var backPressure: BackPressure {
    if !hasMemtableRoom { return .flush }
    if pressure.compactionShare > 0 { return .compaction }
    return pressure.flushNanoseconds > 0 && pressure.isPacing.load(ordering: .relaxed)
      ? .flush : .none
  }

  /// What a power loss may take, and what a recovery must write anew: bounded by this.
  static let unsyncedByteCount = 64 << 20

  /// Sleeps for as long as the debt asks: a microsecond a byte at the very end, a sixteenth of that
  /// half-way.
  ///
  /// Short sleeps are saved up, because the system cannot keep them.
  private func slowDown(_ byteCount: Int, _ share: Double) {
    let nanoseconds = Double(byteCount + 64) * share * share * share * share * 1000
    let owed = pressure.owedNanoseconds.add(UInt64(nanoseconds), ordering: .relaxed).newValue
    guard owed > 200_000 else { return }
    pressure.owedNanoseconds.store(0, ordering: .relaxed)
    environment.clock.sleep(nanoseconds: min(owed, 20_000_000))
  }

  /// Shares out the room for memtables over the time until the flush under way has ended.
  ///
  /// Otherwise writers would fill it at once and then wait for all of that time: few commits, but
  /// each a hundred times as long as the others.
  private func keepPace(_ byteCount: Int) {
    let held = budget.memtableByteCount
    let used = held < budget.memtableShare ? held : unflushedByteCount
    let room = max(1, budget.memtableShare - used)
    let pace = Double(pressure.flushNanoseconds) / Double(room)
    let clock = environment.clock
    let (wait, isBehind) = writerPace.change { writer in
      let wait = writer.take(byteCount, nanosecondsPerByte: pace, clock)
      return (wait, writer.isBehind)
    }
    pressure.isPacing.store(isBehind, ordering: .relaxed)
    if wait > 0 { clock.sleep(nanoseconds: wait) }
  }

  /// Memtables that wait for their flush or are in it; without those that only readers still hold.
  private var frozenByteCount: Int {
    dirtyTrees.withLock { trees in
      trees.values.reduce(0) { sum, tree in
        tree.version.frozen.reduce(sum) { $0 + $1.memtable.reservedByteCount }
      }
    }
  }

  private var unflushedByteCount: Int { budget.activeByteCount + frozenByteCount }

  /// Whether a commit may go on.
  ///
  /// Memtables that are flushed and that scans still hold do not count at once: whoever commits
  /// between two steps of a scan would wait for himself.
  private var hasMemtableRoom: Bool {
    let held = budget.memtableByteCount
    return held < budget.memtableShare
      || held < budget.heldMemtableShare && unflushedByteCount < budget.memtableShare
  }

  private func waitForFlush() throws(StoreError) {
    while !hasMemtableRoom {
      // Whatever is active must go, too, when little else is being flushed, or when what stays
      // active would be too much by itself: one batch may have filled many trees.
      if frozenByteCount < budget.memtableShare / 2
        || budget.activeByteCount >= budget.memtableShare
      {
        for tree in dirtyTrees.withLock({ $0.values.sorted { $0.id < $1.id } }) { freeze(tree) }
      }
      let frozen = frozenByteCount
      if frozen == 0 { return try waitForReaders() }
      environment.scheduler.wait {
        hasMemtableRoom || frozenByteCount < frozen || !canWait(for: .flush)
      }
      if !hasMemtableRoom && !canWait(for: .flush) { return try throwStall(.flush) }
    }
  }

  /// How long a commit waits for scans that hold memtables and stand still.
  private static let readerPatienceNanoseconds: UInt64 = 10_000_000_000

  /// Waits until readers let go of memtables that are in tables already.
  private func waitForReaders() throws(StoreError) {
    let clock = environment.clock
    let deadline = clock.monotonicNanoseconds() + Self.readerPatienceNanoseconds
    environment.scheduler.wait {
      if hasMemtableRoom || !canWait(for: .flush) { return true }
      if clock.monotonicNanoseconds() >= deadline { return true }
      // So that somebody looks when it has passed; a look at something else forgets it.
      jobs.wakeUp(at: deadline)
      environment.scheduler.workIsReady()
      return false
    }
    if hasMemtableRoom { return }
    try throwStall(.flush)
    throw .resourceExhausted(
      "room for memtables, of which scans that are open hold \(budget.memtableByteCount) bytes")
  }

  private func waitForCompaction() throws(StoreError) {
    environment.scheduler.wait {
      pressure.worstLevel0Count < PressureGauge.level0Stop || !canWait(for: .compaction)
    }
    if pressure.worstLevel0Count >= PressureGauge.level0Stop { try throwStall(.compaction) }
  }

  /// Whether work of this kind can still bring relief.
  private func canWait(for kind: BackgroundWorkKind) -> Bool {
    health.withLock { $0.obstacle(to: kind) == nil && $0.poison == nil && !$0.isClosed }
  }

  private func throwStall(_ kind: BackgroundWorkKind) throws(StoreError) {
    try requireWritable()
    if let failure = health.withLock({ $0.obstacle(to: kind) }) { throw failure }
  }

  /// Takes the number of level 0's tables into account, unless nothing will make them fewer.
  ///
  /// A tree with damage is not compacted, and writers who waited for that would wait forever. Nor
  /// is one to which slots move, and the last step of that waits for writers.
  func gaugePressure(of tree: Tree) {
    let isSuspended = tree.work.withLock { $0.isCompactionSuspended || $0.isMoving }
    // Tables without entries are passed over by readers, and soon merged.
    let count = tree.version.levels[0].count { $0.metadata.summary.entryCount > 0 }
    pressure.setLevel0Count(isSuspended ? 0 : count, of: tree.id)
  }

  // MARK: - The log's length

  /// A segment ended: it is made durable behind the writers' backs.
  func segmentWasBegun() {
    if !isLogSyncQueued.exchange(true, ordering: .acquiringAndReleasing) {
      jobs.add(LogSyncJob(engine: self))
      environment.scheduler.workIsReady()
    }
    if needsReserve { considerReserve() }
  }

  /// Has the memtables of `trees` flushed; when nothing stays in memory, the log's newest segment
  /// ends, so that all of the log goes with them.
  ///
  /// By the leader. A segment that cannot be ended stays: that is room lost, and nothing else; what
  /// keeps it from that is met by the next write.
  func freeze(_ trees: [Tree]) {
    // The log is the next writer's.
    if health.withLock({ $0.isClosed }) { return }
    let chosen = Set(trees.map(\.id))
    let stays = dirtyTrees.withLock {
      $0.values.contains { $0.leadersActive != nil && !chosen.contains($0.id) }
    }
    // Afterwards: a flush that ends at once must find the segment ended.
    defer { for tree in trees { freeze(tree) } }
    guard let log, !stays, !trees.isEmpty else { return }
    do throws(StoreError) { try log.endSegment() } catch {
      if case .durabilityLost = error { poison(error) }
    }
  }

  /// Frees the oldest segments when the log outgrows its bound: trees with much in memory are
  /// flushed; the little that a cold tree holds is appended again at the end instead.
  ///
  /// By the leader.
  func keepLogShort() throws(StoreError) {
    guard let log, log.liveByteCount > UInt64(options.logByteCount),
      let oldest = log.oldestSegment, oldest != log.currentSegment
    else { return }
    let trees = dirtyTrees.withLock { $0.values.sorted { $0.id < $1.id } }
    var hasCarried = false
    for tree in trees {
      guard let active = tree.version.active else { continue }
      // The older half of the log is what has to go.
      guard let first = log.firstSegment(from: active.oldestSegment.load(ordering: .relaxed)),
        log.position - first.position > UInt64(options.logByteCount) / 2
      else { continue }
      if active.memtable.byteCount > options.smallMemtableByteCount {
        freeze(tree)
      } else {
        try carry(tree, active)
        hasCarried = true
      }
    }
    if hasCarried {
      if !planted(.trimBeforeCarriedIsDurable) { try syncLog() }
      jobs.add(LogTrimJob(engine: self))
      environment.scheduler.workIsReady()
    }
  }

  /// Appends everything in `memtable` to the log again, with its old sequence numbers.
  private func carry(_ tree: Tree, _ active: LoggedMemtable) throws(StoreError) {
    guard let log else { return }
    var batch = EncodedBatch()
    let cursor = active.memtable.makeCursor()
    try cursor.seekToFirst()
    while cursor.isValid {
      batch.appendCarried(
        sequence: cursor.tag.sequence, shard: tree.id.shard,
        cursor.tag.isValue ? .value : .deletion,
        keyspace: tree.id.keyspace, cursor.key, cursor.value)
      try cursor.next()
    }
    let tombstones = active.memtable.rangeTombstones
    for fragment in tombstones.fragments where !planted(.carryWithoutRangeTombstones) {
      for sequence in fragment.sequences {
        fragment.start.withView { start in
          fragment.end.withView { end in
            batch.appendCarried(
              sequence: sequence, shard: tree.id.shard, .rangeDeletion, keyspace: tree.id.keyspace,
              start, end)
          }
        }
      }
    }
    let last = lastSequence.load(ordering: .relaxed)
    try appendFrame(
      [batch], kind: .carried, firstSequence: 0, lastSequence: last, isSynced: false)
    active.oldestSegment.store(log.currentSegment, ordering: .releasing)
  }
}
