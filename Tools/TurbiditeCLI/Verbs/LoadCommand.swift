// LoadCommand — records from a file or a pipe into a store.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite load DIR FILE`.
struct LoadCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Put the records of a file into a store.",
    discussion: """
      Raw is recognised by its first bytes; otherwise a brace means NDJSON and anything else TSV, \
      unless --as says. Records are written in batches of about 256 KiB. When a record cannot be \
      read, when the input ends within one, or when a signal asks for an end, all records before \
      it stay in the store, and the message says how many; loading again from there, or from the \
      start, is safe. The store is durable when the command has ended with status 0.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The file; - for standard input.") var file: String
  @Option(name: .customLong("as"), help: "The form; without it, as the first bytes look.")
  var form: RecordFormat?
  @Option(
    help: ArgumentHelp(
      "Set lines that cannot be read aside in this new file, and go on.", valueName: "file"))
  var skipBad: String?
  @OptionGroup var writing: WritingOptions
  @OptionGroup var keyspace: KeyspaceOptions
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let input = try Input.open(file)
    // The form first: an input that is none must not leave a new, empty store behind.
    let reader = try RecordReader(input, format: form)
    if reader.format == .raw, skipBad != nil {
      throw CommandFailure.usage("a raw dump has no lines to set aside: leave --skip-bad out")
    }
    let aside = try skipBad.map(BadLines.init)
    let progress = global.makeProgress("load", total: input.descriptor.regularByteCount)
    let result = try withStore(at: directory, mode: writing.mode, options: writing.options) {
      store in
      var loader = Loader(
        store: store, keyspace: try writing.keyspace(keyspace, in: store),
        durability: writing.durability, aside: aside, progress: progress)
      do {
        try loader.load(reader, input)
      } catch {
        loader.progress.clear()
        let loaded = "\(Numbers.counted(loader.records, "record")) loaded"
        let isInterrupted = error as? CommandFailure == .interrupted
        global.console.emit(
          "turbidite: \(isInterrupted ? "interrupted; " : "")\(loaded) before this")
        throw error
      }
      loader.progress.clear()
      return loader.result
    }
    try aside?.close()
    try input.close()
    try report(result)
  }

  private func report(_ result: Loader.Result) throws(CommandFailure) {
    if global.reportFormat == .json {
      let output = Output.standard()
      try output.write(
        JSONWriter.document("load/1") { json in
          json.member("records", result.records)
          json.member("bytes", result.bytes)
          json.member("skipped", result.skipped)
        })
      return try output.flush()
    }
    var line = "loaded \(Numbers.counted(result.records, "record"))"
    line += " (\(Numbers.byteText(result.bytes))) in \(Numbers.elapsed(result.elapsed))"
    if let skipBad, result.skipped > 0 {
      line += "; \(Numbers.counted(result.skipped, "line")) set aside in \(skipBad)"
    }
    global.console.note(line)
  }
}
