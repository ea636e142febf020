// ByteCopies — the few raw copies of the file system in memory.
//
// Room:    Simulation.

extension [UInt8] {
  /// A copy of `span`.
  init(copying span: RawSpan) {
    // Safe: the pointer is used within the closure only.
    self = unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
  }

  /// Replaces the bytes from `start` on by `count` bytes of `source` from `sourceStart` on.
  mutating func replace(
    from start: Int, with source: [UInt8], from sourceStart: Int, count sourceCount: Int
  ) {
    precondition(start >= 0)
    precondition(sourceStart >= 0)
    precondition(sourceCount >= 0)
    precondition(start <= count - sourceCount)
    precondition(sourceStart <= source.count - sourceCount)
    guard sourceCount > 0 else { return }
    // Safe: both ranges were checked above, and are not empty.
    unsafe withUnsafeMutableBytes { target in
      unsafe source.withUnsafeBytes { bytes in
        unsafe UnsafeMutableRawBufferPointer(rebasing: target[start..<start + sourceCount])
          .copyMemory(
            from: UnsafeRawBufferPointer(rebasing: bytes[sourceStart..<sourceStart + sourceCount]))
      }
    }
  }

  /// Copies all bytes to the front of `target`, which is at least as large.
  @unsafe
  func copy(to target: UnsafeMutableRawBufferPointer) {
    precondition(count <= target.count)
    // Safe: the size was checked above.
    unsafe withUnsafeBytes { unsafe target.copyMemory(from: $0) }
  }

  /// The bytes in words of eight; the rest, if any, as one more.
  func forEachWord(_ body: (UInt64) -> Void) {
    // Safe: each load ends at or before the buffer's end.
    unsafe withUnsafeBytes { bytes in
      var offset = 0
      while offset + 8 <= bytes.count {
        body(
          UInt64(littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
        offset += 8
      }
      var last: UInt64 = 0
      while offset < bytes.count {
        last = last << 8 | UInt64(unsafe bytes[offset])
        offset += 1
      }
      if bytes.count % 8 != 0 { body(last) }
    }
  }
}
