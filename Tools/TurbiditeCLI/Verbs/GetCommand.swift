// GetCommand — the value of one key.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite get DIR KEY`.
struct GetCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "get", abstract: "Print the value of a key.",
    discussion: """
      The value is printed with escapes and a newline; --raw prints its bytes and nothing else. \
      The exit status is 1 when the key is absent.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The key; bytes that are not printable are written \\xNN.") var key: String
  @Flag(help: "The value's bytes as they are, without a newline.") var raw = false
  @OptionGroup var keyspace: KeyspaceOptions
  @OptionGroup var spelling: SpellingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if raw, global.chosenFormat != nil { throw ValidationError("--raw has no other form") }
  }

  func run() throws {
    let key = try spelling.key(key)
    let value = try withReadOnlyStore(at: directory) { store in
      try store.blocking.get(Bytes(key), in: try keyspace.existing(in: store))
    }
    guard let value else {
      throw CommandFailure.absent(
        "the key \(Escapes.text(key, alphabet: .utf8)) is not in \(directory)")
    }
    let output = Output.standard()
    try write(Record(key: key, value: value.array), to: output)
    try output.flush()
  }

  private func write(_ record: Record, to output: Output) throws(CommandFailure) {
    if raw { return try output.write(record.value) }
    switch global.reportFormat {
    case .text, .tsv:
      try output.append { text in
        spelling.encoding.append(record.value, to: &text)
        text.append(0x0a)
      }
    case .json:
      let isBase64 = spelling.base64
      try output.write(
        JSONWriter.document("entry/1") { json in
          json.bytes("key", record.key, alwaysBase64: isBase64)
          json.bytes("value", record.value, alwaysBase64: isBase64)
        })
    }
  }
}
