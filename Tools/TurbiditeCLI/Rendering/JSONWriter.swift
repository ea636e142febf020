// JSONWriter — JSON from typed calls, always well-formed.
//
// Room:    Tools/TurbiditeCLI.
// Source:  RFC 8259.
// Limits:  One value; members in the order of the calls. Characters that could drive a terminal are
//          written as \u escapes.

/// Writes one JSON value without spaces.
///
/// Invariant: `needsComma` has one element for each open array or object, and says whether the next
/// element in it is preceded by a comma.
struct JSONWriter {
  /// The text so far.
  private(set) var text: [UInt8] = []
  private var needsComma: [Bool] = []

  /// An object with a schema's name, and its members by `body`.
  static func document(_ schema: String, _ body: (inout JSONWriter) -> Void) -> [UInt8] {
    var writer = JSONWriter()
    writer.object { writer in
      writer.member("schema", "turbidite.\(schema)")
      body(&writer)
    }
    assert(writer.needsComma.isEmpty)
    return writer.text + [0x0a]
  }

  /// An object.
  mutating func object(_ body: (inout JSONWriter) -> Void) {
    nest(UInt8(ascii: "{"), UInt8(ascii: "}"), body)
  }

  /// An array.
  mutating func array(_ body: (inout JSONWriter) -> Void) {
    nest(UInt8(ascii: "["), UInt8(ascii: "]"), body)
  }

  /// A member that is an object.
  mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
    self.name(name)
    nest(UInt8(ascii: "{"), UInt8(ascii: "}"), body)
  }

  /// A member that is an array.
  mutating func array(_ name: String, _ body: (inout JSONWriter) -> Void) {
    self.name(name)
    nest(UInt8(ascii: "["), UInt8(ascii: "]"), body)
  }

  /// A member that is a text.
  mutating func member(_ name: String, _ value: String) {
    self.name(name)
    JSONWriter.appendString(Array(value.utf8), to: &text)
    finishElement()
  }

  /// A member that is a text or null.
  mutating func member(_ name: String, _ value: String?) {
    guard let value else {
      self.name(name)
      text.append(contentsOf: "null".utf8)
      return finishElement()
    }
    member(name, value)
  }

  /// A member that is a whole number, in full: readers that hold numbers as doubles lose digits
  /// above 2^53.
  mutating func member(_ name: String, _ value: some BinaryInteger) {
    self.name(name)
    text.append(contentsOf: String(value).utf8)
    finishElement()
  }

  /// A member that is true or false.
  mutating func member(_ name: String, _ value: Bool) {
    self.name(name)
    text.append(contentsOf: (value ? "true" : "false").utf8)
    finishElement()
  }

  /// An element of an array that is a text.
  mutating func element(_ value: String) {
    comma()
    JSONWriter.appendString(Array(value.utf8), to: &text)
    finishElement()
  }

  /// A member that is bytes: `name` when they are UTF-8, else `name_b64` in base64.
  mutating func bytes(_ name: String, _ value: [UInt8], alwaysBase64: Bool = false) {
    comma()
    JSONWriter.appendBytes(name, value, alwaysBase64: alwaysBase64, to: &text)
    finishElement()
  }

  /// Appends `"name":"text"` or `"name_b64":"base64"`.
  static func appendBytes(
    _ name: String, _ value: [UInt8], alwaysBase64: Bool, to text: inout [UInt8]
  ) {
    text.append(0x22)
    text.append(contentsOf: name.utf8)
    if !alwaysBase64, Scalars.isValid(value, 0..<value.count) {
      text.append(contentsOf: [0x22, 0x3a])
      appendString(value, to: &text)
    } else {
      text.append(contentsOf: "_b64\":\"".utf8)
      Digits.appendBase64(value, to: &text)
      text.append(0x22)
    }
  }

  /// Appends a string with quotes.
  ///
  /// - Precondition: `bytes` is well-formed UTF-8.
  static func appendString(_ bytes: [UInt8], to text: inout [UInt8]) {
    text.append(0x22)
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case 0x22, 0x5c: text.append(contentsOf: [0x5c, byte])
      case 0x0a: text.append(contentsOf: [0x5c, 0x6e])
      case 0x09: text.append(contentsOf: [0x5c, 0x74])
      case 0x0d: text.append(contentsOf: [0x5c, 0x72])
      case 0x20...0x7e: text.append(byte)
      default:
        guard let scalar = Scalars.scalar(in: bytes, at: index, to: bytes.count) else {
          preconditionFailure("a JSON string must be UTF-8")
        }
        if Scalars.isPrintable(scalar.value) {
          text.append(contentsOf: bytes[index..<index + scalar.length])
        } else {
          // All that are not printable lie below 0x10000: one escape, never a pair.
          text.append(contentsOf: "\\u\(Numbers.hexadecimal(scalar.value, width: 4))".utf8)
        }
        index += scalar.length
        continue
      }
      index += 1
    }
    text.append(0x22)
  }

  private mutating func nest(_ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) -> Void) {
    if text.last != 0x3a { comma() }
    text.append(open)
    needsComma.append(false)
    body(&self)
    needsComma.removeLast()
    text.append(close)
    finishElement()
  }

  private mutating func name(_ name: String) {
    comma()
    JSONWriter.appendString(Array(name.utf8), to: &text)
    text.append(0x3a)
  }

  private mutating func comma() {
    if needsComma.last == true { text.append(0x2c) }
  }

  private mutating func finishElement() {
    if !needsComma.isEmpty { needsComma[needsComma.count - 1] = true }
  }
}
