// Compression — LZ4 blocks through the system's library.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 2.5.
// Source:  LZ4 block format (Yann Collet, lz4 1.9, doc/lz4_Block_format.md).

import CLZ4

/// LZ4 in both directions. Every length is checked before memory is taken for it.
enum LZ4 {
  /// Appends `source` compressed to `target`.
  ///
  /// - Returns: false, with `target` unchanged, when that would save less than an eighth.
  static func append(_ source: ByteView, to target: inout [UInt8]) -> Bool {
    guard source.count >= 16, source.count <= Int(LZ4_MAX_INPUT_SIZE) else { return false }
    let start = target.count
    let room = source.count - source.count / 8
    target.append(contentsOf: repeatElement(0, count: room))
    // Safe: LZ4 writes at most `room` bytes, which were appended on the line above.
    let written = unsafe target.withUnsafeMutableBytes { bytes -> Int in
      guard let base = bytes.baseAddress else { return 0 }
      return Int(
        unsafe LZ4_compress_default(
          source.start.assumingMemoryBound(to: CChar.self),
          (base + start).assumingMemoryBound(to: CChar.self),
          Int32(source.count), Int32(room)))
    }
    target.removeLast(written > 0 ? room - written : room)
    return written > 0
  }

  /// Decompresses all of `source` into `target`, which it must fill exactly.
  ///
  /// - Returns: false when the bytes are no LZ4 block of that size.
  static func decompress(_ source: ByteView, into target: OwnedBuffer) -> Bool {
    guard source.count <= Int(Int32.max), target.count <= Int(Int32.max) else { return false }
    // Safe: LZ4_decompress_safe reads within `source.count` and writes within `target.count`.
    let written = unsafe LZ4_decompress_safe(
      source.start.assumingMemoryBound(to: CChar.self),
      target.start.assumingMemoryBound(to: CChar.self),
      Int32(source.count), Int32(target.count))
    return Int(written) == target.count
  }
}
