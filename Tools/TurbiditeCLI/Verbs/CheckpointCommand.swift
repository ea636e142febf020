// CheckpointCommand — a second store out of the first.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite checkpoint DIR --into NEW`.
struct CheckpointCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint", abstract: "Make a second store that holds what this one does now.",
    discussion: """
      On one disk the two share their tables by hard links, so that it takes no room and hardly \
      any time; onto another disk everything is copied. The checkpoint can be opened, verified, \
      written and copied away like any store; neither ever changes the other. It appears whole or \
      not at all. The store itself is only read, and another process may be writing it: the \
      checkpoint holds every commit that had returned there. A signal is answered when the \
      checkpoint is whole; a second one ends the command at once and leaves .NAME.checkpoint \
      beside it, which the next attempt clears.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Option(help: ArgumentHelp("The directory to make.", valueName: "dir")) var into: String
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let checkpoint = try Turbidite.checkpoint(storeAt: directory, into: into)
    if global.reportFormat == .json {
      let report = Report(global)
      try report.write(
        JSONWriter.document("checkpoint/1") { json in
          json.member("path", into)
          json.member("files", checkpoint.fileCount)
          json.member("linked_bytes", checkpoint.linkedByteCount)
          json.member("copied_bytes", checkpoint.copiedByteCount)
          json.member("last_sequence", checkpoint.lastSequence)
        })
      return try report.finish()
    }
    global.console.note(
      "checkpoint \(into): \(Numbers.counted(checkpoint.fileCount, "file")),"
        + " \(Numbers.byteText(checkpoint.linkedByteCount)) linked,"
        + " \(Numbers.byteText(checkpoint.copiedByteCount)) copied")
  }
}
