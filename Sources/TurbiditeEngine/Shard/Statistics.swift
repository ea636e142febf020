// Statistics — what a store holds and how it fares, counted.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// The tables of one level.
package struct LevelCounts: Sendable, Hashable {
  package var level: Int
  package var tableCount = 0
  package var byteCount: UInt64 = 0
  package var rawByteCount: UInt64 = 0
  package var entryCount: UInt64 = 0
  package var deletionCount: UInt64 = 0
}

/// The trees of one shard.
package struct ShardCounts: Sendable, Hashable {
  package var shard: Int
  /// The slots of the ring that it holds.
  package var slotCount: Int
  package var levels: [LevelCounts]
  package var memtableByteCount = 0
  package var memtableEntryCount = 0
}

/// The whole store.
package struct EngineCounts: Sendable, Hashable {
  package var shards: [ShardCounts] = []
  /// No shard holds keys that moved to another.
  package var isSettled = true
  package var keyspaceNames: [String] = []
  package var lastSequence: UInt64 = 0
  package var logByteCount: UInt64 = 0
  package var logSegmentCount = 0
  package var memtableByteCount = 0
  package var cacheByteCount = 0
  package var cacheHitCount: UInt64 = 0
  package var cacheMissCount: UInt64 = 0
  package var backPressure = BackPressure.none
  package var backgroundError: StoreError?
}

extension Engine {
  /// Counts from metadata: no table is read.
  package func counts() throws(StoreError) -> EngineCounts {
    try requireOpen()
    var counts = EngineCounts()
    let states = keyspaces.withLock { $0.values.sorted { $0.id < $1.id } }
    let routing = routing.value
    counts.isSettled = routing.unsettled == nil
    var slotCounts = [Int](repeating: 0, count: routing.treeCount)
    for shard in routing.slots { slotCounts[Int(shard)] += 1 }
    for shard in 0..<routing.treeCount {
      var row = ShardCounts(
        shard: shard, slotCount: slotCounts[shard],
        levels: (0..<Limits.levelCount).map { LevelCounts(level: $0) })
      for keyspace in states {
        let version = keyspace.tree(shard).version
        for memtable in version.memtables {
          row.memtableByteCount += memtable.memtable.byteCount
          row.memtableEntryCount += memtable.memtable.entryCount
        }
        for (level, tables) in version.levels.enumerated() {
          for table in tables { row.levels[level].add(table.metadata.summary) }
        }
      }
      counts.shards.append(row)
    }
    counts.keyspaceNames = states.filter { $0.partitionCount == nil }.map(\.name)
    counts.lastSequence = visibleSequence
    counts.logByteCount = log?.liveByteCount ?? recoveredLog.byteCount
    counts.logSegmentCount = log?.segmentCount ?? recoveredLog.segmentCount
    counts.memtableByteCount = budget.memtableByteCount
    counts.cacheByteCount = budget.cache.byteCount
    (counts.cacheHitCount, counts.cacheMissCount) = budget.cache.counters
    counts.backPressure = backPressure
    counts.backgroundError = health.withLock {
      $0.poison?.cause ?? $0.failure(of: BackgroundWorkKind.allCases)
    }
    return counts
  }
}

extension LevelCounts {
  fileprivate mutating func add(_ summary: TableSummary) {
    tableCount += 1
    byteCount += summary.byteCount
    rawByteCount += UInt64(summary.rawByteCount)
    entryCount += UInt64(summary.entryCount)
    deletionCount += UInt64(summary.deletionCount)
  }
}
