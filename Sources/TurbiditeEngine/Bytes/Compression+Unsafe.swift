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

/// Compresses one piece of bytes after the other, each for itself.
///
/// Keeps the library's hash table of 16 KiB, which is cleared for long pieces alone. To clear it
/// costs more than to compress a short record, and what others left in it misleads the processor in
/// a long one (decision 0029).
///
/// Not to be used by two threads at once.
@safe
final class Compressor {
  /// Up to this a piece costs less with what was left in the table.
  static let shortByteCount = 512

  private let stream: UnsafeMutablePointer<LZ4_stream_t>
  private var target: OwnedBuffer

  init() throws(StoreError) {
    target = try OwnedBuffer.allocate(1 << 13, for: "compression")
    // Safe: the library's own memory, given back in deinit; nil when there is none.
    guard let stream = unsafe LZ4_createStream() else {
      throw .resourceExhausted("memory for compression")
    }
    unsafe self.stream = stream
  }

  deinit {
    // Safe: made by `LZ4_createStream`, and freed once.
    _ = unsafe LZ4_freeStream(stream)
  }

  /// Compresses `raw` when that saves at least an eighth.
  ///
  /// - Returns: the compressed bytes, until the next call; nil when `raw` had better be stored as
  ///   it is.
  func compress(_ raw: ByteView) throws(StoreError) -> ByteView? {
    let limit = raw.count &- raw.count / 8
    guard raw.count > 0, raw.count <= Int(LZ4_MAX_INPUT_SIZE) else { return nil }
    if target.count < limit { target = try OwnedBuffer.allocate(limit, for: "compression") }
    // Safe: both counts are those of the memory behind the pointers, and below 2^31. Either way the
    // table forgets the piece before, which may be gone, so that nothing refers to it.
    if raw.count <= Compressor.shortByteCount {
      unsafe LZ4_resetStream_fast(stream)
    } else {
      _ = unsafe LZ4_initStream(stream, MemoryLayout<LZ4_stream_t>.size)
    }
    let count = unsafe LZ4_compress_fast_continue(
      stream, raw.start.assumingMemoryBound(to: CChar.self),
      target.start.assumingMemoryBound(to: CChar.self), Int32(raw.count), Int32(limit), 1)
    return count > 0 ? target.view.slice(0, Int(count)) : nil
  }

  /// The bytes of `raw` compressed, when that saves at least an eighth.
  static func compress(once raw: [UInt8]) throws(StoreError) -> [UInt8]? {
    let compressor = try Compressor()
    return try raw.withView { raw throws(StoreError) in try compressor.compress(raw)?.bytes() }
  }
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
