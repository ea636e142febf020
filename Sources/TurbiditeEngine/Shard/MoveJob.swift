// MoveJob — writes the keys that come to a tree from other shards.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// A compaction of a tree's last level with what other trees of the keyspace hold of the slots that
/// move to its shard, as of one moment.
///
/// What it writes is nobody's until the slots are the shard's: `Engine.flip` installs it, or it is
/// discarded.
///
/// Invariants that make the last level the right place:
/// 1. Nothing of these slots as of the moment or before is in the tree: it was settled before.
/// 2. Newer entries are in its memtables and upper levels alone, deletions included: it is not
///    compacted meanwhile.
///
/// Safe to share: as every job it is one thread's at a time. Who waits for it looks at the rest
/// only once `outcome` says that it has ended, which a lock orders.
final class MoveJob: BackgroundJob, @unchecked Sendable {
  enum Outcome {
    case pending
    case written
    case failed(StoreError)
    /// The engine closed.
    case dropped
  }

  let tree: Tree
  private let engine: Engine
  private let sources: [Tree]
  private let move: ShardMove
  /// The sequence number of the moment, which is pinned.
  private let moment: UInt64
  private let state = Mutex(Outcome.pending)
  /// The tables as of the moment: while these live none is removed.
  ///
  /// Not the versions, which would keep their memtables.
  private var levels: [[TableHandle]] = []
  private var merge: TableMerge?
  /// Of what was written, from when all of it is until somebody takes it.
  private var sink: TableSink?
  private var expectedEntryCount: UInt64 = 0
  /// What the sources hold, of which not all moves.
  private var sifted: [FilteredCursor] = []
  /// The tables of the last level that `outputs` replace.
  private(set) var inputs: [TableHandle] = []
  /// What has been written, until somebody takes it.
  var outputs: [TableMetadata] { sink?.tables ?? [] }

  init(engine: Engine, tree: Tree, sources: [Tree], move: ShardMove, moment: UInt64) {
    self.engine = engine
    self.tree = tree
    self.sources = sources
    self.move = move
    self.moment = moment
    super.init(priority: .compaction)
  }

  var outcome: Outcome { state.withLock { $0 } }

  override func step() throws(StoreError) -> Bool {
    if merge == nil { return try begin() }
    if try merge?.step() ?? false { return true }
    try finish()
    return false
  }

  private func begin() throws(StoreError) -> Bool {
    var sets: [RangeTombstones] = []
    for source in sources {
      let version = source.version
      levels += version.levels
      assert(version.memtables.allSatisfy { $0.memtable.smallestSequence ?? .max > moment })
      func add(_ tables: [TableHandle]) {
        let tables = tables.filter { $0.metadata.summary.smallestSequence <= moment }
        guard !tables.isEmpty else { return }
        expectedEntryCount += tables.reduce(0) { $0 + $1.metadata.summary.entryCount }
        sifted.append(FilteredCursor(RunCursor(tables, access: .sweep), isMoving))
      }
      for table in version.levels[0] { add([table]) }
      for run in version.runs { add(run) }
      for table in version.tombstoned {
        // Of every moment: a snapshot may need an older one than the newest.
        sets.append(try table.open().rangeTombstones)
      }
    }
    guard !sifted.isEmpty else { return nothingMoves() }
    let moving = try MergingCursor(sifted)
    try moving.seekToLast()
    guard moving.isValid else {
      try requireReading(expectedEntryCount, of: sifted.reduce(0) { $0 + $1.refusedCount })
      return nothingMoves()
    }
    let last = moving.key.bytes()
    try moving.seekToFirst()
    let first = moving.key.bytes()
    let own = tree.version.levels[Limits.levelCount - 1]
    for table in own where table.metadata.summary.rangeTombstoneCount > 0 {
      sets.append(try table.open().rangeTombstones)
    }
    let filter = VersionFilter(
      snapshots: engine.pins.all,
      tombstones: sets.isEmpty ? .none : RangeTombstones.merged(sets), isBottommost: true)
    let tombstones = filter.survivingTombstones()
    // What lies between the outputs belongs to them; tombstones may lie anywhere.
    inputs = own.filter { table in
      !tombstones.isEmpty
        || first.withView { !table.ends(before: $0) }
          && last.withView { table.smallestKey.compare($0) <= 0 }
    }
    expectedEntryCount += inputs.reduce(0) { $0 + $1.metadata.summary.entryCount }
    let sink = TableSink(
      engine.sinkContext(for: tree.id, tableByteCount: UInt64(engine.options.tableByteCount)),
      tombstones: tombstones,
      replacing: inputs.isEmpty
        ? [] : [TableReplacement.somethingElse] + inputs.map(\.metadata.fileNumber))
    let cursor = try MergingCursor(
      inputs.isEmpty ? [moving] : [moving, RunCursor(inputs, access: .sweep)])
    for source in sifted { source.forgetRefused() }
    try cursor.seekToFirst()
    merge = TableMerge(cursor, filter, sink)
    return true
  }

  private var isMoving: (ByteView, Tag) -> Bool {
    let (move, moment) = (move, moment)
    let (partitioning, shard) = (tree.partitioning, Int(tree.id.shard))
    return { key, tag in
      guard tag.sequence <= moment else { return false }
      let hash = partitioning.shardHash(of: key, hash: key.hash())
      return move.target(ofHash: hash) == shard
    }
  }

  private func nothingMoves() -> Bool {
    release()
    state.withLock { $0 = .written }
    return false
  }

  private func finish() throws(StoreError) {
    guard let mergedEntryCount = merge?.readEntryCount else {
      preconditionFailure("a move that has not begun")
    }
    let readEntryCount = sifted.reduce(mergedEntryCount) { $0 + $1.refusedCount }
    try requireReading(expectedEntryCount, of: readEntryCount)
    sink = merge.take()?.takeSink()
    release()
    state.withLock { $0 = .written }
  }

  /// A reader that ends early without an error would lose records here for good.
  private func requireReading(_ expected: UInt64, of count: UInt64) throws(StoreError) {
    guard count != expected else { return }
    throw .corrupt(
      Damage(
        file: levels.joined().first?.path ?? FileNames.shardsDirectory, offset: 0,
        finding: "a move read \(count) of \(expected) entries"))
  }

  /// Says that the outputs are part of the store now.
  func keepOutputs() { sink = nil }

  /// Removes what was written and is no part of the store.
  ///
  /// By whom the job was made for, when it has ended.
  func discardOutputs() {
    // As in a flush: after a failure of the manifest the outputs stay.
    guard !engine.isPoisoned, var sink = sink.take() else { return }
    do throws(StoreError) { try sink.discard() } catch { engine.report(error, of: .removal) }
  }

  private func release() {
    merge = nil
    sifted = []
    levels = []
  }

  override func end(_ failure: StoreError?) {
    if let merge = merge.take() { sink = merge.takeSink() }
    release()
    discardOutputs()
    state.withLock { $0 = failure.map(Outcome.failed) ?? .dropped }
  }
}
