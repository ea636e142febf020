// Escapes — any bytes as printable text, and back.
//
// Room:    Tools/TurbiditeCLI.
// Source:  ISO C 6.4.4.4 with one difference: `\x` takes exactly two digits, so that what follows
//          is never swallowed.
// Limits:  `\t \n \r \\ \xNN` are written; `\a \b \f \v \e` are read too; any other is an error.

/// A record of text that cannot be read: where in the line, and why.
struct BadRecord: Error, Sendable, Hashable {
  /// The byte within the line, from 1.
  var column: Int
  /// What is wrong.
  var reason: String
}

/// C's escapes for bytes.
enum Escapes {
  /// Which bytes stay as they are.
  enum Alphabet: Sendable, Hashable {
    /// Printable ASCII.
    case ascii
    /// Printable Unicode in well-formed UTF-8.
    case utf8
  }

  /// Appends `bytes` with escapes.
  ///
  /// Both alphabets lose nothing.
  static func append(_ bytes: [UInt8], to text: inout [UInt8], alphabet: Alphabet) {
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case 0x5c: text.append(contentsOf: [0x5c, 0x5c])
      case 0x09: text.append(contentsOf: [0x5c, 0x74])
      case 0x0a: text.append(contentsOf: [0x5c, 0x6e])
      case 0x0d: text.append(contentsOf: [0x5c, 0x72])
      case 0x20...0x7e: text.append(byte)
      default:
        if alphabet == .utf8, byte >= 0x80,
          let scalar = Scalars.scalar(in: bytes, at: index, to: bytes.count),
          Scalars.isPrintable(scalar.value)
        {
          text.append(contentsOf: bytes[index..<index + scalar.length])
          index += scalar.length
          continue
        }
        text.append(contentsOf: [0x5c, 0x78, Digits.hexadecimal[Int(byte >> 4)]])
        text.append(Digits.hexadecimal[Int(byte & 15)])
      }
      index += 1
    }
  }

  /// `bytes` with escapes.
  static func text(_ bytes: [UInt8], alphabet: Alphabet) -> String {
    var text: [UInt8] = []
    append(bytes, to: &text, alphabet: alphabet)
    return String(decoding: text, as: UTF8.self)
  }

  /// Text from elsewhere made safe to show: printable characters stay, backslashes too.
  static func visible(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      if Scalars.isPrintable(scalar.value) {
        result.unicodeScalars.append(scalar)
      } else {
        for byte in String(scalar).utf8 { result += "\\x" + Numbers.hexadecimal(byte, width: 2) }
      }
    }
    return result
  }

  /// The bytes that the text in `range` of `source` stands for.
  ///
  /// - Parameter lineStart: Where the line starts, for the column of an error.
  static func decode(
    _ source: [UInt8], _ range: Range<Int>, lineStart: Int
  ) throws(BadRecord)
    -> [UInt8]
  {
    guard var next = firstIndex(of: 0x5c, in: source, from: range.lowerBound, to: range.upperBound)
    else { return Array(source[range]) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(range.count)
    var index = range.lowerBound
    while true {
      bytes.append(contentsOf: source[index..<next])
      let escape = try decodeOne(source, at: next, to: range.upperBound, lineStart: lineStart)
      bytes.append(escape.byte)
      index = next + escape.length
      guard let following = firstIndex(of: 0x5c, in: source, from: index, to: range.upperBound)
      else { break }
      next = following
    }
    bytes.append(contentsOf: source[index..<range.upperBound])
    return bytes
  }

  private static func decodeOne(
    _ source: [UInt8], at index: Int, to end: Int, lineStart: Int
  ) throws(BadRecord) -> (byte: UInt8, length: Int) {
    let column = index - lineStart + 1
    guard index + 1 < end else { throw BadRecord(column: column, reason: "a lone backslash") }
    switch source[index + 1] {
    case 0x5c: return (0x5c, 2)
    case UInt8(ascii: "t"): return (0x09, 2)
    case UInt8(ascii: "n"): return (0x0a, 2)
    case UInt8(ascii: "r"): return (0x0d, 2)
    case UInt8(ascii: "a"): return (0x07, 2)
    case UInt8(ascii: "b"): return (0x08, 2)
    case UInt8(ascii: "f"): return (0x0c, 2)
    case UInt8(ascii: "v"): return (0x0b, 2)
    case UInt8(ascii: "e"): return (0x1b, 2)
    case UInt8(ascii: "x"):
      guard index + 3 < end, let high = Digits.value(source[index + 2]),
        let low = Digits.value(source[index + 3])
      else { throw BadRecord(column: column, reason: "\\x without two hexadecimal digits") }
      return (high << 4 | low, 4)
    default:
      throw BadRecord(
        column: column, reason: "an unknown escape; a backslash is written \\\\")
    }
  }

  /// The bytes that a command-line text stands for.
  static func decode(_ text: String) throws(BadRecord) -> [UInt8] {
    let source = Array(text.utf8)
    return try decode(source, 0..<source.count, lineStart: 0)
  }
}
