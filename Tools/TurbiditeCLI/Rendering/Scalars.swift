// Scalars — UTF-8 a scalar at a time, from bytes that may be anything.
//
// Room:    Tools/TurbiditeCLI.
// Source:  The Unicode Standard 16.0, table 3-7 (well-formed byte sequences).

/// Reading UTF-8 that nobody promised to be UTF-8.
enum Scalars {
  /// The scalar that starts at `index` and its length in bytes, or nil where none does.
  static func scalar(in bytes: [UInt8], at index: Int, to end: Int) -> (value: UInt32, length: Int)?
  {
    let first = bytes[index]
    if first < 0x80 { return (UInt32(first), 1) }
    let length: Int
    let second: ClosedRange<UInt8>
    switch first {
    case 0xc2...0xdf: (length, second) = (2, 0x80...0xbf)
    case 0xe0: (length, second) = (3, 0xa0...0xbf)
    case 0xe1...0xec, 0xee...0xef: (length, second) = (3, 0x80...0xbf)
    case 0xed: (length, second) = (3, 0x80...0x9f)
    case 0xf0: (length, second) = (4, 0x90...0xbf)
    case 0xf1...0xf3: (length, second) = (4, 0x80...0xbf)
    case 0xf4: (length, second) = (4, 0x80...0x8f)
    default: return nil
    }
    guard end - index >= length, second.contains(bytes[index + 1]) else { return nil }
    // The lead byte of n bytes keeps 7 - n bits.
    var value = UInt32(first) & (0x7f >> UInt32(length))
    for offset in 1..<length {
      let byte = bytes[index + offset]
      guard byte & 0xc0 == 0x80 else { return nil }
      value = value << 6 | UInt32(byte & 0x3f)
    }
    return (value, length)
  }

  /// Whether all bytes of the range are well-formed UTF-8.
  static func isValid(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    var index = range.lowerBound
    while index < range.upperBound {
      if bytes[index] < 0x80 {
        index += 1
        continue
      }
      guard let scalar = scalar(in: bytes, at: index, to: range.upperBound) else { return false }
      index += scalar.length
    }
    return true
  }

  /// Whether a scalar can be shown as it is: no control character, nothing that changes the
  /// direction of the text or breaks the line, so that a key cannot drive a terminal.
  static func isPrintable(_ value: UInt32) -> Bool {
    switch value {
    case 0x20...0x7e: true
    case 0...0x1f, 0x7f...0x9f: false
    case 0x61c, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff, 0xfff0...0xffff: false
    default: true
    }
  }

  /// Appends a scalar as UTF-8.
  ///
  /// - Precondition: a Unicode scalar value: at most 0x10ffff, and no surrogate.
  static func append(_ value: UInt32, to bytes: inout [UInt8]) {
    precondition(value <= 0x10ffff)
    precondition(!(0xd800...0xdfff).contains(value))
    func rest(_ shift: UInt32) -> UInt8 { 0x80 | UInt8(value >> shift & 0x3f) }
    switch value {
    case 0..<0x80: bytes.append(UInt8(value))
    case 0x80..<0x800: bytes.append(contentsOf: [0xc0 | UInt8(value >> 6), rest(0)])
    case 0x800..<0x10000:
      bytes.append(contentsOf: [0xe0 | UInt8(value >> 12), rest(6), rest(0)])
    default:
      bytes.append(contentsOf: [0xf0 | UInt8(value >> 18), rest(12), rest(6), rest(0)])
    }
  }
}
