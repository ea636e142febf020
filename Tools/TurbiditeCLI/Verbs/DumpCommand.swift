// DumpCommand — all records of a keyspace as a stream that `load` reads back.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite dump DIR`.
struct DumpCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "dump", abstract: "Write all records of a keyspace to standard output.",
    discussion: """
      All forms are loss-free for any bytes. Only raw shows by itself that it was cut or damaged \
      on its way; after ndjson and tsv look at this command's exit status. A dump holds one \
      keyspace, and not its name.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Option(name: .customLong("as"), help: "The form (default: ndjson).") var form: RecordFormat?
  @OptionGroup var range: RangeOptions
  @OptionGroup var keyspace: KeyspaceOptions
  @OptionGroup var spelling: SpellingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if spelling.hex { throw ValidationError("a dump is text or base64: --hex is for scan") }
    if spelling.base64, chosenForm != .ndjson {
      throw ValidationError("--base64 is for --as ndjson")
    }
  }

  /// `--as`, else what `--json` or `--format` say.
  private var chosenForm: RecordFormat {
    if let form { return form }
    return global.chosenFormat == .tsv ? .tsv : .ndjson
  }

  func run() throws {
    let form = chosenForm
    if form == .raw, Descriptor.output.isTerminal {
      throw CommandFailure.usage(
        "a raw dump is not for a terminal", remedy: "redirect it to a file or into a pipe")
    }
    let bounds = try range.bounds(spelling)
    let output = Output.standard()
    try withReadOnlyStore(at: directory) { store in
      // The estimate is of the whole store: a total for the default keyspace without bounds alone.
      let isWhole = keyspace.keyspace == nil && !range.isGiven
      let estimate = isWhole ? try store.blocking.statistics().keyEstimate : nil
      var progress = global.makeProgress("dump", total: estimate)
      try output.finishing { try dump(store, bounds, as: form, to: output, &progress) }
      progress.clear()
    }
  }

  private func dump(
    _ store: Store, _ bounds: KeyBounds, as form: RecordFormat, to output: Output,
    _ progress: inout Progress
  ) throws {
    let space = try keyspace.existing(in: store)
    var raw = form == .raw ? try RawWriter(output) : nil
    var count: UInt64 = 0
    if !bounds.isEmpty {
      let scan = try store.blocking.scan(bounds.range, in: space)
      while let entry = try scan.next() {
        let record = Record(key: entry.key.array, value: entry.value.array)
        try write(record, as: form, raw: &raw, to: output)
        count += 1
        if count & 1023 == 0 {
          progress.update(records: count, bytes: output.byteCount, position: count)
        }
        try Signals.check()
      }
    }
    try raw?.finish()
    global.console.detail(
      "dumped \(Numbers.counted(count, "record")), \(Numbers.byteText(output.byteCount))")
  }

  private func write(
    _ record: Record, as form: RecordFormat, raw: inout RawWriter?, to output: Output
  ) throws(CommandFailure) {
    switch form {
    case .raw: try raw?.write(record)
    case .ndjson:
      let isBase64 = spelling.base64
      try output.append { ObjectLine.append(record, alwaysBase64: isBase64, to: &$0) }
    case .tsv:
      let encoding = spelling.encoding
      try output.append { TabSeparated.append(record, encoding: encoding, to: &$0) }
    }
  }
}
