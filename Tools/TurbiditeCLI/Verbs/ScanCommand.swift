// ScanCommand — keys and values in order.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite scan DIR`.
struct ScanCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "scan", abstract: "Print keys and values in key order.",
    discussion: """
      A line holds key, tab, value, with escapes; --json gives an object a line. What is printed \
      is one state of the store, however long it takes.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var range: RangeOptions
  @Flag(help: "From the last key to the first.") var reverse = false
  @Option(help: ArgumentHelp("Stop after so many.", valueName: "count")) var limit: Int?
  @Flag(help: "Keys alone.") var keysOnly = false
  @Flag(help: "Only say how many there are.") var count = false
  @OptionGroup var keyspace: KeyspaceOptions
  @OptionGroup var spelling: SpellingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if let limit, limit < 0 { throw ValidationError("--limit takes 0 or more, not \(limit)") }
    if global.reportFormat == .json, spelling.hex {
      throw ValidationError("JSON has text or base64; --hex is for text and TSV")
    }
  }

  func run() throws {
    let bounds = try range.bounds(spelling)
    let output = Output.standard()
    try withReadOnlyStore(at: directory) { store in
      try output.finishing { try scan(store, bounds, to: output) }
    }
  }

  private func scan(_ store: Store, _ bounds: KeyBounds, to output: Output) throws {
    let space = try keyspace.existing(in: store)
    var seen: UInt64 = 0
    if !bounds.isEmpty {
      let scan = try store.blocking.scan(
        bounds.range, in: space, reverse: reverse, limit: limit, keysOnly: keysOnly || count)
      while let entry = try scan.next() {
        seen += 1
        if !count { try write(entry.key.array, entry.value.array, to: output) }
        try Signals.check()
      }
    }
    if count { try writeCount(seen, to: output) }
  }

  private func write(_ key: [UInt8], _ value: [UInt8], to output: Output) throws(CommandFailure) {
    let encoding = spelling.encoding
    let isBase64 = spelling.base64
    try output.append { text in
      switch (global.reportFormat, keysOnly) {
      case (.json, true): ObjectLine.append(key: key, alwaysBase64: isBase64, to: &text)
      case (.json, false):
        ObjectLine.append(Record(key: key, value: value), alwaysBase64: isBase64, to: &text)
      case (_, true):
        encoding.append(key, to: &text)
        text.append(0x0a)
      case (_, false):
        TabSeparated.append(Record(key: key, value: value), encoding: encoding, to: &text)
      }
    }
  }

  private func writeCount(_ count: UInt64, to output: Output) throws(CommandFailure) {
    if global.reportFormat == .json {
      try output.write(JSONWriter.document("count/1") { $0.member("count", count) })
    } else {
      try output.write("\(count)\n")
    }
  }
}
