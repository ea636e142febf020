// RecordShape — the keys and values that every engine is given, byte for byte.
//
// Room:    Benchmarks.
// Limits:  2^40 records, 65,534 versions; values of at least 16 bytes.

/// Keys and values by number.
///
/// A key is 16 bytes: the ranks from 0 on spread evenly over all 64-bit numbers and moved within
/// their gap at random, so that keys look random and sort as their ranks do; then eight random bytes.
/// A value begins with rank and version, multiplied by an odd number; the rest of its first half is
/// random, and the second half repeats the first.
struct RecordShape: Sendable {
  static let keyByteCount = 16

  let capacity: Int
  let valueByteCount: Int
  private let gap: UInt64
  private let halfWordCount: Int

  init(capacity: Int, valueByteCount: Int) {
    precondition(capacity > 0 && valueByteCount >= 16)
    self.capacity = capacity
    self.valueByteCount = valueByteCount
    gap = UInt64.max / UInt64(capacity)
    halfWordCount = valueByteCount / 16
  }

  var recordByteCount: Int { Self.keyByteCount + valueByteCount }

  // MARK: - Keys

  /// Writes the key of `rank`; an absent one sorts beside it and belongs to no record.
  @inline(__always)
  func writeKey(_ rank: Int, isAbsent: Bool = false, to key: UnsafeMutableRawPointer) {
    let (high, low) = keyWords(rank)
    key.storeBytes(of: high, as: UInt64.self)
    key.storeBytes(of: isAbsent ? ~low : low, toByteOffset: 8, as: UInt64.self)
  }

  @inline(__always)
  func isKey(_ key: UnsafeRawBufferPointer, of rank: Int) -> Bool {
    guard key.count == Self.keyByteCount else { return false }
    let (high, low) = keyWords(rank)
    return key.loadUnaligned(as: UInt64.self) == high
      && key.loadUnaligned(fromByteOffset: 8, as: UInt64.self) == low
  }

  @inline(__always)
  private func keyWords(_ rank: Int) -> (UInt64, UInt64) {
    let random = scattered(UInt64(rank) &+ 1)
    let high = UInt64(rank) &* gap &+ random.multipliedFullWidth(by: gap).high
    return (high.bigEndian, scattered(random))
  }

  // MARK: - Values

  private static let tag: UInt64 = 0x9e37_79b9_7f4a_7c15
  private static let step: UInt64 = 0xd6e8_feb8_6659_fd93
  private static let factor: UInt64 = 0xff51_afd7_ed55_8ccd

  @inline(__always)
  func writeValue(_ rank: Int, version: UInt16, to value: UnsafeMutableRawPointer) {
    let first = (UInt64(rank) << 16 | UInt64(version)) &* Self.tag
    var offset = 0
    while offset + 8 <= valueByteCount {
      let word = word(offset / 8, after: first)
      value.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
      offset += 8
    }
    var last = word(offset / 8, after: first)
    while offset < valueByteCount {
      value.storeBytes(of: UInt8(truncatingIfNeeded: last), toByteOffset: offset, as: UInt8.self)
      last >>= 8
      offset += 1
    }
  }

  /// The version of the record that `value` is, or nil when any byte of it is not what was written.
  @inline(__always)
  func version(of value: UnsafeRawBufferPointer, rank: Int) -> UInt16? {
    guard value.count == valueByteCount else { return nil }
    let first = value.loadUnaligned(as: UInt64.self)
    let number = first &* Self.tagInverse
    guard number >> 16 == UInt64(rank) else { return nil }
    var difference: UInt64 = 0
    var offset = 0
    while offset + 8 <= valueByteCount {
      difference |=
        value.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        ^ word(offset / 8, after: first)
      offset += 8
    }
    var last = word(offset / 8, after: first)
    while offset < valueByteCount {
      difference |= UInt64(value[offset] ^ UInt8(truncatingIfNeeded: last))
      last >>= 8
      offset += 1
    }
    return difference == 0 ? UInt16(truncatingIfNeeded: number) : nil
  }

  @inline(__always)
  private func word(_ index: Int, after first: UInt64) -> UInt64 {
    let place = index < halfWordCount ? index : index - halfWordCount
    if place == 0 { return first }
    let mixed = (first ^ (UInt64(place) &* Self.step)) &* Self.factor
    return mixed ^ (mixed >> 29)
  }

  /// By Newton's steps: each doubles the number of right bits, and five are enough for 64.
  private static let tagInverse: UInt64 = {
    var inverse = tag
    for _ in 0..<5 { inverse = inverse &* (2 &- tag &* inverse) }
    return inverse
  }()
}

/// A number that looks random, the same for the same number; one to one.
///
/// Source: Sebastiano Vigna, splitmix64.
@inline(__always)
func scattered(_ number: UInt64) -> UInt64 {
  var mixed = number &* 0x9e37_79b9_7f4a_7c15
  mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
  mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
  return mixed ^ (mixed >> 31)
}
