// VerifyCommand — a store's files held against each other.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite verify DIR`.
struct VerifyCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Check every file of a store, and name what is damaged.",
    discussion: """
      Writes nothing, and works on a copy, a read-only disk and beside a live writer. Without \
      --deep the data blocks of tables are not read: a bit that flipped in one of them is found \
      by --deep alone. Findings are shown as they are made, with --json an object a line. The \
      exit status is 76 when something is damaged; notes alone leave it 0.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Flag(help: "Read every block and every entry.") var deep = false
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let report = Report(global)
    var progress = global.makeProgress("verify", total: 1)
    progress.noun = "file"
    if global.reportFormat == .tsv {
      try report.write(VerifyCommand.columns.joined(separator: "\t") + "\n")
    }
    var failure: CommandFailure?
    let result: Verification
    do throws(StoreError) {
      result = try verify(storeAt: directory, deep: deep) { event throws(StoreError) in
        do throws(CommandFailure) {
          try tell(event, to: report, &progress)
        } catch {
          failure = error
          throw .cancelled
        }
      }
    } catch {
      progress.clear()
      if let failure { throw failure }
      throw error
    }
    progress.clear()
    try summarize(result, to: report)
  }

  private func tell(
    _ event: VerificationEvent, to report: Report, _ progress: inout Progress
  ) throws(CommandFailure) {
    try Signals.check()
    switch event {
    case .progress(let state):
      progress.total = state.totalByteCount
      progress.update(
        records: UInt64(state.fileCount), bytes: state.byteCount, position: state.byteCount)
    case .finding(let finding):
      progress.clear()
      switch global.reportFormat {
      case .json: try report.write(VerifyCommand.json(finding))
      case .tsv: try report.write(VerifyCommand.row(finding) + "\n")
      case .text:
        for line in VerifyCommand.lines(finding, style: global.style) {
          try report.write(line + "\n")
        }
      }
      // A finding is shown when it is made: the rest may take hours.
      try report.finish()
    }
  }

  private func summarize(_ result: Verification, to report: Report) throws(CommandFailure) {
    if global.reportFormat == .json { try report.write(json(result)) }
    try report.finish()
    let what = Numbers.counted(result.fileCount, "file")
    let notes = result.noteCount > 0 ? ", \(Numbers.counted(result.noteCount, "note"))" : ""
    guard !result.isClean else {
      let read = deep ? ", \(Numbers.grouped(result.entryCount)) entries read" : ""
      let rest = deep ? "" : "; the data blocks were not read, --deep does"
      global.console.note(
        "no damage in \(what), \(Numbers.byteText(result.byteCount))\(read)\(notes)\(rest)")
      return
    }
    throw .stated(
      Statement(
        status: ExitStatus.corruption,
        what: "\(Numbers.counted(result.damageCount, "damaged place"))"
          + " in \(Numbers.grouped(result.damagedFileCount)) of \(what)\(notes)",
        place: directory,
        remedy: "copy the directory before anything else; then turbidite repair \(directory)"
          + " --into NEW --plan"))
  }

  // MARK: - A finding

  static func lines(_ finding: Verification.Finding, style: Style) -> [String] {
    let word = finding.severity == .damage ? style.alarming("DAMAGE") : style.faint("note  ")
    var place = "\(Escapes.visible(finding.file))  offset \(finding.offset)"
    if let byteCount = finding.byteCount { place += ", \(byteCount) bytes" }
    var lines = ["\(word)  \(place): \(Escapes.visible(finding.finding))"]
    if let keys = finding.keys {
      let space = keys.keyspace.isEmpty ? "" : " of keyspace \(Escapes.visible(keys.keyspace))"
      lines.append("        keys\(space) from \(text(keys.first)) to \(text(keys.last))")
    }
    return lines
  }

  /// A key between quotes, cut after 64 bytes.
  static func text(_ key: Bytes) -> String {
    let bytes = key.array
    let shown = Escapes.text(Array(bytes.prefix(64)), alphabet: .ascii)
    return "\"\(shown)\"" + (bytes.count > 64 ? "… (\(bytes.count) bytes)" : "")
  }

  private static let columns = [
    "severity", "file", "offset", "bytes", "finding", "keyspace", "first_key", "last_key",
  ]

  /// A finding as a line under ``columns``.
  static func row(_ finding: Verification.Finding) -> String {
    let cells: [[UInt8]] = [
      Array(finding.severity.rawValue.utf8), Array(finding.file.utf8),
      Array("\(finding.offset)".utf8), Array((finding.byteCount.map { "\($0)" } ?? "").utf8),
      Array(finding.finding.utf8), Array((finding.keys?.keyspace ?? "").utf8),
      finding.keys?.first.array ?? [], finding.keys?.last.array ?? [],
    ]
    return cells.map { Escapes.text($0, alphabet: .utf8) }.joined(separator: "\t")
  }

  static func json(_ finding: Verification.Finding) -> [UInt8] {
    JSONWriter.document("finding/1") { json in
      json.member("severity", finding.severity.rawValue)
      json.member("file", finding.file)
      json.member("offset", finding.offset)
      if let byteCount = finding.byteCount { json.member("bytes", byteCount) }
      json.member("finding", finding.finding)
      if let keys = finding.keys {
        json.object("keys") { json in
          json.member("keyspace", keys.keyspace)
          json.bytes("first", keys.first.array)
          json.bytes("last", keys.last.array)
        }
      }
    }
  }

  private func json(_ result: Verification) -> [UInt8] {
    JSONWriter.document("verify/1") { json in
      json.member("path", directory)
      json.member("deep", deep)
      json.member("clean", result.isClean)
      json.member("damage", result.damageCount)
      json.member("notes", result.noteCount)
      json.member("damaged_files", result.damagedFileCount)
      json.member("files", result.fileCount)
      json.member("tables", result.tableCount)
      json.member("log_segments", result.segmentCount)
      json.member("entries", result.entryCount)
      json.member("bytes", result.byteCount)
    }
  }
}
