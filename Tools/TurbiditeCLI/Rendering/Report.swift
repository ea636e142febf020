// Report — what a verb prints on standard output, in the form that was asked for.
//
// Room:    Tools/TurbiditeCLI.

/// Standard output with the global flags' form and colours.
struct Report {
  private let output = Output.standard()
  private let global: GlobalOptions

  init(_ global: GlobalOptions) { self.global = global }

  /// Adds bytes.
  func write(_ bytes: [UInt8]) throws(CommandFailure) { try output.write(bytes) }

  /// Adds text.
  func write(_ text: String) throws(CommandFailure) { try output.write(text) }

  /// Adds a table, aligned or as TSV.
  func write(_ table: Table) throws(CommandFailure) {
    let lines =
      global.reportFormat == .tsv ? table.tabSeparated() : table.lines(style: global.style)
    for line in lines { try output.write(line + "\n") }
  }

  /// Adds a heading above a table; TSV has none.
  func heading(_ text: String) throws(CommandFailure) {
    if global.reportFormat == .text { try output.write(global.style.strong(text) + "\n") }
  }

  /// Ends the report.
  func finish() throws(CommandFailure) { try output.flush() }
}
