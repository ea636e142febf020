// FlushJob — turns the oldest frozen memtable of a tree into a table of level 0.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// One memtable on its way to disk.
final class FlushJob: BackgroundJob, @unchecked Sendable {
  private let engine: Engine
  private let tree: Tree
  /// What a table of the tree may hold; nil means all.
  private let owned: KeyOwnership?
  private var source: LoggedMemtable?
  private var merge: TableMerge?
  /// Bytes of the memtable, and how many of them were come by, as it was told.
  private var byteCount = 0
  private var doneByteCount = 0

  init(engine: Engine, tree: Tree, owned: KeyOwnership?) {
    self.engine = engine
    self.tree = tree
    self.owned = owned
    super.init(priority: .flush)
  }

  override func step() throws(StoreError) -> Bool {
    if source == nil { return try begin() }
    let goesOn = try merge?.step() ?? false
    noteProgress()
    if goesOn { return true }
    try finish()
    return false
  }

  private func noteProgress() {
    guard let entryCount = source?.memtable.entryCount, entryCount > 0 else { return }
    let share = Double(merge?.readEntryCount ?? 0) / Double(entryCount)
    let added = Int(Double(byteCount) * min(1, share)) - doneByteCount
    let now = engine.environment.clock.monotonicNanoseconds()
    engine.pressure.noteFlush { $0.advance(added, now: now) }
    doneByteCount += added
  }

  private func begin() throws(StoreError) -> Bool {
    guard let oldest = tree.version.frozen.last, !tree.isDropped.load(ordering: .acquiring) else {
      tree.work.withLock { $0.isFlushing = false }
      return false
    }
    source = oldest
    let memtable = oldest.memtable
    byteCount = memtable.byteCount
    let (byteCount, now) = (byteCount, engine.environment.clock.monotonicNanoseconds())
    engine.pressure.noteFlush { $0.begin(byteCount, now: now) }
    // A table must not hold what the log could still lose: half of a batch over two shards would
    // then survive a power cut.
    if let log = engine.log, log.syncedPosition < oldest.endPosition.load(ordering: .acquiring) {
      if !planted(.flushBeforeLogSync) { try engine.syncLog() }
    }
    let filter = VersionFilter(
      snapshots: engine.pins.all,
      tombstones: planted(.flushWithoutRangeTombstones) ? .none : memtable.rangeTombstones,
      isBottommost: planted(.dropTombstonesAtFlush))
    let sink = TableSink(
      engine.sinkContext(for: tree.id, tableByteCount: .max),
      tombstones: filter.survivingTombstones())
    let cursor = KeyOwnership.filter(memtable.makeCursor(), owned)
    try cursor.seekToFirst()
    merge = TableMerge(cursor, filter, sink)
    return true
  }

  private func finish() throws(StoreError) {
    guard let tables = merge?.sink.tables, let source else {
      preconditionFailure("a flush that has not begun")
    }
    let handles = try engine.handles(for: tables, tree: tree.id)
    var isInstalled = false
    try engine.install(
      { state throws(StoreError) in
        guard state.keyspaces[tree.id.keyspace] != nil else { return nil }
        var edit = VersionEdit()
        for table in tables {
          edit.addedTables.append(.init(tree: tree.id, level: 0, table: table))
        }
        if let largest = source.memtable.largestSequence {
          edit.flushedSequences[tree.id] = planted(.flushedSequenceTooHigh) ? largest + 1 : largest
        }
        engine.setLogFloor(in: &edit, above: state.logFloor, without: source)
        return edit
      },
      publish: { _ throws(StoreError) in
        isInstalled = true
        tree.update { version in
          var levels = version.levels
          // A flush is newer than every table before it: flushes of a tree run one at a time.
          levels[0] = planted(.flushBehindOlderTables) ? levels[0] + handles : handles + levels[0]
          return TreeVersion(
            active: version.active, frozen: version.frozen.filter { $0 !== source },
            levels: levels)
        }
      })
    // A keyspace that was dropped meanwhile has no use for the table.
    if isInstalled { merge = nil }
    end(nil)
    engine.flushEnded(tree)
  }

  override func end(_ failure: StoreError?) {
    if source != nil {
      let (byteCount, done) = (byteCount, doneByteCount)
      engine.pressure.noteFlush { $0.end(byteCount, done: done) }
    }
    source = nil
    discardOutput()
    let failures = tree.work.withLock { work -> Int in
      work.isFlushing = false
      work.failedFlushCount = failure == nil ? 0 : work.failedFlushCount + 1
      return work.failedFlushCount
    }
    // What becomes of a keyspace that was dropped is nobody's trouble, and nothing would clear it.
    guard let failure, !tree.isDropped.load(ordering: .acquiring) else { return }
    engine.report(failure, of: .flush, in: tree)
    // Room that a table does not find is not there for what would make the next one.
    if case .outOfSpace = failure { engine.beginPause(failure) }
    // A sync that fails three times on fresh files is no accident.
    if case .durabilityLost = failure, failures >= 3 { engine.poison(failure) }
    engine.lookAgainSoon()
  }

  private func discardOutput() {
    // After a failure of the manifest an edit that names the files may be on disk all the same:
    // then they stay, and the next open decides.
    guard !engine.isPoisoned, var merge = merge.take() else { return }
    do throws(StoreError) { try merge.discard() } catch {
      // What could not be removed is an orphan: the next open removes it.
      engine.report(error, of: .removal)
    }
  }
}
