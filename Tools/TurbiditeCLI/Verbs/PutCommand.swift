// PutCommand — one key and its value.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite put DIR KEY [VALUE|-]`.
struct PutCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "put", abstract: "Set the value of a key.",
    discussion: """
      Without a value, or with -, the value is everything on standard input, byte for byte, \
      whatever --hex or --base64 say of the key. A value that is a single minus is written \\x2d.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The key; bytes that are not printable are written \\xNN.") var key: String
  @Argument(help: "The value; - for standard input.") var value: String?
  @OptionGroup var writing: WritingOptions
  @OptionGroup var keyspace: KeyspaceOptions
  @OptionGroup var spelling: SpellingOptions
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let record = Record(key: try spelling.key(key), value: try givenValue())
    if let objection = RecordLimits.objection(to: record) { throw CommandFailure.usage(objection) }
    try withStore(at: directory, mode: writing.mode, options: writing.options) { store in
      try store.blocking.put(
        Bytes(record.key), Bytes(record.value), in: try writing.keyspace(keyspace, in: store),
        durability: writing.durability)
    }
  }

  private func givenValue() throws(CommandFailure) -> [UInt8] {
    if let value, value != "-" { return try spelling.bytes(value, "value") }
    var bytes: [UInt8] = []
    // One byte over the limit is enough to know that it is over.
    _ = try Input.open("-").take(RecordLimits.valueByteCount + 1, to: &bytes)
    return bytes
  }
}
