// HugeChunk — two MiB of memory that the system may back by one huge page.
//
// Room:    Engine/Bytes.

#if canImport(Glibc)
import Glibc
#endif

/// Takes and gives back chunks of memory, each aligned to its size.
///
/// What lies in memory at random, as memtables and cached blocks do, costs a walk through the page
/// tables at each touch: a huge page saves most of them.
enum HugeChunk {
  static let byteCount = 2 << 20

  /// The address of a chunk, or nil when memory is short.
  static func take() -> UInt? {
    // Safe: posix_memalign fills the local, and the advice is for the memory it gave.
    var chunk: UnsafeMutableRawPointer?
    guard unsafe posix_memalign(&chunk, byteCount, byteCount) == 0, let chunk = unsafe chunk else {
      return nil
    }
    // Advice only: without huge pages everything works, a fifth slower.
    _ = unsafe madvise(chunk, byteCount, MADV_HUGEPAGE)
    return UInt(bitPattern: chunk)
  }

  /// Gives back what ``take()`` returned and nobody uses any more.
  static func giveBack(_ chunk: UInt) {
    // Safe: the caller is the last to know the address, which posix_memalign returned.
    let start = unsafe UnsafeMutableRawPointer(bitPattern: chunk)
    // The allocator may keep the addresses; the memory behind them goes back at once.
    _ = unsafe madvise(start, byteCount, MADV_DONTNEED)
    unsafe free(start)
  }
}
