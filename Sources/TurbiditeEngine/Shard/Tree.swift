// Tree — one keyspace in one shard: memtables above tables.
//
// Room:    Engine/Shard.
// Source:  The log-structured merge-tree, O'Neil et al., Acta Informatica 33, 1996.

import Synchronization
import TurbiditeSystem

/// A memtable, and what the log holds of it.
///
/// Safe to share: the memtable is its own proof, the rest are atomics.
final class LoggedMemtable: Sendable {
  let memtable: Memtable
  private let budget: MemoryBudget
  /// The oldest log segment with an entry of this memtable.
  let oldestSegment: Atomic<UInt64>
  /// The log position behind its last entry, set when it takes no more.
  let endPosition = Atomic<UInt64>(0)
  private let charged = Atomic<Int>(0)
  private let isActive = Atomic<Bool>(true)

  init(segment: UInt64, pool: ChunkPool, budget: MemoryBudget) {
    memtable = Memtable(pool: pool)
    self.budget = budget
    oldestSegment = Atomic(segment)
  }

  deinit {
    let byteCount = charged.load(ordering: .relaxed)
    budget.chargeMemtables(-byteCount)
    if isActive.load(ordering: .relaxed) { budget.chargeActive(-byteCount) }
  }

  /// Tells the budget how much the memtable has grown.
  ///
  /// By the leader, after inserting.
  func chargeGrowth() {
    let byteCount = memtable.reservedByteCount
    let growth = byteCount - charged.exchange(byteCount, ordering: .relaxed)
    guard growth != 0 else { return }
    budget.chargeMemtables(growth)
    budget.chargeActive(growth)
  }

  /// Says that the memtable takes no more entries.
  ///
  /// By the leader, once.
  func freeze(at position: UInt64) {
    endPosition.store(position, ordering: .releasing)
    isActive.store(false, ordering: .relaxed)
    budget.chargeActive(-charged.load(ordering: .relaxed))
  }
}

/// What a tree consists of at one moment.
///
/// Immutable, but for the active memtable's contents.
///
/// Invariants:
/// 1. Of one key, everything in `active` is newer than everything in `frozen`, each of `frozen`
///    than the next, all of them than level 0, each table of level 0 than the next that shares the
///    key, and each level than the one below.
///    For range tombstones this does not hold where keys came from another shard.
/// 2. Below level 0 tables are ascending and disjoint.
final class TreeVersion: Sendable {
  let active: LoggedMemtable?
  /// Newest first.
  let frozen: [LoggedMemtable]
  /// Level 0 newest first.
  let levels: [[TableHandle]]
  /// The levels below 0 that hold something, from the top.
  let runs: [[TableHandle]]
  /// The tables with range tombstones.
  let tombstoned: [TableHandle]

  init(active: LoggedMemtable?, frozen: [LoggedMemtable], levels: [[TableHandle]]) {
    assert(levels.count == Limits.levelCount)
    self.active = active
    self.frozen = frozen
    self.levels = levels
    runs = levels.dropFirst().filter { !$0.isEmpty }
    tombstoned = levels.joined().filter { $0.metadata.summary.rangeTombstoneCount > 0 }
  }

  /// The tables of `old`, below other memtables: nothing is asked of the tables themselves.
  init(active: LoggedMemtable?, frozen: [LoggedMemtable], above old: TreeVersion) {
    self.active = active
    self.frozen = frozen
    levels = old.levels
    runs = old.runs
    tombstoned = old.tombstoned
  }

  static let emptyLevels: [[TableHandle]] = Array(repeating: [], count: Limits.levelCount)

  /// The active and the frozen memtables, newest first.
  var memtables: [LoggedMemtable] { (active.map { [$0] } ?? []) + frozen }

  var isEmpty: Bool { active == nil && frozen.isEmpty && levels[0].isEmpty && runs.isEmpty }

  /// The largest key that anything here mentions, or nil when there is none.
  var lastKey: [UInt8]? {
    var last = ByteView.empty
    for memtable in planted(.rangeDeletionOverlooksFrozen) ? Array(memtables.prefix(1)) : memtables
    {
      if let key = memtable.memtable.lastKey, key.compare(last) > 0 { last = key }
    }
    for table in levels[0] where table.largestKey.compare(last) > 0 { last = table.largestKey }
    for level in levels.dropFirst() {
      if let table = level.last, table.largestKey.compare(last) > 0 { last = table.largestKey }
    }
    return last.isEmpty ? nil : last.bytes()
  }
}

/// One keyspace in one shard.
///
/// Safe to share: `leadersActive` is touched by the leader only, and before there is a queue by the
/// thread that opens the store; the rest are locks, atomics and constants.
final class Tree: @unchecked Sendable {
  struct Work {
    var isFlushing = false
    var isCompacting = false
    /// Set when a compaction met damage: rewriting would lose what a repair may save.
    var isCompactionSuspended = false
    var failedFlushCount = 0
    /// Failures of compactions in a row.
    var failedCompactionCount = 0
    /// In nanoseconds of the engine's clock: when a compaction that failed may be tried again.
    var compactionNotBefore: UInt64 = 0
    var isFullCompactionWanted = false
    /// A scan met many tombstones; until nothing more can be done about them.
    var isCrowded = false
    /// Slots move here: tables of the last level are being made, and none is compacted meanwhile.
    var isMoving = false
    /// By which routing the flush, the compaction that is under way tells what is the shard's.
    var flushRouting: Routing?
    var compactionRouting: Routing?
    /// Somebody waits until keys that are not the shard's are gone.
    var isSettlingWanted = false
    /// The next compaction is to bring that on, whatever else is due: each other one is.
    var isSettlingTurn = false
  }

