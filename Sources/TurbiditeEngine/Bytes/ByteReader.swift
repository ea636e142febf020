// ByteReader — decodes what a file holds, one field at a time, never past the end.
//
// Room:    Engine/Bytes. Knows nothing of blocks, files or keys.
// Format:  FORMAT.md section 2: little-endian integers and canonical varints.
// Source:  Varints are LEB128, as in DWARF 5 section 7.6; the canonical-form rule is ours.

/// Why bytes could not be decoded, and where in the bytes at hand.
enum DecodingFailure: Error, Hashable {
  /// The bytes end inside a field that starts at this offset.
  case truncated(at: Int)
  /// A varint is longer than it needs to be, or exceeds 64 bits.
  case malformedVarint(at: Int)
  /// A value breaks a rule of the format.
  case invalid(String, at: Int)

  var finding: String {
    switch self {
    case .truncated(let offset): "truncated at byte \(offset) of its payload"
    case .malformedVarint(let offset): "malformed varint at byte \(offset) of its payload"
    case .invalid(let what, let offset): "\(what) at byte \(offset) of its payload"
    }
  }
}

/// A position in bytes that were read from somewhere untrusted.
struct ByteReader {
  let bytes: ByteView
  private(set) var offset = 0

  init(_ bytes: ByteView) { self.bytes = bytes }

  var remaining: Int { bytes.count &- offset }
  var isAtEnd: Bool { offset == bytes.count }

  @inline(__always)
  mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type
  ) throws(DecodingFailure) -> Value {
    guard remaining >= MemoryLayout<Value>.size else { throw .truncated(at: offset) }
    defer { offset &+= MemoryLayout<Value>.size }
    return bytes.load(offset, as: type)
  }

  @inline(__always)
  mutating func byte() throws(DecodingFailure) -> UInt8 { try integer(UInt8.self) }

  /// Reads one varint; the encoding must be the shortest, so that equal values have equal bytes.
  @inline(__always)
  mutating func varint() throws(DecodingFailure) -> UInt64 {
    // Nearly all that is counted here is small.
    if offset < bytes.count {
      let first = bytes[offset]
      if first < 0x80 {
        offset &+= 1
        return UInt64(first)
      }
    }
    return try longVarint()
  }

  @inline(never)
  private mutating func longVarint() throws(DecodingFailure) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    var shift: UInt64 = 0
    var position = offset
    while position < bytes.count {
      let byte = bytes[position]
      position &+= 1
      if shift == 63 && byte > 1 { throw .malformedVarint(at: start) }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 {
        if byte == 0 && shift > 0 { throw .malformedVarint(at: start) }
        offset = position
        return value
      }
      shift &+= 7
      if shift > 63 { throw .malformedVarint(at: start) }
    }
    throw .truncated(at: start)
  }

  /// Reads a varint that must fit the range; the range is what bounds an allocation.
  @inline(__always)
  mutating func count(_ what: StaticString, atMost limit: Int) throws(DecodingFailure) -> Int {
    let start = offset
    let value = try varint()
    guard value <= UInt64(limit) else {
      throw .invalid("\(what) \(value) exceeds \(limit)", at: start)
    }
    return Int(value)
  }

  /// The next `length` bytes.
  @inline(__always)
  mutating func take(_ length: Int) throws(DecodingFailure) -> ByteView {
    guard length >= 0, length <= remaining else { throw .truncated(at: offset) }
    defer { offset &+= length }
    return bytes.slice(offset, length)
  }

  /// A varint length, then that many bytes.
  @inline(__always)
  mutating func lengthPrefixed() throws(DecodingFailure) -> ByteView {
    let start = offset
    let length = try varint()
    guard length <= UInt64(remaining) else { throw .truncated(at: start) }
    return try take(Int(length))
  }
}
