// EngineOptions — what an engine is told from outside: its machine, and its sizes.
//
// Room:    Engine/Shard.

package import TurbiditeSystem
import Synchronization

/// The machine as the engine sees it.
///
/// Everything that is not computed comes through here.
package struct EngineEnvironment: Sendable {
  package var fileSystem: any FileSystem
  package var clock: any TimeSource
  package var random: any RandomSource
  package var scheduler: any Scheduler
  /// Runs leaders for callers that must not block.
  package var threads: IOThreads
  package var rarePaths = RarePaths.never
  /// Of all environments of this process: tells the keyspaces of one engine from those of another.
  let number = environmentCount.wrappingAdd(1, ordering: .relaxed).newValue

  package init(
    fileSystem: any FileSystem, clock: any TimeSource, random: any RandomSource,
    scheduler: any Scheduler, threads: IOThreads
  ) {
    self.fileSystem = fileSystem
    self.clock = clock
    self.random = random
    self.scheduler = scheduler
    self.threads = threads
  }
}

private let environmentCount = Atomic<UInt64>(0)

/// Sizes, all in bytes.
///
/// The public options say what each is for and what was measured.
package struct EngineOptions: Sendable {
  package var memoryBudgetByteCount = 256 << 20
  package var memtableByteCount = 64 << 20
  package var blockByteCount = 8 << 10
  package var tableByteCount = 16 << 20
  package var logByteCount = 128 << 20
  package var logSegmentByteCount = 8 << 20
  package var compresses = true
  package var filterBitsPerKey = 10
  package var maximumOpenTableCount = 512
  /// Background threads that may compact at once.
  package var compactionCount = 2

  package init() {}

  /// A memtable of less is not worth a table: it is carried forward in the log, and stays in memory
  /// when its tree rests.
  ///
  /// Bounded for the sake of many shards, whose memtables would all be carried in turn.
  var smallMemtableByteCount: Int { min(1 << 20, memtableByteCount / 16) }
}

/// How an engine is opened.
package enum EngineMode: Sendable, Hashable {
  /// Writes; creates the store when there is none.
  case openOrCreate
  /// Writes; there must be none.
  case create
  /// Writes; there must be one.
  case existing
  /// Writes nothing, and locks no one out.
  case readOnly
}

/// Where a store's slots lie, given when it is created.
package struct ShardLayout: Sendable {
  /// The shard of each of the 4096 slots.
  package var shards: [UInt16]
  package var shardCount: Int

  package init(shards: [UInt16], shardCount: Int) {
    precondition(shards.count == Limits.shardCount)
    precondition(shards.allSatisfy { Int($0) < shardCount })
    self.shards = shards
    self.shardCount = shardCount
  }
}
