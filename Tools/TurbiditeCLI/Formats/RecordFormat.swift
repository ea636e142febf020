// RecordFormat — the three ways in which records leave a store and come back.
//
// Room:    Tools/TurbiditeCLI.

/// The form of a stream of records.
enum RecordFormat: String, Sendable, CaseIterable {
  /// One JSON object a line.
  case ndjson
  /// Key, tab, value, newline, with C's escapes.
  case tsv
  /// Bytes with lengths and checksums.
  case raw

  /// What a byte of a key or value takes at most in a line: `\xNN`, or `\u00NN`.
  var escapeByteCount: Int {
    switch self {
    case .ndjson: 6
    case .tsv: 4
    case .raw: 1
    }
  }
}

/// A key and its value.
struct Record: Sendable, Hashable {
  var key: [UInt8]
  var value: [UInt8]
}

/// How keys and values are written where the form leaves a choice.
enum Encoding: Sendable, Hashable {
  /// Printable ASCII, and `\xNN` for the rest.
  case escaped
  /// Printable Unicode, and `\xNN` for the rest.
  case utf8
  /// Two digits a byte.
  case hexadecimal
  /// RFC 4648.
  case base64

  /// Appends `bytes` in this encoding.
  func append(_ bytes: [UInt8], to text: inout [UInt8]) {
    switch self {
    case .escaped: Escapes.append(bytes, to: &text, alphabet: .ascii)
    case .utf8: Escapes.append(bytes, to: &text, alphabet: .utf8)
    case .hexadecimal: Digits.appendHexadecimal(bytes, to: &text)
    case .base64: Digits.appendBase64(bytes, to: &text)
    }
  }

  /// The bytes that a text from the command line stands for.
  func decode(_ text: String) throws(BadRecord) -> [UInt8] {
    switch self {
    case .escaped, .utf8: try Escapes.decode(text)
    case .hexadecimal: try Digits.decodeHexadecimal(Array(text.utf8))
    case .base64: try Digits.decodeBase64(Array(text.utf8))
    }
  }
}

/// What a store takes.
///
/// Checked before a batch, so that the error can name the line.
enum RecordLimits {
  /// The longest key in bytes.
  static let keyByteCount = 64 << 10
  /// The longest value in bytes.
  static let valueByteCount = 64 << 20

  /// What is wrong with a record, or nil.
  static func objection(to record: Record) -> String? {
    if record.key.isEmpty { return "an empty key" }
    if record.key.count > keyByteCount {
      return "a key of \(record.key.count) bytes; the limit is \(keyByteCount)"
    }
    if record.value.count > valueByteCount {
      return "a value of \(record.value.count) bytes; the limit is \(valueByteCount)"
    }
    return nil
  }
}
