// Digits — bytes as hexadecimal and base64, and back.
//
// Room:    Tools/TurbiditeCLI.
// Source:  RFC 4648 sections 4 (base64, with padding) and 8 (base16).

/// Bytes as digits.
enum Digits {
  /// The lower-case digits.
  static let hexadecimal = Array("0123456789abcdef".utf8)
  private static let base64Alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  /// The value of each base64 letter; 255 for what is none.
  private static let base64Values: [UInt8] = {
    var values = [UInt8](repeating: 255, count: 256)
    for (value, letter) in base64Alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
    return values
  }()

  /// The value of a hexadecimal digit of either case.
  static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x61...0x66: digit - 0x61 + 10
    case 0x41...0x46: digit - 0x41 + 10
    default: nil
    }
  }

  /// Appends two digits a byte.
  static func appendHexadecimal(_ bytes: [UInt8], to text: inout [UInt8]) {
    for byte in bytes {
      text.append(hexadecimal[Int(byte >> 4)])
      text.append(hexadecimal[Int(byte & 15)])
    }
  }

  /// The bytes of a hexadecimal text.
  static func decodeHexadecimal(_ text: [UInt8]) throws(BadRecord) -> [UInt8] {
    guard text.count % 2 == 0 else {
      throw BadRecord(column: text.count, reason: "an odd number of hexadecimal digits")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 2)
    for index in stride(from: 0, to: text.count, by: 2) {
      guard let high = value(text[index]), let low = value(text[index + 1]) else {
        throw BadRecord(column: index + 1, reason: "not a hexadecimal digit")
      }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  /// Appends four letters for every three bytes, padded.
  static func appendBase64(_ bytes: [UInt8], to text: inout [UInt8]) {
    var index = 0
    while index < bytes.count {
      let available = min(3, bytes.count - index)
      var group = UInt32(bytes[index]) << 16
      if available > 1 { group |= UInt32(bytes[index + 1]) << 8 }
      if available > 2 { group |= UInt32(bytes[index + 2]) }
      for letter in 0..<4 {
        let value = Int(group >> UInt32(18 - 6 * letter) & 63)
        text.append(letter <= available ? base64Alphabet[value] : UInt8(ascii: "="))
      }
      index += 3
    }
  }

  /// The bytes of a base64 text.
  ///
  /// Padding is required, and the bits it hides must be zero, so that equal bytes have one
  /// spelling.
  static func decodeBase64(_ text: [UInt8]) throws(BadRecord) -> [UInt8] {
    guard text.count % 4 == 0 else {
      throw BadRecord(column: text.count, reason: "base64 of a length that is no multiple of four")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3)
    for start in stride(from: 0, to: text.count, by: 4) {
      let isLast = start + 4 == text.count
      var padding = 0
      if isLast, text[start + 3] == UInt8(ascii: "=") {
        padding = text[start + 2] == UInt8(ascii: "=") ? 2 : 1
      }
      var group: UInt32 = 0
      for letter in 0..<4 {
        let value = letter < 4 - padding ? base64Values[Int(text[start + letter])] : 0
        guard value < 64 else {
          throw BadRecord(column: start + letter + 1, reason: "not a base64 letter")
        }
        group = group << 6 | UInt32(value)
      }
      let hidden: UInt32 = padding == 2 ? 0xffff : padding == 1 ? 0xff : 0
      guard group & hidden == 0 else {
        throw BadRecord(column: start + 4, reason: "base64 with stray bits before its padding")
      }
      bytes.append(UInt8(truncatingIfNeeded: group >> 16))
      if padding < 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 8)) }
      if padding < 1 { bytes.append(UInt8(truncatingIfNeeded: group)) }
    }
    return bytes
  }
}
