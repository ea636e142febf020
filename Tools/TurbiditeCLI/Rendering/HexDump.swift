// HexDump — bytes of a file as rows of sixteen.
//
// Room:    Tools/TurbiditeCLI.
// Source:  The layout of BSD's `hexdump -C`.

/// Rows of offset, sixteen bytes and their ASCII.
enum HexDump {
  /// The row for up to sixteen bytes at `offset`.
  static func row(_ bytes: [UInt8], offset: UInt64) -> String {
    precondition(bytes.count <= 16)
    var digits = ""
    for index in 0..<16 {
      if index == 8 { digits += " " }
      digits += index < bytes.count ? Numbers.hexadecimal(bytes[index], width: 2) + " " : "   "
    }
    let text = bytes.map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: ".") }
    return "\(Numbers.hexadecimal(offset, width: 8))  \(digits) |"
      + String(decoding: text, as: UTF8.self) + "|"
  }
}
