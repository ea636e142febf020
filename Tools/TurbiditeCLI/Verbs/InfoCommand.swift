// InfoCommand — a store on one screen.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite info DIR`.
struct InfoCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Show a store on one screen.",
    discussion: """
      The number of keys is an estimate: keys that were overwritten or removed count until \
      compaction has met them.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let statistics = try withReadOnlyStore(at: directory) { try $0.blocking.statistics() }
    let report = Report(global)
    switch global.reportFormat {
    case .json:
      try report.write(
        JSONWriter.document("info/1") { json in
          json.member("path", directory)
          StatisticsTables.append(statistics, to: &json)
          json.member("health", InfoCommand.health(statistics))
          json.array("levels") { json in
            for level in statistics.levels {
              json.object { StatisticsTables.append(level, to: &$0) }
            }
          }
        })
    case .tsv: try report.write(InfoCommand.properties(statistics, path: directory))
    case .text:
      for line in InfoCommand.summary(statistics, path: directory, style: global.style) {
        try report.write(line + "\n")
      }
      try report.write(StatisticsTables.levels(statistics.levels, isText: true))
    }
    try report.finish()
  }

  /// "ok", or what is wrong.
  static func health(_ statistics: Statistics) -> String {
    if let error = statistics.backgroundError { return error }
    if statistics.backPressure != "none" { return "writes wait: \(statistics.backPressure)" }
    return "ok"
  }

  /// The lines above the table of levels.
  static func summary(_ statistics: Statistics, path: String, style: Style) -> [String] {
    let health = health(statistics)
    let head = [
      style.strong(Escapes.visible(path)), "format \(statistics.formatVersion)",
      Numbers.counted(statistics.shardCount, "shard"),
      "~\(Numbers.grouped(statistics.keyEstimate)) keys",
      "\(Numbers.byteText(statistics.rawByteCount)) -> "
        + Numbers.byteText(statistics.tableByteCount),
      "health: " + (health == "ok" ? health : style.alarming(Escapes.visible(health))),
    ]
    let log =
      "\(Numbers.counted(statistics.logSegmentCount, "log segment")),"
      + " \(Numbers.byteText(statistics.logByteCount))"
    var lines = [
      head.joined(separator: "  "),
      "store \(statistics.storeID)  last write \(Numbers.grouped(statistics.lastSequence))  \(log)",
      "keyspaces: "
        + (statistics.keyspaces.isEmpty
          ? "the default one" : statistics.keyspaces.map(named).joined(separator: ", ")),
    ]
    let recovery = statistics.recovery
    if recovery.replayedEntryCount > 0 || recovery.tornByteCount > 0 {
      lines.append(
        "recovered \(Numbers.grouped(recovery.replayedEntryCount)) entries from the log;"
          + " a torn tail of \(Numbers.grouped(recovery.tornByteCount)) bytes")
    }
    return lines
  }

  private static func named(_ keyspace: String) -> String {
    keyspace.isEmpty ? "the default one" : Escapes.visible(keyspace)
  }

  /// The same as two columns.
  private static func properties(_ statistics: Statistics, path: String) -> Table {
    var table = Table([.words("property"), .words("value")])
    table.add(["path", path])
    table.add(["store_id", statistics.storeID])
    table.add(["format", "\(statistics.formatVersion)"])
    table.add(["shard_count", "\(statistics.shardCount)"])
    table.add(["keys_estimate", "\(statistics.keyEstimate)"])
    table.add(["last_sequence", "\(statistics.lastSequence)"])
    table.add(["tables", "\(statistics.tableCount)"])
    table.add(["table_bytes", "\(statistics.tableByteCount)"])
    table.add(["raw_bytes", "\(statistics.rawByteCount)"])
    table.add(["log_segments", "\(statistics.logSegmentCount)"])
    table.add(["log_bytes", "\(statistics.logByteCount)"])
    table.add(["health", health(statistics)])
    return table
  }
}
