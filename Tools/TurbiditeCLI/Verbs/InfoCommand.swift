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
      compaction has met them. The health of a store that a process is writing is what that \
      process says of itself now; that of one at rest is "ok" when its manifest and log can be \
      read, and its tables have the sizes they should: verify looks into them.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let statistics = try withReadOnlyStore(at: directory) { store in
      try store.blocking.requireLiveTables()
      return try store.blocking.statistics()
    }
    let writer = try writerStatus(ofStoreAt: directory)
    let report = Report(global)
    switch global.reportFormat {
    case .json:
      try report.write(
        JSONWriter.document("info/1") { json in
          json.member("path", directory)
          StatisticsTables.append(statistics, to: &json)
          json.member("health", InfoCommand.health(statistics, writer))
          InfoCommand.append(writer, to: &json)
          json.array("levels") { json in
            for level in statistics.levels {
              json.object { StatisticsTables.append(level, to: &$0) }
            }
          }
        })
    case .tsv: try report.write(InfoCommand.properties(statistics, writer, path: directory))
    case .text:
      for line in InfoCommand.summary(statistics, writer, path: directory, style: global.style) {
        try report.write(line + "\n")
      }
      try report.write(StatisticsTables.levels(statistics.levels, isText: true))
    }
    try report.finish()
  }

  /// "ok", or what is wrong.
  static func health(_ statistics: Statistics, _ writer: WriterStatus?) -> String {
    if let error = statistics.backgroundError { return error }
    guard let writer else { return "ok" }
    guard let since = writer.since else { return "ok, open for writing" }
    return "\(writer.meaning), since \(Moment.text(since))"
  }

  private static func append(_ writer: WriterStatus?, to json: inout JSONWriter) {
    guard let writer else { return json.member("writer", String?.none) }
    json.object("writer") { json in
      json.member("state", writer.state.rawValue)
      json.member("since", writer.since.map(Moment.text))
      json.member("code", writer.code)
    }
  }

  /// The lines above the table of levels.
  static func summary(
    _ statistics: Statistics, _ writer: WriterStatus?, path: String, style: Style
  ) -> [String] {
    let health = health(statistics, writer)
    let head = [
      style.strong(Escapes.visible(path)), "format \(statistics.formatVersion)",
      Numbers.counted(statistics.shardCount, "shard"),
      "~\(Numbers.grouped(statistics.keyEstimate)) keys",
      "\(Numbers.byteText(statistics.rawByteCount)) -> "
        + Numbers.byteText(statistics.tableByteCount),
      "health: " + (health.hasPrefix("ok") ? health : style.alarming(Escapes.visible(health))),
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
    if !statistics.streams.isEmpty {
      lines.append("streams: " + statistics.streams.map(named).joined(separator: ", "))
    }
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
  private static func properties(
    _ statistics: Statistics, _ writer: WriterStatus?, path: String
  ) -> Table {
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
    table.add(["health", health(statistics, writer)])
    table.add(["writer", writer?.state.rawValue ?? ""])
    table.add(["writer_since", writer?.since.map(Moment.text) ?? ""])
    return table
  }
}
