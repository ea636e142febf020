// ObjectReader — one flat JSON object of strings, strictly.
//
// Room:    Tools/TurbiditeCLI.
// Source:  RFC 8259 sections 4 and 7.
// Limits:  No nesting, hence no recursion. Lone surrogates, control characters and bytes that are
//          not UTF-8 are errors.

/// Reads the tokens of one object.
///
/// Invariant: `index` never passes `end`, and each call that succeeds moves it on.
struct ObjectReader {
  private let source: [UInt8]
  private let start: Int
  private let end: Int
  private var index: Int
  private var isFirst = true

  init(_ source: [UInt8], _ range: Range<Int>) {
    precondition(range.upperBound <= source.count)
    self.source = source
    start = range.lowerBound
    end = range.upperBound
    index = start
  }

  /// The place of the next byte within the line, from 1.
  var column: Int { index - start + 1 }

  /// Whether the line holds white space alone.
  var isBlank: Bool { source[start..<end].allSatisfy(ObjectReader.isSpace) }

  /// The brace that opens the object.
  mutating func open() throws(BadRecord) {
    try expect(0x7b, "no object at the start of the line")
  }

  /// Moves to the next member's name and gives its column; nil after the closing brace.
  mutating func nextMember() throws(BadRecord) -> Int? {
    skipSpace()
    if isFirst, peek() == 0x7d {
      index += 1
      return nil
    }
    if !isFirst {
      if peek() == 0x7d {
        index += 1
        return nil
      }
      try expect(0x2c, "neither a comma nor a closing brace")
      skipSpace()
    }
    isFirst = false
    return column
  }

  /// The colon between name and value.
  mutating func colon() throws(BadRecord) {
    try expect(0x3a, "no colon after the name")
    skipSpace()
  }

  /// Nothing may follow the object.
  mutating func finish() throws(BadRecord) {
    skipSpace()
    guard index == end else { throw failure("something follows the object") }
  }

  /// A string's bytes, unescaped; always UTF-8.
  mutating func string() throws(BadRecord) -> [UInt8] {
    try expect(0x22, "no string where one must be")
    var bytes: [UInt8] = []
    var run = index
    while index < end {
      let byte = source[index]
      switch byte {
      case 0x22:
        bytes.append(contentsOf: source[run..<index])
        index += 1
        return bytes
      case 0x5c:
        bytes.append(contentsOf: source[run..<index])
        Scalars.append(try escape(), to: &bytes)
        run = index
      case 0..<0x20: throw failure("a control character in a string")
      case 0x20..<0x80: index += 1
      default:
        guard let scalar = Scalars.scalar(in: source, at: index, to: end) else {
          throw failure("bytes that are not UTF-8; write them in base64, as key_b64 or value_b64")
        }
        index += scalar.length
      }
    }
    throw failure("the line ends within a string")
  }

  /// The bytes of a member of the object in `source`: a string's, or a number as it stands; nil
  /// where the object has no such member.
  ///
  /// Of the other members only the ends are found.
  static func member(_ name: String, of source: [UInt8]) throws(BadRecord) -> [UInt8]? {
    var reader = ObjectReader(source, 0..<source.count)
    var found: [UInt8]?
    try reader.open()
    while try reader.nextMember() != nil {
      let isWanted = try reader.string() == Array(name.utf8)
      try reader.colon()
      if isWanted, found == nil { found = try reader.scalar() } else { try reader.skipValue() }
    }
    try reader.finish()
    return found
  }

  /// A string's bytes, or those of a number, `true`, `false` or `null`.
  private mutating func scalar() throws(BadRecord) -> [UInt8] {
    switch peek() {
    case 0x22: return try string()
    case 0x7b, 0x5b: throw failure("neither a string nor a number")
    default: return try token()
    }
  }

  private mutating func token() throws(BadRecord) -> [UInt8] {
    let begin = index
    while let byte = peek(), ![0x2c, 0x5d, 0x7d].contains(byte), !ObjectReader.isSpace(byte) {
      index += 1
    }
    guard index > begin else { throw failure("no value where one must be") }
    return Array(source[begin..<index])
  }

  /// Passes over a value of any kind.
  private mutating func skipValue() throws(BadRecord) {
    var depth = 0
    repeat {
      skipSpace()
      switch peek() {
      case 0x22: _ = try string()
      case 0x7b, 0x5b:
        depth += 1
        index += 1
      case 0x7d where depth > 0, 0x5d where depth > 0:
        depth -= 1
        index += 1
      case 0x2c where depth > 0, 0x3a where depth > 0: index += 1
      case nil: throw failure("the line ends within a value")
      default: _ = try token()
      }
    } while depth > 0
  }

  private mutating func escape() throws(BadRecord) -> UInt32 {
    guard index + 1 < end else { throw failure("the line ends within a string") }
    let letter = source[index + 1]
    if letter == UInt8(ascii: "u") { return try unicodeEscape() }
    let value: UInt32
    switch letter {
    case 0x22, 0x5c, 0x2f: value = UInt32(letter)
    case UInt8(ascii: "b"): value = 0x08
    case UInt8(ascii: "f"): value = 0x0c
    case UInt8(ascii: "n"): value = 0x0a
    case UInt8(ascii: "r"): value = 0x0d
    case UInt8(ascii: "t"): value = 0x09
    default: throw failure("an escape that JSON does not have")
    }
    index += 2
    return value
  }

  private mutating func unicodeEscape() throws(BadRecord) -> UInt32 {
    let high = try unit()
    switch high {
    case 0xd800..<0xdc00:
      let low = try unit()
      guard (0xdc00..<0xe000).contains(low) else { throw failure("half of a surrogate pair") }
      return 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
    case 0xdc00..<0xe000: throw failure("half of a surrogate pair")
    default: return high
    }
  }

  /// The 16 bits of `\uNNNN`.
  private mutating func unit() throws(BadRecord) -> UInt32 {
    guard end - index >= 6, source[index] == 0x5c, source[index + 1] == UInt8(ascii: "u") else {
      throw failure("half of a surrogate pair, or an escape that is cut short")
    }
    var value: UInt32 = 0
    for digit in source[index + 2..<index + 6] {
      guard let bits = Digits.value(digit) else {
        throw failure("\\u without four hexadecimal digits")
      }
      value = value << 4 | UInt32(bits)
    }
    index += 6
    return value
  }

  private mutating func expect(_ byte: UInt8, _ otherwise: String) throws(BadRecord) {
    skipSpace()
    guard peek() == byte else { throw failure(otherwise) }
    index += 1
  }

  private func peek() -> UInt8? { index < end ? source[index] : nil }

  private mutating func skipSpace() {
    while index < end, ObjectReader.isSpace(source[index]) { index += 1 }
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0d
  }

  private func failure(_ reason: String) -> BadRecord { BadRecord(column: column, reason: reason) }
}
