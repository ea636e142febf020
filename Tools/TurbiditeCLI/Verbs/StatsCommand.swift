// StatsCommand — a store's levels and shards in numbers.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite stats DIR`.
struct StatsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "Show levels and shards in numbers.",
    discussion: """
      As TSV, one table: the levels, or the shards with --by-shard. --level and --shard keep one.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Option(help: ArgumentHelp("Only this level.", valueName: "number")) var level: Int?
  @Option(help: ArgumentHelp("Only this shard.", valueName: "number")) var shard: Int?
  @Flag(help: "With TSV: the shards instead of the levels.") var byShard = false
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let statistics = try withReadOnlyStore(at: directory) { try $0.blocking.statistics() }
    let shards = statistics.shards.filter { shard == nil || $0.shard == shard }
    if let shard, shards.isEmpty {
      throw CommandFailure.stated(
        Statement(
          status: ExitStatus.notFound, what: "there is no shard \(shard)", place: directory,
          remedy: "shards are numbered from 0 to \(statistics.shardCount - 1)"))
    }
    // Of one shard, the levels are its own.
    let all = shard == nil ? statistics.levels : shards.flatMap(\.levels)
    let levels = all.filter { level == nil || $0.level == level.map(numericCast) }
    let report = Report(global)
    switch global.reportFormat {
    case .json: try report.write(json(statistics, levels, shards))
    case .tsv:
      try report.write(
        byShard
          ? StatisticsTables.shards(shards, isText: false)
          : StatisticsTables.levels(levels, isText: false))
    case .text:
      try report.write(StatisticsTables.levels(levels, isText: true))
      try report.write("\n")
      try report.write(StatisticsTables.shards(shards, isText: true))
      for line in memory(statistics) { try report.write(line + "\n") }
    }
    try report.finish()
  }

  private func memory(_ statistics: Statistics) -> [String] {
    [
      "",
      "log        \(Numbers.byteText(statistics.logByteCount)) in"
        + " \(Numbers.counted(statistics.logSegmentCount, "segment"))",
      "memtables  \(Numbers.byteText(statistics.memtableByteCount))",
      "cache      \(Numbers.byteText(statistics.cacheByteCount)), of a budget of"
        + " \(Numbers.byteText(statistics.memoryBudgetByteCount)) for all memory",
    ]
  }

  private func json(
    _ statistics: Statistics, _ levels: [LevelStatistics], _ shards: [ShardStatistics]
  ) -> [UInt8] {
    JSONWriter.document("stats/1") { json in
      json.member("path", directory)
      StatisticsTables.append(statistics, to: &json)
      json.array("levels") { json in
        for level in levels { json.object { StatisticsTables.append(level, to: &$0) } }
      }
      json.array("shards") { json in
        for shard in shards {
          json.object { json in
            json.member("shard", shard.shard)
            json.member("tables", shard.tableCount)
            json.member("bytes", shard.byteCount)
            json.member("entries", shard.entryCount)
            json.array("levels") { json in
              for level in shard.levels {
                json.object { StatisticsTables.append(level, to: &$0) }
              }
            }
          }
        }
      }
    }
  }
}
