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
  guard stored.count <= Int(Int32.max), target.count <= Int(Int32.max) else { return false }
  // Safe: both counts are those of the memory behind the pointers; the decoder is the bounded one.
  let count = unsafe LZ4_decompress_safe(
    stored.start.assumingMemoryBound(to: CChar.self),
    target.start.assumingMemoryBound(to: CChar.self), Int32(stored.count), Int32(target.count))
  return Int(count) == target.count || (count >= 0 && planted(.acceptShortDecompression))
}
