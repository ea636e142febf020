// Statistics — what a store holds, as its users see it.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine

/// The tables of one level, over one shard or all.
public struct LevelStatistics: Sendable, Hashable {
  /// 0 holds what was flushed last; each level below what is older.
  public var level: Int
  /// Tables.
  public var tableCount: Int
  /// Bytes on disk.
  public var byteCount: UInt64
  /// Bytes of keys and values, before compression.
  public var rawByteCount: UInt64
  /// Entries, tombstones and old versions included.
  public var entryCount: UInt64
  /// Tombstones of single keys.
  public var deletionCount: UInt64
}

/// One shard.
public struct ShardStatistics: Sendable, Hashable {
  /// The shard's number.
  public var shard: Int
  /// How many of the ring's 4,096 slots it holds: its share of the keys.
  public var slotCount: Int
  /// Tables.
  public var tableCount: Int
  /// Bytes of tables on disk.
  public var byteCount: UInt64
  /// Bytes that await a flush.
  public var memtableByteCount: Int
  /// Entries in tables and memtables, tombstones and old versions included.
  public var entryCount: UInt64
  /// The shard's levels, empty ones left out.
  public var levels: [LevelStatistics]
}

/// What opening the store found.
public struct RecoveryStatistics: Sendable, Hashable {
  /// Frames of the log that count.
  public var replayedFrameCount: Int
  /// Entries that were not yet in tables.
  public var replayedEntryCount: Int
  /// Bytes that had been written in part when the machine stopped, and were cut.
  public var tornByteCount: UInt64
  /// Files that nothing referred to.
  public var orphanCount: Int
}

/// Counts of everything a store holds; costs no read of a table.
public struct Statistics: Sendable, Hashable {
  /// The store's identity, 32 hexadecimal digits.
  public var storeID: String
  /// The format of the store's files.
  public var formatVersion: UInt32
  /// The number of shards that hold slots.
  public var shardCount: Int
  /// No shard holds keys any more that moved to another; see ``Store/reshard(_:)``.
  public var isSettled: Bool
  /// The sequence number of the last commit.
  public var lastSequence: UInt64
  /// Keys, estimated: entries that are not tombstones, old versions included.
  public var keyEstimate: UInt64
  /// Bytes of log that an open after a crash would replay.
  public var logByteCount: UInt64
  /// Segments of the log.
  public var logSegmentCount: Int
  /// Bytes in memtables.
  public var memtableByteCount: Int
  /// Bytes in the block cache.
  public var cacheByteCount: Int
  /// The memory budget.
  public var memoryBudgetByteCount: Int
  /// Tables.
  public var tableCount: Int
  /// Bytes of tables on disk.
  public var tableByteCount: UInt64
  /// Bytes of keys and values in tables, before compression.
  public var rawByteCount: UInt64
  /// All shards' levels together, empty ones left out.
  public var levels: [LevelStatistics]
  /// Each shard.
  public var shards: [ShardStatistics]
  /// The named keyspaces.
  public var keyspaces: [String]
  /// The streams.
  public var streams: [String]
  /// Why writers are held back: `none`, `flush` or `compaction`.
  public var backPressure: String
  /// The last failure of background work that no success has followed, or why writes are refused.
  public var backgroundError: String?
  /// What opening found.
  public var recovery: RecoveryStatistics

  init(of store: Store) throws(StoreError) {
    let engine = store.engine
    let counts = try engine.counts()
    storeID = engine.store.hexadecimal
    formatVersion = Turbidite.formatVersion
    shardCount = engine.shardCount
    isSettled = counts.isSettled
    lastSequence = counts.lastSequence
    logByteCount = counts.logByteCount
    logSegmentCount = counts.logSegmentCount
    memtableByteCount = counts.memtableByteCount
    cacheByteCount = counts.cacheByteCount
    memoryBudgetByteCount = engine.memoryBudgetByteCount
    keyspaces = counts.keyspaceNames.filter { !$0.isEmpty }
    streams = engine.streamNames
    backPressure = counts.backPressure.rawValue
    backgroundError = counts.backgroundError?.description
    let report = engine.recovery
    recovery = RecoveryStatistics(
      replayedFrameCount: report.frameCount, replayedEntryCount: report.entryCount,
      tornByteCount: report.tornByteCount, orphanCount: report.orphanCount)
    shards = counts.shards.map(ShardStatistics.init)
    levels = LevelStatistics.sum(counts.shards.flatMap(\.levels))
    tableCount = levels.reduce(0) { $0 + $1.tableCount }
    tableByteCount = levels.reduce(0) { $0 + $1.byteCount }
    rawByteCount = levels.reduce(0) { $0 + $1.rawByteCount }
    let memtableEntries = counts.shards.reduce(0) { $0 + $1.memtableEntryCount }
    keyEstimate = levels.reduce(UInt64(memtableEntries)) {
      $0 + $1.entryCount - $1.deletionCount
    }
  }
}

extension ShardStatistics {
  init(_ counts: ShardCounts) {
    shard = counts.shard
    slotCount = counts.slotCount
    levels = LevelStatistics.sum(counts.levels)
    tableCount = levels.reduce(0) { $0 + $1.tableCount }
    byteCount = levels.reduce(0) { $0 + $1.byteCount }
    memtableByteCount = counts.memtableByteCount
    entryCount = levels.reduce(UInt64(counts.memtableEntryCount)) { $0 + $1.entryCount }
  }
}

extension LevelStatistics {
  /// Adds up rows of the same level; levels without tables are left out.
  static func sum(_ rows: [LevelCounts]) -> [LevelStatistics] {
    var sums: [Int: LevelStatistics] = [:]
    for row in rows where row.tableCount > 0 {
      var sum =
        sums[row.level]
        ?? LevelStatistics(
          level: row.level, tableCount: 0, byteCount: 0, rawByteCount: 0, entryCount: 0,
          deletionCount: 0)
      sum.tableCount += row.tableCount
      sum.byteCount += row.byteCount
      sum.rawByteCount += row.rawByteCount
      sum.entryCount += row.entryCount
      sum.deletionCount += row.deletionCount
      sums[row.level] = sum
    }
    return sums.values.sorted { $0.level < $1.level }
  }
}
