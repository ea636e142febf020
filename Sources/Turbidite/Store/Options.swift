// Options — the decisions that one value cannot take for every user.
//
// Room:    Turbidite/Store. At most twelve; each says why it exists.

internal import TurbiditeEngine

extension Store {
  /// How a store is opened.
  public enum Mode: Sendable, Hashable {
    /// For writing; it is created when there is none.
    case openOrCreate
    /// For writing; there must be none yet.
    case create
    /// For writing; it must exist.
    case existing
    /// For reading, beside a writer in another process if there is one. Never writes a byte.
    case readOnly
  }

  /// Sizes of a store.
  ///
  /// Only ``shardCount`` is kept in it; the others count from open to close.
  public struct Options: Sendable, Hashable {
    /// The number of shards of a new store: 1 to 4096; nil means one.
    ///
    /// More shards let more compactions run at once; each adds sources to an ordered scan. The
    /// benchmark `shards` prints what each count costs. An existing store has the shards that
    /// ``Store/reshard(_:)`` gave it, and another count asked for here is an error.
    public var shardCount: Int?

    /// Memory for memtables, block cache, indexes and filters together: 1 MiB to 1 TiB.
    ///
    /// The default of 256 MiB holds ten million records' indexes and filters and two memtables a
    /// shard beside a cache. From 64 MiB on the process grows by no more than the budget and 15
    /// percent, as `Tools/bench budget` shows of values from 100 bytes on; below that, and with
    /// millions of records of a few bytes, the buffers of background work weigh more.
    public var memoryBudgetByteCount = 256 << 20

    /// A memtable of this size is written to a table: 4 KiB to 1 GiB, at most a quarter of the
    /// budget.
    ///
    /// Larger ones merge more overwrites in memory and make fewer tables, which costs less in
    /// compactions and more in caches of the processor. The default was measured (decision 0028).
    public var memtableByteCount = 64 << 20

    /// Bytes of keys and values in a block before compression: 64 to 1 MiB.
    ///
    /// Larger blocks compress better and cost scans less; smaller ones cost a point read less when
    /// its block is not in memory. The default was measured (decision 0019).
    public var blockByteCount = 8 << 10

    /// A table that a compaction writes ends at about this many bytes on disk: 4 KiB to 1 GiB.
    public var tableByteCount = 16 << 20

    /// The commit log may hold this much before trees are flushed for its sake: 64 KiB to 16 GiB.
    ///
    /// It bounds the time to open after a crash; the benchmark `reopen` prints it.
    public var logByteCount = 128 << 20

    /// Whether blocks are compressed with LZ4 where that saves an eighth.
    ///
    /// Off suits values that are compressed already.
    public var compresses = true

    /// Bits of Bloom filter a key: 0 (none) to 32.
    ///
    /// Ten let one absent key in a hundred through.
    public var filterBitsPerKey = 10

    /// Tables that may be open at once: 8 to 65,536; each is one file handle.
    public var maximumOpenTableCount = 512

    /// Threads for flushes and compactions: 1 to 64; nil means one a processor, at most 4.
    public var backgroundThreadCount: Int?

    /// The defaults.
    public init() {}

    /// The defaults with a number of shards.
    public init(shardCount: Int) { self.shardCount = shardCount }
  }
}

extension Store.Options {
  /// Throws when a value is outside its range.
  func validate() throws(StoreError) {
    func require(_ range: ClosedRange<Int>, _ value: Int, _ name: String) throws(StoreError) {
      guard range.contains(value) else {
        throw .invalidArgument(
          "option \(name) is \(value); it may be \(range.lowerBound) to \(range.upperBound)")
      }
    }
    if let shardCount { try require(1...4096, shardCount, "shardCount") }
    if let count = backgroundThreadCount { try require(1...64, count, "backgroundThreadCount") }
    try require(1 << 20...1 << 40, memoryBudgetByteCount, "memoryBudgetByteCount")
    try require(4 << 10...1 << 30, memtableByteCount, "memtableByteCount")
    try require(64...1 << 20, blockByteCount, "blockByteCount")
    try require(4 << 10...1 << 30, tableByteCount, "tableByteCount")
    try require(64 << 10...16 << 30, logByteCount, "logByteCount")
    try require(0...32, filterBitsPerKey, "filterBitsPerKey")
    try require(8...65_536, maximumOpenTableCount, "maximumOpenTableCount")
  }

  func engineOptions(threadCount: Int) -> EngineOptions {
    var options = EngineOptions()
    options.memoryBudgetByteCount = memoryBudgetByteCount
    options.memtableByteCount = min(memtableByteCount, memoryBudgetByteCount / 4)
    options.blockByteCount = blockByteCount
    options.tableByteCount = tableByteCount
    options.logByteCount = logByteCount
    options.logSegmentByteCount = min(8 << 20, logByteCount / 4)
    options.compresses = compresses
    options.filterBitsPerKey = filterBitsPerKey
    options.maximumOpenTableCount = maximumOpenTableCount
    options.compactionCount = threadCount
    return options
  }
}

extension Store.Mode {
  var engineMode: EngineMode {
    switch self {
    case .openOrCreate: .openOrCreate
    case .create: .create
    case .existing: .existing
    case .readOnly: .readOnly
    }
  }
}
