// CompactCommand — all tables rewritten without what is obsolete.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite compact DIR`.
struct CompactCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "compact", abstract: "Rewrite the tables without what is obsolete.",
    discussion: """
      Needs room for a second copy of the largest shard while it runs. A signal is answered when \
      the compaction has ended; a second one ends the command at once and loses nothing.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let (before, after) = try withStore(at: directory, mode: .existing) { store in
      let before = try store.blocking.statistics()
      try store.blocking.compact()
      let after = try store.blocking.statistics()
      try Signals.check()
      return (before, after)
    }
    if global.reportFormat == .json {
      let report = Report(global)
      try report.write(
        JSONWriter.document("compact/1") { json in
          json.object("before") { CompactCommand.append(before, to: &$0) }
          json.object("after") { CompactCommand.append(after, to: &$0) }
        })
      return try report.finish()
    }
    global.console.note(
      "compacted \(Numbers.counted(before.tableCount, "table")),"
        + " \(Numbers.byteText(before.tableByteCount)) -> \(Numbers.grouped(after.tableCount))"
        + " tables, \(Numbers.byteText(after.tableByteCount))")
  }

  private static func append(_ statistics: Statistics, to json: inout JSONWriter) {
    json.member("tables", statistics.tableCount)
    json.member("table_bytes", statistics.tableByteCount)
    json.member("keys_estimate", statistics.keyEstimate)
  }
}
