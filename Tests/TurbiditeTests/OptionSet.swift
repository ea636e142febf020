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

extension ShardChange {
  /// A change that a store can make, drawn at random.
  static func drawn(for store: Store, _ draw: (Int) -> Int) throws -> ShardChange {
    let members = try store.blocking.statistics().shards.filter { $0.slotCount > 0 }.map(\.shard)
    switch draw(5) {
    case 0: return .rebalance
    case 1, 2: return members.count < 70 ? .add : .rebalance
    default: return members.count > 1 ? .remove(members[draw(members.count)]) : .add
    }
  }
}
