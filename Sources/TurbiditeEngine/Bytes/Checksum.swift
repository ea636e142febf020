// Checksum — XXH3-64, seeded so that bytes in the wrong place are wrong bytes.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 2.4.
// Source:  XXH3 (Yann Collet, xxHash 0.8, doc/xxhash_spec.md).

/// Sixteen random bytes drawn when a store is created.
package struct StoreID: Sendable, Hashable {
  package var high: UInt64
  package var low: UInt64

  package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// As 32 lower-case hexadecimal digits.
  package var hexadecimal: String {
    func digits(_ value: UInt64) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }
    return digits(high) + digits(low)
  }
}

/// Makes the seed of each checksum in one file from the store, the file's number and the offset.
///
/// A block of another file, of another store or from another offset then fails its checksum,
/// although each of its bits is as it was written (a stale or misdirected read).
struct ChecksumSeed: Sendable, Hashable {
  private var base: UInt64

  init(store: StoreID, fileNumber: UInt64) {
    // Three odd multipliers (from SplitMix64, Steele et al. 2014) keep the three inputs apart.
    base =
      (store.high &* 0x9e37_79b9_7f4a_7c15) ^ (store.low &* 0xbf58_476d_1ce4_e5b9)
      ^ (fileNumber &* 0x94d0_49bb_1331_11eb)
  }

  /// The seed for a structure that starts at `offset`.
  func at(_ offset: UInt64) -> UInt64 { base &+ offset &* 0xd6e8_feb8_6659_fd93 }
}
