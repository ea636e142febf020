// RepairCommand — a new store out of what is intact of a damaged one.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite repair DIR --into NEW`.
struct RepairCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "repair", abstract: "Make a new store out of what is intact of a damaged one.",
    discussion: """
      Says first, file by file, what can be saved and what is lost; --plan stops there. Then \
      builds the new store, which appears whole or not at all; the damaged one is only read. \
      Nothing that was deleted comes back by a lost place of a table: where that may have held a \
      deletion, older versions of the keys there are left out. How many, and how many keys are \
      saved, only the repair itself counts. A lost commit of the log does not say which keys it \
      changed: their older values may show, also of keys that it deleted. An interrupt ends the \
      command with nothing made; what a kill leaves, .NAME.repair, the next attempt clears. \
      Without a manifest, tables and log speak for themselves: keyspaces and streams are named by \
      their numbers, as keyspace-1; a stream of which no table is there is a map of its entries; \
      what was dropped may be back, and nothing tells whether a table, or the newest segment of \
      the log, is missing as well, and keys that it deleted are back; a store whose shards came \
      and went has one. The exit status is 76 when anything is lost or no manifest tells, and 0 \
      when all is saved.
      """)

  @Argument(help: "The damaged store's directory.") var directory: String
  @Option(help: ArgumentHelp("The directory to make.", valueName: "dir")) var into: String?
  @Flag(help: "Say what would be saved and lost, and write nothing.") var plan = false
  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if !plan && into == nil {
      throw ValidationError("--into names the store to make; --plan only says what it would hold")
    }
  }

  func run() throws {
    var progress = global.makeProgress("repair", total: 1)
    progress.noun = "byte"
    let planned = try watched(&progress) { report throws(StoreError) in
      try planRepair(storeAt: directory, progress: report)
    }
    progress.clear()
    try show(planned)
    var result = planned
    if !plan, let into {
      result = try watched(&progress) { report throws(StoreError) in
        try repair(storeAt: directory, into: into, progress: report)
      }
      progress.clear()
    }
    try summarize(result)
  }

  /// Runs a part of the work, showing how far it is and minding signals.
  private func watched(
    _ progress: inout Progress,
    _ body: (@escaping (UInt64, UInt64) throws(StoreError) -> Void) throws(StoreError) -> Repair
  ) throws -> Repair {
    let watch = Watch(progress)
    do throws(StoreError) {
      return try body { done, total throws(StoreError) in try watch.note(done, total) }
    } catch {
      progress.clear()
      if let failure = watch.failure { throw failure }
      throw error
    }
  }

  /// Progress that an escaping closure can change.
  private final class Watch {
    private var progress: Progress
    private(set) var failure: CommandFailure?

    init(_ progress: Progress) { self.progress = progress }

    func note(_ done: UInt64, _ total: UInt64) throws(StoreError) {
      do throws(CommandFailure) { try Signals.check() } catch {
        failure = error
        throw .cancelled
      }
      progress.total = total
      progress.update(records: done, bytes: done, position: min(done, total))
    }
  }

  // MARK: - What is found

  private func show(_ repair: Repair) throws(CommandFailure) {
    let report = Report(global)
    switch global.reportFormat {
    case .json: try report.write(json(repair))
    case .tsv:
      try report.write("file\tfate\tentries\tlost_entries\toffset\tbytes\tfinding\n")
      for file in repair.files { try report.write(rows(file)) }
    case .text:
      for file in repair.files {
        for line in lines(file) { try report.write(line + "\n") }
      }
    }
    try report.finish()
  }

  private func lines(_ file: Repair.File) -> [String] {
    let word: String =
      switch file.fate {
      case .whole: "whole "
      case .partly: global.style.alarming("PARTLY")
      case .lost: global.style.alarming("LOST  ")
      case .unused: global.style.faint("unused")
      }
    var text = "\(word)  \(Escapes.visible(file.path))"
    if file.entryCount > 0 { text += "  \(Numbers.grouped(file.entryCount)) entries" }
    if let lost = file.lostEntryCount, lost > 0 { text += ", \(Numbers.grouped(lost)) lost" }
    if !file.note.isEmpty { text += "  \(Escapes.visible(file.note))" }
    return [text] + file.losses.map { "        lost: \(place($0))" }
      + file.rebuilt.map { "        made anew: \(place($0))" }
  }

  private func place(_ loss: Repair.Loss) -> String {
    var text = "offset \(loss.offset)"
    if let byteCount = loss.byteCount { text += ", \(byteCount) bytes" }
    text += ": \(Escapes.visible(loss.finding))"
    if loss.firstKey != nil || loss.lastKey != nil {
      let first = loss.firstKey.map(VerifyCommand.text) ?? "the first"
      let last = loss.lastKey.map(VerifyCommand.text) ?? "the last"
      text += "; keys from \(first) to \(last)"
    }
    return text
  }

  private func rows(_ file: Repair.File) -> String {
    let start = [
      Array(file.path.utf8), Array(file.fate.rawValue.utf8), Array("\(file.entryCount)".utf8),
      Array((file.lostEntryCount.map { "\($0)" } ?? "").utf8),
    ]
    var ends: [[[UInt8]]] = file.losses.map {
      [
        Array("\($0.offset)".utf8), Array(($0.byteCount.map { "\($0)" } ?? "").utf8),
        Array($0.finding.utf8),
      ]
    }
    if ends.isEmpty { ends = [[[], [], Array(file.note.utf8)]] }
    return ends.map { end in
      (start + end).map { Escapes.text($0, alphabet: .utf8) }.joined(separator: "\t") + "\n"
    }.joined()
  }

  private func json(_ repair: Repair) -> [UInt8] {
    JSONWriter.document("repair/1") { json in
      json.member("path", directory)
      if let trouble = repair.manifestTrouble { json.member("manifest", trouble) }
      json.member("complete", repair.isComplete)
      json.member("shards", repair.shardCount)
      json.array("keyspaces") { json in
        for name in repair.keyspaces { json.element(name) }
      }
      writeDoubts(repair, &json)
      json.array("files") { json in
        for file in repair.files {
          json.object { json in
            json.member("file", file.path)
            json.member("fate", file.fate.rawValue)
            json.member("entries", file.entryCount)
            if let lost = file.lostEntryCount { json.member("lost_entries", lost) }
            if !file.note.isEmpty { json.member("note", file.note) }
            write(file.losses, "losses", &json)
            write(file.rebuilt, "rebuilt", &json)
          }
        }
      }
    }
  }

  private func showResult(_ repair: Repair, _ into: String) throws(CommandFailure) {
    let report = Report(global)
    try report.write(
      JSONWriter.document("repaired/1") { json in
        json.member("path", into)
        json.member("complete", repair.isComplete)
        json.member("entries", repair.savedEntryCount)
        json.member("bytes", repair.savedByteCount)
        json.member("withheld_entries", repair.withheldEntryCount)
        json.member("moved_cursors", repair.movedCursorCount)
        writeDoubts(repair, &json)
      })
    try report.finish()
  }

  /// What may show although it was changed, deleted or dropped.
  private func writeDoubts(_ repair: Repair, _ json: inout JSONWriter) {
    json.array("uncertain_keyspaces") { json in
      for name in repair.uncertainKeyspaces { json.element(name) }
    }
    json.member("commits_lost", repair.areCommitsLost)
    json.member("torn_tail", repair.hasTornTail)
    json.array("lost_sequences") { json in
      for range in repair.lostSequences {
        json.object { json in
          json.member("first", range.lowerBound)
          json.member("last", range.upperBound - 1)
        }
      }
    }
  }

  private func write(_ losses: [Repair.Loss], _ name: String, _ json: inout JSONWriter) {
    json.array(name) { json in
      for loss in losses {
        json.object { json in
          json.member("offset", loss.offset)
          if let byteCount = loss.byteCount { json.member("bytes", byteCount) }
          json.member("finding", loss.finding)
          if let key = loss.firstKey { json.bytes("first_key", key.array) }
          if let key = loss.lastKey { json.bytes("last_key", key.array) }
        }
      }
    }
  }

  // MARK: - The end

  private func summarize(_ repair: Repair) throws {
    if !plan, let into {
      if global.reportFormat == .json { try showResult(repair, into) }
      global.console.note(
        "new store \(into): \(Numbers.grouped(repair.savedEntryCount)) keys,"
          + " \(Numbers.byteText(repair.savedByteCount)) of tables")
    }
    if let trouble = repair.manifestTrouble {
      global.console.note("the manifest could not guide the repair: \(trouble)")
    }
    if !repair.uncertainKeyspaces.isEmpty {
      global.console.note(
        "without a manifest nothing tells whether keyspaces were dropped, nor, unless an older one"
          + " does, their names, or that one without tables was a stream; these may be back: "
          + repair.uncertainKeyspaces.map(Escapes.visible).joined(separator: ", "))
    }
    if repair.movedCursorCount > 0 {
      global.console.note(
        "\(Numbers.counted(repair.movedCursorCount, "cursor")) stood behind the last event that is"
          + " left of a partition, and stands at its end now")
    }
    if repair.hasTornTail {
      global.console.note(
        "the log ends in bytes that are no commit: one that was being written, or the last ones,"
          + " damaged since; nothing tells which")
    }
    guard !repair.isComplete else {
      return global.console.note(
        plan
          ? "everything that is known of can be saved"
          : "everything that is known of is saved; verify it with turbidite verify")
    }
    let saved = plan ? "can be saved" : "is saved"
    let harmed = repair.files.filter { $0.fate == .partly || $0.fate == .lost }
    var what =
      harmed.isEmpty && repair.withheldEntryCount == 0
      ? "everything that is there \(saved)" : "not everything \(saved)"
    if !harmed.isEmpty {
      what += ": \(Numbers.counted(harmed.count, "file")) with losses"
    }
    if repair.manifestTrouble != nil {
      what += "; if a table is missing as well, nothing tells, and keys that it deleted are back"
    }
    if plan {
      what += "; the repair counts the keys that it saves and the older versions that it leaves out"
    } else if repair.withheldEntryCount > 0 {
      what +=
        "; \(Numbers.counted(Int(clamping: repair.withheldEntryCount), "older version")) left out,"
        + " since what was lost may have deleted them"
    }
    if repair.areCommitsLost {
      let numbers = repair.lostSequences.map { " \($0.lowerBound) to \($0.upperBound - 1)" }
      what +=
        "; commits\(numbers.joined(separator: ",")) are lost: older values of the keys they changed"
        + " may show"
    }
    throw CommandFailure.stated(
      Statement(
        status: ExitStatus.corruption, what: what, place: directory,
        remedy: plan
          ? "turbidite repair \(directory) --into NEW saves what is intact"
          : "keep \(directory) until you have looked at the new store"))
  }
}