  let id: TreeID
  /// Of the keyspace.
  let partitioning: Partitioning
  private let state: Mutex<TreeVersion>
  /// The version's active memtable, as the leader of the commit queue keeps it at hand: it alone
  /// changes which one that is, so that it need not take the lock to know.
  var leadersActive: LoggedMemtable?
  let work = Mutex(Work())
  /// When the tree was last written to, in nanoseconds of the engine's clock.
  let lastWrite = Atomic<UInt64>(0)
  let isDropped = Atomic<Bool>(false)

  init(id: TreeID, _ partitioning: Partitioning, levels: [[TableHandle]]) {
    self.id = id
    self.partitioning = partitioning
    state = Mutex(TreeVersion(active: nil, frozen: [], levels: levels))
  }

  var version: TreeVersion { state.withLock { $0 } }

  /// Replaces the version by what `change` makes of it.
  ///
  /// The old version is returned so that it dies, if it does, outside the lock.
  @discardableResult
  func update(_ change: (TreeVersion) -> TreeVersion) -> TreeVersion {
    state.withLock { version in
      let old = version
      version = change(old)
      return old
    }
  }
}

/// The frozen memtables of a tree at some moment.
struct FrozenMemtables: Sendable {
  /// Weak: who waits for their flush, and for something else after it, would keep writers from the
  /// room that it has made.
  private struct Waited: Sendable {
    weak let memtable: LoggedMemtable?
  }

  let tree: Tree
  private let memtables: [Waited]

  init(_ tree: Tree) {
    self.tree = tree
    memtables = tree.version.frozen.map(Waited.init)
  }

  /// Whether all of them are in tables, or were dropped with their keyspace.
  var areFlushed: Bool {
    let frozen = tree.version.frozen
    return !memtables.contains { waited in frozen.contains { $0 === waited.memtable } }
  }
}

/// The trees of a keyspace, by shard.
private final class TreeList: Sendable {
  let trees: [Tree]

  init(_ trees: [Tree]) { self.trees = trees }
}

/// A keyspace that exists: a name and a tree in each shard.
package final class KeyspaceState: Sendable {
  package let id: UInt32
  package let name: String
  let kind: KeyspaceKind
  /// That of `kind`.
  package let partitioning: Partitioning
  private let placed: Published<TreeList>
  private let dropped = Atomic<Bool>(false)
  /// Events without a key that were appended to a stream: they go to each partition in turn, from
  /// any one on, so that who opens the store for a single event does not fill the first.
  private let turn: Atomic<UInt64>
  private let clock: any TimeSource
  /// That of the environment of the engine whose keyspace it is.
  package let engineNumber: UInt64
  private let streamWatch: StreamWatch?
  /// The stream in which what is written to the keyspace is recorded.
  package let changes: KeyspaceState?

  init(
    id: UInt32, _ description: KeyspaceDescription, trees: [Tree],
    _ environment: EngineEnvironment, changes: KeyspaceState? = nil
  ) {
    assert(changes?.id == description.changes)
    clock = environment.clock
    engineNumber = environment.number
    turn = Atomic(description.kind.partitionCount == nil ? 0 : environment.random.next())
    self.changes = changes
    streamWatch = description.kind.partitionCount.map { StreamWatch(partitionCount: $0) }
    self.id = id
    name = description.name
    kind = description.kind
    partitioning = kind.partitioning
    placed = Published(TreeList(trees))
  }

  /// The tree of each shard; their number only grows.
  var trees: [Tree] { placed.read { $0.trees } }

  /// The tree of one shard.
  @inline(__always)
  func tree(_ shard: Int) -> Tree { placed.read { $0.trees[shard] } }

  /// Adds trees, with nothing in them, for shards that are new.
  ///
  /// By the leader.
  func addTrees(upTo count: Int) {
    var trees = trees
    while trees.count < count {
      let id = TreeID(keyspace: id, shard: UInt32(trees.count))
      trees.append(Tree(id: id, partitioning, levels: TreeVersion.emptyLevels))
    }
    placed.replace(with: TreeList(trees))
  }

  /// The partitions of a stream; nil for a keyspace of a user's own keys.
  package var partitionCount: Int? { kind.partitionCount }

  /// The partition of a stream whose turn it is.
  package func nextTurn() -> Int {
    if partitionCount == 1 { return 0 }
    let turn = turn.wrappingAdd(1, ordering: .relaxed).oldValue
    return Int(turn % UInt64(partitionCount ?? 1))
  }

  /// The time now, in the microseconds of events.
  package func wallMicroseconds() -> Int64 { Int64(clamping: clock.wallMicroseconds()) }

  package var isDropped: Bool { dropped.load(ordering: .acquiring) }

  /// Of a stream.
  package var watch: StreamWatch {
    guard let streamWatch else { preconditionFailure("\(name) is no stream") }
    return streamWatch
  }

  func markDropped() {
    markRenamed()
    for tree in trees { tree.isDropped.store(true, ordering: .releasing) }
  }

  /// The trees go on under another name; this handle of them does not.
  func markRenamed() {
    dropped.store(true, ordering: .releasing)
    streamWatch?.wakeAll()
  }
}
