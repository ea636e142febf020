// CyclicChecksum — CRC-32C over a whole stream.
//
// Room:    Tools/TurbiditeCLI.
// Source:  Castagnoli et al. 1993, polynomial 0x1EDC6F41 reflected, as in RFC 3720 section B.4;
//          eight bytes a step by Kounavis and Berry, "A Systematic Approach to Building High
//          Performance, Software-based, CRC Generators", 2005.

/// A running CRC-32C.
struct CyclicChecksum: Sendable, Hashable {
  private var state: UInt32 = 0xffff_ffff

  /// Table `k`, at `k * 256`: the checksum of a byte that `k` zero bytes follow.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for index in 0..<256 {
      var value = UInt32(index)
      for _ in 0..<8 { value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82f6_3b78 }
      tables[index] = value
    }
    for index in 256..<tables.count {
      let before = tables[index - 256]
      tables[index] = before >> 8 ^ tables[Int(before & 0xff)]
    }
    return tables
  }()

  /// The checksum of all bytes so far.
  var value: UInt32 { ~state }

  /// Goes on over `bytes`.
  mutating func update(_ bytes: [UInt8]) {
    let tables = CyclicChecksum.tables
    var crc = state
    var index = 0
    while index + 8 <= bytes.count {
      let low =
        crc
        ^ (UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16
          | UInt32(bytes[index + 3]) << 24)
      let first = tables[1792 + Int(low & 0xff)] ^ tables[1536 + Int(low >> 8 & 0xff)]
      let second = tables[1280 + Int(low >> 16 & 0xff)] ^ tables[1024 + Int(low >> 24)]
      let third = tables[768 + Int(bytes[index + 4])] ^ tables[512 + Int(bytes[index + 5])]
      let fourth = tables[256 + Int(bytes[index + 6])] ^ tables[Int(bytes[index + 7])]
      crc = first ^ second ^ third ^ fourth
      index += 8
    }
    while index < bytes.count {
      crc = crc >> 8 ^ tables[Int((crc ^ UInt32(bytes[index])) & 0xff)]
      index += 1
    }
    state = crc
  }
}
