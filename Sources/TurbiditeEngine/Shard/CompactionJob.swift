// CompactionJob — carries out one plan of the picker.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// The merge of some tables of a tree.
final class CompactionJob: BackgroundJob, @unchecked Sendable {
  private let engine: Engine
  private let tree: Tree
  private let plan: CompactionPlan
  /// The tables as they were planned with; not the version, which would keep its memtables, and
  /// with them writers from the room for others, as long as the compaction takes.
  private let levels: [[TableHandle]]
  /// What a table of the tree may hold; nil means all.
  private let owned: KeyOwnership?
  private var merge: TableMerge?
  private var expectedEntryCount: UInt64 = 0
  /// What is left out of them, if anything.
  private var foreign: FilteredCursor?

  /// A compaction that failed is tried again after a second, then after two, four and so on up to
  /// sixteen: on a full disk each attempt writes until there is no room for anything else.
  private static let pauseNanoseconds: UInt64 = 1_000_000_000

  init(
    engine: Engine, tree: Tree, plan: CompactionPlan, levels: [[TableHandle]],
    owned: KeyOwnership?
  ) {
    self.engine = engine
    self.tree = tree
    self.plan = plan
    self.levels = levels
    self.owned = owned
    super.init(priority: .compaction)
  }

  override func step() throws(StoreError) -> Bool {
    if plan.isMove {
      _ = try install(plan.inputs)
      end(nil)
      engine.compactionEnded(tree)
      return false
    }
    if merge == nil { return try begin() }
    if try merge?.step() ?? false { return true }
    try finish()
    return false
  }

  private func handles(_ tables: [TableMetadata], _ level: Int) -> [TableHandle] {
    tables.compactMap { table in
      levels[level].first { $0.metadata.fileNumber == table.fileNumber }
    }
  }

  private func begin() throws(StoreError) -> Bool {
    var upper = handles(plan.inputs, plan.inputLevel)
    var lower = handles(plan.outputInputs, plan.outputLevel)
    assert(upper.count == plan.inputs.count)
    assert(lower.count == plan.outputInputs.count)
    var sets: [RangeTombstones] = []
    for table in upper + lower where table.metadata.summary.rangeTombstoneCount > 0 {
      sets.append(try table.open().rangeTombstones)
    }
    let filter = VersionFilter(
      snapshots: planted(.compactionIgnoresSnapshots) ? [] : engine.pins.all,
      tombstones: sets.isEmpty ? .none : RangeTombstones.merged(sets),
      isBottommost: plan.isBottommost)
    // What is deleted as a whole goes without being read.
    upper.removeAll { filter.dropsAll(of: $0.metadata.summary) }
    lower.removeAll { filter.dropsAll(of: $0.metadata.summary) }
    expectedEntryCount = (upper + lower).reduce(0) { $0 + $1.metadata.summary.entryCount }
    var sources: [EntryCursor] = []
    if plan.inputLevel == 0 {
      for table in upper { sources.append(RunCursor([table], access: .sweep)) }
    } else if !upper.isEmpty {
      sources.append(RunCursor(upper, access: .sweep))
    }
    if !lower.isEmpty { sources.append(RunCursor(lower, access: .sweep)) }
    let sink = TableSink(
      engine.sinkContext(for: tree.id, tableByteCount: UInt64(engine.options.tableByteCount)),
      tombstones: filter.survivingTombstones(),
      replacing: (plan.inputs + plan.outputInputs).map(\.fileNumber))
    let owned = planted(.compactionKeepsForeignKeys) ? nil : owned
    let cursor = KeyOwnership.filter(try MergingCursor(sources), owned)
    foreign = cursor as? FilteredCursor
    try cursor.seekToFirst()
    merge = TableMerge(cursor, filter, sink)
    return true
  }

  private func finish() throws(StoreError) {
    guard let mergedEntryCount = merge?.readEntryCount, let tables = merge?.sink.tables else {
      preconditionFailure("a compaction that has not begun")
    }
    let readEntryCount = mergedEntryCount + (foreign?.refusedCount ?? 0)
    // A reader that ends early without an error would lose records here for good.
    guard readEntryCount == expectedEntryCount else {
      throw .corrupt(
        Damage(
          file: levels[plan.inputLevel].first?.path ?? FileNames.shardsDirectory, offset: 0,
          finding: "a compaction read \(readEntryCount) of \(expectedEntryCount) entries"))
    }
    // A keyspace that was dropped meanwhile has no use for the tables.
    if try install(tables) { merge = nil }
    end(nil)
    engine.compactionEnded(tree)
  }

  /// - Returns: whether the outputs are part of the store now.
  private func install(_ outputs: [TableMetadata]) throws(StoreError) -> Bool {
    var isInstalled = false
    let (tree, plan) = (tree, plan)
    let moved = plan.isMove ? handles(plan.inputs, plan.inputLevel) : []
    let added = plan.isMove ? moved : try engine.handles(for: outputs, tree: tree.id)
    let removed =
      handles(plan.inputs, plan.inputLevel) + handles(plan.outputInputs, plan.outputLevel)
    if planted(.deleteInputsFirst) {
      for table in removed where !plan.isMove {
        try engine.environment.fileSystem.removeFile(table.path)
      }
    }
    let removedNumbers = Set(removed.map(\.metadata.fileNumber))
    try engine.install(
      { state throws(StoreError) in
        guard state.keyspaces[tree.id.keyspace] != nil else { return nil }
        var edit = VersionEdit()
        for table in plan.inputs {
          edit.removedTables.append(
            .init(tree: tree.id, level: plan.inputLevel, fileNumber: table.fileNumber))
        }
        for table in plan.outputInputs {
          edit.removedTables.append(
            .init(tree: tree.id, level: plan.outputLevel, fileNumber: table.fileNumber))
        }
        for table in outputs {
          edit.addedTables.append(.init(tree: tree.id, level: plan.outputLevel, table: table))
        }
        return edit
      },
      publish: { edit throws(StoreError) in
        isInstalled = true
        tree.update { version in
          var levels = version.levels
          levels[plan.inputLevel].removeAll { removedNumbers.contains($0.metadata.fileNumber) }
          levels[plan.outputLevel].removeAll { removedNumbers.contains($0.metadata.fileNumber) }
          levels[plan.outputLevel].append(contentsOf: added)
          levels[plan.outputLevel].sort { $0.smallestKey.compare($1.smallestKey) < 0 }
          return TreeVersion(active: version.active, frozen: version.frozen, levels: levels)
        }
        if !plan.isMove { for table in removed { table.markObsolete(since: edit) } }
      })
    return isInstalled
  }

  override func end(_ failure: StoreError?) {
    // As in a flush: after a failure of the manifest the outputs stay.
    if !engine.isPoisoned, var merge = merge.take() {
      do throws(StoreError) { try merge.discard() } catch { engine.report(error, of: .removal) }
    }
    let now = engine.environment.clock.monotonicNanoseconds()
    tree.work.withLock { work in
      work.isCompacting = false
      guard let failure else { return work.failedCompactionCount = 0 }
      if case .corrupt = failure { work.isCompactionSuspended = true }
      // Who asked for it is told of the failure.
      work.isFullCompactionWanted = false
      work.compactionNotBefore = now + Self.pauseNanoseconds << min(work.failedCompactionCount, 4)
      work.failedCompactionCount += 1
    }
    guard let failure else { return }
    if case .corrupt = failure {
      engine.suspect(failure, in: tree.id)
      engine.gaugePressure(of: tree)
    }
    engine.report(failure, of: .compaction, in: tree)
    engine.lookAgainSoon()
  }
}
