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
/// One thread allocates at a time; anyone may read what was handed to them. Pieces begin at 4 KiB
/// and grow with what is in use, so that a memtable of a few entries costs a page, one of up to
/// two MiB a quarter more than it uses, and a larger one a chunk more.
///
/// Safe to share: `allocate` is the single writer's; the byte counts are atomics.
final class Arena: @unchecked Sendable {
  private enum Source {
    case malloc
    case pages
    case pool
  }

  private struct Piece {
    var address: UInt
    var byteCount: Int
    var source: Source
  }

  private static let smallestByteCount = 4 << 10
  /// An allocation of more would waste much of a piece.
  private static let largestSharedByteCount = ChunkPool.chunkByteCount / 4

  private let pool: ChunkPool
  private var pieces: [Piece] = []
  private var next: UInt = 0
  private var end: UInt = 0
  private let used = Atomic<Int>(0)
  private let reserved = Atomic<Int>(0)

  init(pool: ChunkPool) { self.pool = pool }

  deinit {
    for piece in pieces {
      if piece.source != .pool { pool.countOutside(-piece.byteCount) }
      switch piece.source {
      case .pool: pool.giveBack(piece.address)
      case .pages: PageMemory.giveBack(piece.address, piece.byteCount)
      case .malloc:
        // Safe: the piece came from malloc, and the arena is the last to know it.
        unsafe Glibc.free(UnsafeMutableRawPointer(bitPattern: piece.address))
      }
    }
  }

  /// Bytes that were allocated.
  var byteCount: Int { used.load(ordering: .relaxed) }

  /// Bytes that were taken from the system.
  var reservedByteCount: Int { reserved.load(ordering: .relaxed) }

  /// `count` bytes, aligned to 8; nil when memory is short.
  ///
  /// What they hold is undefined.
  func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
    precondition(count > 0)
    let rounded = (count + 7) & ~7
    if UInt(rounded) > end - next {
      if rounded > Arena.largestSharedByteCount {
        guard let piece = take(rounded) else { return nil }
        countUse(rounded)
        // Safe: the piece is that long, and nobody else's.
        return unsafe UnsafeMutableRawPointer(bitPattern: piece.address)
      }
      guard let piece = nextPiece(atLeast: rounded) else { return nil }
      next = piece.address
      end = piece.address + UInt(piece.byteCount)
    }
    defer { next += UInt(rounded) }
    countUse(rounded)
    // Safe: `[next, next + rounded)` lies in the newest piece, checked above.
    return unsafe UnsafeMutableRawPointer(bitPattern: next)
  }

  /// A load and a store: there is one writer, and an atomic addition takes many times as long.
  @inline(__always)
  private func countUse(_ byteCount: Int) {
    used.store(used.load(ordering: .relaxed) &+ byteCount, ordering: .relaxed)
  }

  private func nextPiece(atLeast count: Int) -> Piece? {
    // Where there is no chunk any more, there may be less.
    if byteCount >= ChunkPool.chunkByteCount, let chunk = pool.take() {
      return add(Piece(address: chunk, byteCount: ChunkPool.chunkByteCount, source: .pool))
    }
    let wanted = max(Arena.smallestByteCount, byteCount / 4, count).roundedUpToPowerOfTwo
    return take(min(wanted, Arena.largestSharedByteCount))
  }

  private func take(_ byteCount: Int) -> Piece? {
    if byteCount >= PageMemory.smallestByteCount {
      let rounded = PageMemory.rounded(byteCount)
      if let address = PageMemory.take(rounded) {
        return add(Piece(address: address, byteCount: rounded, source: .pages))
      }
    }
    guard let memory = unsafe malloc(byteCount) else { return nil }
    return add(Piece(address: UInt(bitPattern: memory), byteCount: byteCount, source: .malloc))
  }

  private func add(_ piece: Piece) -> Piece {
    pieces.append(piece)
    if piece.source != .pool { pool.countOutside(piece.byteCount) }
    _ = reserved.add(piece.byteCount, ordering: .relaxed)
    return piece
  }
}

extension Int {
  /// The smallest power of two that is not below this number; 1 for 0.
  fileprivate var roundedUpToPowerOfTwo: Int {
    self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
  }
}
