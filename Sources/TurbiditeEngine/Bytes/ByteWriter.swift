// ByteWriter — the encodings that ByteReader reads.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 2.

extension [UInt8] {
  /// Appends an integer, low byte first.
  mutating func append<Value: FixedWidthInteger>(littleEndian value: Value) {
    var rest = value
    for _ in 0..<MemoryLayout<Value>.size {
      append(UInt8(truncatingIfNeeded: rest))
      rest = MemoryLayout<Value>.size == 1 ? 0 : rest >> 8
    }
  }

  /// Appends a varint: seven bits a byte, low bits first; the high bit means "more follows".
  mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  mutating func append(varint value: Int) {
    append(varint: UInt64(value))
  }

  /// Appends a varint length, then the bytes.
  mutating func append(lengthPrefixed view: ByteView) {
    append(varint: UInt64(view.count))
    append(view)
  }

  mutating func append(lengthPrefixed bytes: [UInt8]) {
    append(varint: UInt64(bytes.count))
    append(contentsOf: bytes)
  }

  /// Appends `count` zeros.
  mutating func append(zeros count: Int) {
    // As in `append(_: ByteView)`.
    guard count > 0 else { return }
    append(addingCapacity: count) { $0.append(repeating: 0, count: count) }
  }
}

/// The bytes that a varint of `value` takes.
func varintByteCount(_ value: UInt64) -> Int {
  max(1, (70 &- value.leadingZeroBitCount) / 7)
}

/// Hexadecimal with all its digits, for findings.
func hexadecimal(_ value: UInt64) -> String {
  let digits = String(value, radix: 16)
  return "0x" + String(repeating: "0", count: 16 - digits.count) + digits
}
