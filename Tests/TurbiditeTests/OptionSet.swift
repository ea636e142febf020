// OptionSet — option sets under which the same operations must give the same answers.

import Turbidite

/// Option sets under which the same operations must give the same answers.
enum OptionSet: String, CaseIterable, Sendable {
  case oneShardTinyBlocks
  case threeShardsTinyMemtables
  case sixtyFourShards
  case defaults
  case uncompressedWithoutFilter
  case shortLog

  var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    switch self {
    case .oneShardTinyBlocks:
      options.shardCount = 1
      options.blockByteCount = 64
      options.memtableByteCount = 16 << 10
      options.tableByteCount = 8 << 10
    case .threeShardsTinyMemtables:
      options.shardCount = 3
      options.memtableByteCount = 4 << 10
      options.tableByteCount = 4 << 10
      options.maximumOpenTableCount = 8
    case .sixtyFourShards:
      options.shardCount = 64
      options.memtableByteCount = 8 << 10
    case .defaults: break
    case .uncompressedWithoutFilter:
      options.compresses = false
      options.filterBitsPerKey = 0
      options.memtableByteCount = 32 << 10
      options.memoryBudgetByteCount = 1 << 20
    case .shortLog:
      options.shardCount = 4
      options.logByteCount = 64 << 10
      options.memtableByteCount = 64 << 10
    }
    return options
  }
}
