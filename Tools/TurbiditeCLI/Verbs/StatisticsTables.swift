// StatisticsTables — the tables and JSON that `info` and `stats` share.
//
// Room:    Tools/TurbiditeCLI.

import Turbidite

/// Statistics as rows and members.
enum StatisticsTables {
  /// A row a level.
  static func levels(_ levels: [LevelStatistics], isText: Bool) -> Table {
    var table = Table([
      .words("level"), .number("files"), .number("bytes"), .number("raw bytes"), .number("ratio"),
      .number("entries"), .number("deletions"),
    ])
    for level in levels {
      table.add([
        "L\(level.level)", count(level.tableCount, isText), size(level.byteCount, isText),
        size(level.rawByteCount, isText),
        Numbers.ratio(UInt64(level.rawByteCount), to: UInt64(level.byteCount)),
        count(level.entryCount, isText), count(level.deletionCount, isText),
      ])
    }
    return table
  }

  /// A row a shard.
  static func shards(_ shards: [ShardStatistics], isText: Bool) -> Table {
    var table = Table([
      .number("shard"), .number("files"), .number("bytes"), .number("entries"), .words("levels"),
    ])
    for shard in shards {
      let levels = shard.levels.map { "L\($0.level):\($0.tableCount)" }.joined(separator: " ")
      table.add([
        "\(shard.shard)", count(shard.tableCount, isText), size(shard.byteCount, isText),
        count(shard.entryCount, isText), levels,
      ])
    }
    return table
  }

  /// The members of one level.
  static func append(_ level: LevelStatistics, to json: inout JSONWriter) {
    json.member("level", level.level)
    json.member("tables", level.tableCount)
    json.member("bytes", level.byteCount)
    json.member("raw_bytes", level.rawByteCount)
    json.member("entries", level.entryCount)
    json.member("deletions", level.deletionCount)
  }

  /// The members of the whole store, without its levels and shards.
  static func append(_ statistics: Statistics, to json: inout JSONWriter) {
    json.member("store_id", statistics.storeID)
    json.member("format", statistics.formatVersion)
    json.member("shard_count", statistics.shardCount)
    json.member("last_sequence", statistics.lastSequence)
    json.member("keys_estimate", statistics.keyEstimate)
    json.member("tables", statistics.tableCount)
    json.member("table_bytes", statistics.tableByteCount)
    json.member("raw_bytes", statistics.rawByteCount)
    json.member("log_bytes", statistics.logByteCount)
    json.member("log_segments", statistics.logSegmentCount)
    json.member("memtable_bytes", statistics.memtableByteCount)
    json.member("cache_bytes", statistics.cacheByteCount)
    json.member("memory_budget_bytes", statistics.memoryBudgetByteCount)
    json.array("keyspaces") { json in for name in statistics.keyspaces { json.element(name) } }
    json.array("streams") { json in for name in statistics.streams { json.element(name) } }
    json.member("back_pressure", statistics.backPressure)
    json.member("background_error", statistics.backgroundError)
    json.object("recovery") { json in
      json.member("replayed_frames", statistics.recovery.replayedFrameCount)
      json.member("replayed_entries", statistics.recovery.replayedEntryCount)
      json.member("torn_bytes", statistics.recovery.tornByteCount)
    }
  }

  private static func count(_ value: some BinaryInteger, _ isText: Bool) -> String {
    isText ? Numbers.grouped(value) : String(value)
  }

  private static func size(_ value: some BinaryInteger, _ isText: Bool) -> String {
    isText ? Numbers.byteText(value) : String(value)
  }
}
