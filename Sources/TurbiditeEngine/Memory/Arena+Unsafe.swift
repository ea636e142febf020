// Arena — memory that is taken bit by bit and given back all at once.
//
// Room:    Engine/Memory.
// Source:  Region allocation: Hanson, Software Practice and Experience 20(1), 1990.

import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// Recycles the large chunks of arenas: clearing fresh pages was a quarter of a memtable's time in
/// a prototype.
///
/// Thread-safe. Keeps at most ``limit`` chunks; what comes back beyond is freed.
final class ArenaPool: Sendable {
  /// Chunks of this size are recycled.
  static let chunkByteCount = HugeChunk.byteCount
  /// Chunks kept for reuse: one default memtable's worth.
  static let limit = 8

  /// Addresses of free chunks, as bit patterns.
  private let free = Mutex<[UInt]>([])

  deinit {
    for chunk in free.withLock({ $0 }) { HugeChunk.giveBack(chunk) }
  }

  /// A chunk of ``chunkByteCount`` bytes, or nil when memory is short.
  fileprivate func take() -> UnsafeMutableRawPointer? {
    if let recycled = free.withLock({ $0.popLast() }) {
      return unsafe UnsafeMutableRawPointer(bitPattern: recycled)
    }
    guard let chunk = HugeChunk.take() else { return nil }
    return unsafe UnsafeMutableRawPointer(bitPattern: chunk)
  }

  fileprivate func giveBack(_ chunk: UInt) {
    let isKept = free.withLock { free -> Bool in
      guard free.count < ArenaPool.limit else { return false }
      free.append(chunk)
      return true
    }
    if !isKept { HugeChunk.giveBack(chunk) }
  }

  /// Frees a smaller chunk.
  ///
  /// Safe: `chunk` came from malloc, and its arena is the last to know it.
  fileprivate static func release(_ chunk: UInt) {
    unsafe Glibc.free(UnsafeMutableRawPointer(bitPattern: chunk))
  }
}

/// The memory of one memtable.
///
/// One thread allocates at a time; anyone may read what was handed to them. Chunks begin at 4 KiB
/// and grow with what is in use, so that a memtable of a few entries costs a page and untouched
/// memory never exceeds what is used.
///
/// Safe to share: `allocate` is the single writer's; `byteCount` is an atomic.
final class Arena: @unchecked Sendable {
  private let pool: ArenaPool
  private var chunks: [(address: UInt, isPooled: Bool)] = []
  private var next: UInt = 0
  private var end: UInt = 0
  private let used = Atomic<Int>(0)

  init(pool: ArenaPool) { self.pool = pool }

  deinit {
    for chunk in chunks {
      if chunk.isPooled { pool.giveBack(chunk.address) } else { ArenaPool.release(chunk.address) }
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
      if rounded > UInt(ArenaPool.chunkByteCount / 4) {
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
    let size = min(ArenaPool.chunkByteCount, max(4 << 10, byteCount.roundedUpToPowerOfTwo))
    if size < ArenaPool.chunkByteCount {
      let fitting = max(size, count.roundedUpToPowerOfTwo)
      guard let memory = unsafe malloc(fitting) else { return false }
      chunks.append((UInt(bitPattern: memory), false))
      next = UInt(bitPattern: memory)
      end = next + UInt(fitting)
      return true
    }
    guard let memory = unsafe pool.take() else { return false }
    chunks.append((UInt(bitPattern: memory), true))
    next = UInt(bitPattern: memory)
    end = next + UInt(ArenaPool.chunkByteCount)
    return true
  }
}

extension Int {
  /// The smallest power of two that is not below this number; 1 for 0.
  fileprivate var roundedUpToPowerOfTwo: Int {
    self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
  }
}
