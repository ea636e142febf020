// Records — the keys and values of every workload, made from a number and checked against it.
//
// Room:    Benchmarks.
// Source:  SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014);
//          half-compressible values as in LevelDB's db_bench: random bytes, written twice.
// Limits:  Keys of 16 bytes, values of 100.

/// Stirs a number into one that looks random; different numbers stay different.
func mix(_ number: UInt64) -> UInt64 {
  var state = number &+ 0x9e37_79b9_7f4a_7c15
  state = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
  state = (state ^ (state >> 27)) &* 0x94d0_49bb_1331_11eb
  return state ^ (state >> 31)
}

/// Record number n: its key is the mixed n (so that ascending n come in random key order), then n.
enum Record {
  static let keyByteCount = 16
  static let valueByteCount = 100
  static let byteCount = keyByteCount + valueByteCount

  static func writeKey(_ index: Int, into key: inout [UInt8]) {
    store(mix(UInt64(index)).bigEndian, at: 0, of: &key)
    store(UInt64(index).bigEndian, at: 8, of: &key)
  }

  /// The value that `version` of record `index` has: 50 random bytes, twice.
  static func writeValue(_ index: Int, version: Int, into value: inout [UInt8]) {
    let seed = UInt64(index) &* 64 &+ UInt64(version)
    var word: UInt64 = 0
    for position in 0..<50 {
      if position % 8 == 0 { word = mix(seed &* 8 &+ UInt64(position / 8)) }
      value[position] = UInt8(truncatingIfNeeded: word)
      value[position + 50] = value[position]
      word >>= 8
    }
  }

  /// The record's number, if the key is one of ours.
  static func index(ofKey key: RawSpan) -> Int? {
    guard key.byteCount == keyByteCount else { return nil }
    var (prefix, index): (UInt64, UInt64) = (0, 0)
    for position in 0..<8 {
      prefix = prefix << 8 | UInt64(byte(key, position))
      index = index << 8 | UInt64(byte(key, position + 8))
    }
    return prefix == mix(index) && index < 1 << 48 ? Int(index) : nil
  }

  /// Whether `value` is byte for byte what `version` of record `index` has.
  static func matches(
    _ value: RawSpan, index: Int, version: Int, scratch: inout [UInt8]
  ) -> Bool {
    guard value.byteCount == valueByteCount else { return false }
    writeValue(index, version: version, into: &scratch)
    return value.withUnsafeBytes { one in
      scratch.withUnsafeBytes { other in one.elementsEqual(other) }
    }
  }

  private static func byte(_ span: RawSpan, _ offset: Int) -> UInt8 {
    span.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  private static func store(_ word: UInt64, at offset: Int, of bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: word, toByteOffset: offset, as: UInt64.self) }
  }
}
