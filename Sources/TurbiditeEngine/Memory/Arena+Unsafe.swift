// Arena — memory that is taken bit by bit and given back all at once.
//
// Room:    Engine/Memory.
// Source:  Region allocation: Hanson, Software Practice and Experience 20(1), 1990.

import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// The memory of one memtable.
///
/// One thread allocates at a time; anyone may read what was handed to them. Chunks begin at 4 KiB
/// and grow with what is in use, so that a memtable of a few entries costs a page and untouched
/// memory never exceeds what is used.
///
/// Safe to share: `allocate` is the single writer's; `byteCount` is an atomic.
final class Arena: @unchecked Sendable {
  private let pool: ChunkPool
  private var chunks: [(address: UInt, isPooled: Bool)] = []
  private var next: UInt = 0
  private var end: UInt = 0
  private let used = Atomic<Int>(0)

  init(pool: ChunkPool) { self.pool = pool }

  deinit {
    for chunk in chunks {
      if chunk.isPooled {
        pool.giveBack(chunk.address)
      } else {
        // Safe: the chunk came from malloc, and the arena is the last to know it.
        unsafe Glibc.free(UnsafeMutableRawPointer(bitPattern: chunk.address))
      }
    }
  }

  /// Bytes that were allocated.
  var byteCount: Int { used.load(ordering: .relaxed) }

  /// `count` bytes, aligned to 8; nil when memory is short.
  ///
  /// What they hold is undefined.
  func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
    precondition(count > 0)
    let rounded = UInt((count + 7) & ~7)
    if rounded > end - next {
      // An allocation that would waste much of a chunk gets one of its own.
      if rounded > UInt(ChunkPool.chunkByteCount / 4) {
        guard let memory = unsafe malloc(Int(rounded)) else { return nil }
        chunks.append((UInt(bitPattern: memory), false))
        _ = used.add(Int(rounded), ordering: .relaxed)
        return unsafe memory
      }
      guard addChunk(atLeast: Int(rounded)) else { return nil }
    }
    defer { next += rounded }
    _ = used.add(Int(rounded), ordering: .relaxed)
    // Safe: `[next, next + rounded)` lies in the newest chunk, checked above.
    return unsafe UnsafeMutableRawPointer(bitPattern: next)
  }

  private func addChunk(atLeast count: Int) -> Bool {
    let size = min(ChunkPool.chunkByteCount, max(4 << 10, byteCount.roundedUpToPowerOfTwo))
    if size < ChunkPool.chunkByteCount {
      let fitting = max(size, count.roundedUpToPowerOfTwo)
      guard let memory = unsafe malloc(fitting) else { return false }
      chunks.append((UInt(bitPattern: memory), false))
      next = UInt(bitPattern: memory)
      end = next + UInt(fitting)
      return true
    }
    guard let chunk = pool.take() else { return false }
    chunks.append((chunk, true))
    next = chunk
    end = chunk + UInt(ChunkPool.chunkByteCount)
    return true
  }
}

extension Int {
  /// The smallest power of two that is not below this number; 1 for 0.
  fileprivate var roundedUpToPowerOfTwo: Int {
    self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
  }
}
