// ObjectLine — a line a record: a JSON object with a key and a value.
//
// Room:    Tools/TurbiditeCLI.
// Source:  RFC 8259 for the object, NDJSON 1.0 for the lines (section 3.2: an empty line is passed
//          over).
// Limits:  The members are `key` or `key_b64`, and `value` or `value_b64`, each once, in any order,
//          and are strings; anything else is an error, so that nothing is dropped in silence.

/// Records as lines of NDJSON.
enum ObjectLine {
  /// Appends the line of a record: text where the bytes are UTF-8, base64 where not.
  static func append(_ record: Record, alwaysBase64: Bool, to text: inout [UInt8]) {
    text.append(0x7b)
    JSONWriter.appendBytes("key", record.key, alwaysBase64: alwaysBase64, to: &text)
    text.append(0x2c)
    JSONWriter.appendBytes("value", record.value, alwaysBase64: alwaysBase64, to: &text)
    text.append(contentsOf: [0x7d, 0x0a])
  }

  /// Appends the line of a key without its value.
  static func append(key: [UInt8], alwaysBase64: Bool, to text: inout [UInt8]) {
    text.append(0x7b)
    JSONWriter.appendBytes("key", key, alwaysBase64: alwaysBase64, to: &text)
    text.append(contentsOf: [0x7d, 0x0a])
  }

  /// The record of the line in `range`; nil for a line of white space.
  static func parse(_ source: [UInt8], _ range: Range<Int>) throws(BadRecord) -> Record? {
    var reader = ObjectReader(source, range)
    guard !reader.isBlank else { return nil }
    var key: [UInt8]?
    var value: [UInt8]?
    try reader.open()
    while let column = try reader.nextMember() {
      let name = try reader.string()
      try reader.colon()
      let at = reader.column
      let text = try reader.string()
      switch String(decoding: name, as: UTF8.self) {
      case "key" where key == nil: key = text
      case "key_b64" where key == nil: key = try bytes(text, at: at)
      case "value" where value == nil: value = text
      case "value_b64" where value == nil: value = try bytes(text, at: at)
      case "key", "key_b64", "value", "value_b64":
        throw BadRecord(column: column, reason: "a second key or value")
      default:
        throw BadRecord(
          column: column, reason: "a member other than key, key_b64, value and value_b64")
      }
    }
    try reader.finish()
    guard let key else { throw BadRecord(column: range.count, reason: "no key in the object") }
    guard let value else { throw BadRecord(column: range.count, reason: "no value in the object") }
    return Record(key: key, value: value)
  }

  private static func bytes(_ text: [UInt8], at column: Int) throws(BadRecord) -> [UInt8] {
    do throws(BadRecord) {
      return try Digits.decodeBase64(text)
    } catch {
      // The place within the string plus the quote before it.
      throw BadRecord(column: column + error.column, reason: error.reason)
    }
  }
}
