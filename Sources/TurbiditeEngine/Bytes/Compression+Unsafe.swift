// Compression — LZ4 for data blocks and log frames.
//
// Room:    Engine/Bytes.
// Source:  LZ4 block format (Yann Collet, lz4 1.9, doc/lz4_Block_format.md), the system's library.
// Limits:  Blocks are below 2^31 bytes, what the library's `int` holds.

import CLZ4

/// How the stored bytes of a block were made.
///
/// The raw values are in files and never change.
enum Compression: UInt8, Sendable, Hashable {
  case none = 0
  case lz4 = 1

  /// The largest raw size that `storedByteCount` bytes can honestly declare: a byte of LZ4 adds at
  /// most 255 bytes, and the last sequence a few more.
  ///
  /// Bounds an allocation before it is made.
  static func largestRawByteCount(storedByteCount: Int) -> Int { storedByteCount * 255 + 64 }
}

/// Compresses `raw` into `target` when that saves at least an eighth.
///
/// - Returns: the compressed bytes' count, or 0 when `raw` had better be stored as it is.
func compressLZ4(_ raw: ByteView, into target: OwnedBuffer) -> Int {
  let limit = min(raw.count &- raw.count / 8, target.count)
  guard raw.count > 0, raw.count <= Int(LZ4_MAX_INPUT_SIZE), limit > 0 else { return 0 }
  // Safe: both counts are those of the memory behind the pointers, and below 2^31.
  let count = unsafe LZ4_compress_default(
    raw.start.assumingMemoryBound(to: CChar.self),
    target.start.assumingMemoryBound(to: CChar.self), Int32(raw.count), Int32(limit))
  return max(Int(count), 0)
}

/// Decompresses `stored` into `target`.
///
/// - Returns: whether `stored` was well formed and filled `target` exactly.
func decompressLZ4(_ stored: ByteView, into target: OwnedBuffer) -> Bool {
  decompressLZ4(stored, into: target, at: 0, count: target.count)
}

/// Decompresses `stored` into the `rawCount` bytes of `target` from `offset` on.
///
/// - Returns: whether `stored` was well formed and filled these bytes exactly.
func decompressLZ4(
  _ stored: ByteView, into target: OwnedBuffer, at offset: Int, count rawCount: Int
) -> Bool {
  precondition(offset >= 0 && rawCount >= 0 && rawCount <= target.count - offset)
  guard stored.count <= Int(Int32.max), rawCount <= Int(Int32.max) else { return false }
  // Safe: the precondition keeps `rawCount` bytes inside of `target`, and `stored.count` is that of
  // its memory; the decoder is the bounded one.
  let count = unsafe LZ4_decompress_safe(
    stored.start.assumingMemoryBound(to: CChar.self),
    (target.start + offset).assumingMemoryBound(to: CChar.self),
    Int32(stored.count), Int32(rawCount))
  return Int(count) == rawCount || (count >= 0 && planted(.acceptShortDecompression))
}

/// Decompresses no more of `stored` than gives the first `rawCount` bytes of `target`.
///
/// - Returns: whether `stored` was well formed so far, and gave that many.
func decompressLZ4(
  firstBytes rawCount: Int, of stored: ByteView, into target: OwnedBuffer
) -> Bool {
  precondition(rawCount >= 0 && rawCount <= target.count)
  guard stored.count <= Int(Int32.max), target.count <= Int(Int32.max) else { return false }
  // Safe: all counts are those of the memory behind the pointers; the decoder is the bounded one.
  let count = unsafe LZ4_decompress_safe_partial(
    stored.start.assumingMemoryBound(to: CChar.self),
    target.start.assumingMemoryBound(to: CChar.self),
    Int32(stored.count), Int32(rawCount), Int32(target.count))
  return Int(count) >= rawCount
}
