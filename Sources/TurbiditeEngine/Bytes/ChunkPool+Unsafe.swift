// ChunkPool — memory for memtables and cached blocks, in chunks of two MiB that are used again.
//
// Room:    Engine/Bytes.
// Limits:  Thread-safe.

import Synchronization

/// Hands out chunks of memory, each aligned to its size, and keeps some of those that come back.
///
/// What lies in memory at random, as memtables and cached blocks do, costs a walk through the page
/// tables at each touch: one huge page for a chunk saves most of them. And a chunk that is new to
/// the process must be cleared at its first touch, which a chunk that was here before need not:
/// what memtables leave, the cache takes (decision 0017).
///
/// Invariant: the chunks in `free` are nobody else's, and `heldCount` counts them and those that
/// are handed out.
final class ChunkPool: Sendable {
  /// The size of a chunk, in bytes.
  static let chunkByteCount = 2 << 20

  private struct State {
    /// Addresses of free chunks.
    var free: [UInt] = []
    var heldCount = 0
    /// The limit, less what lies elsewhere.
    var keptCount: Int { max(0, keptByteCount - outsideByteCount) / ChunkPool.chunkByteCount }
    let keptByteCount: Int
    /// What is held in memory of another kind and counts against the same limit.
    var outsideByteCount = 0
    /// Whether somebody was asked for spare chunks and has not answered.
    var isRefilling = false

    /// Whether there are fewer free chunks than a store of this size may soon take.
    var isShort: Bool {
      free.count < min(ChunkPool.spareCount, heldCount / 4) && heldCount < keptCount
    }

    /// Takes those free chunks out of the pool that it should not keep.
    mutating func takeSuperfluous() -> ArraySlice<UInt> {
      let count = min(free.count, max(0, heldCount - keptCount))
      let superfluous = free.suffix(count)
      free.removeLast(count)
      heldCount -= count
      return superfluous
    }
  }

  /// As many chunks are to be ready before they are needed.
  private static let spareCount = 2

  private let state: Mutex<State>
  private let whenShort: (@Sendable (ChunkPool) -> Void)?

  /// - Parameter keptByteCount: while the chunks in use, those that are free, and what lies outside
  ///   take no more than this, a chunk that comes back is kept; most often what one memtable takes.
  /// - Parameter whenShort: called when spare chunks are wanted; it has ``refill()`` called soon,
  ///   by a thread that nobody waits for.
  init(keptByteCount: Int = 16 << 20, whenShort: (@Sendable (ChunkPool) -> Void)? = nil) {
    state = Mutex(State(keptByteCount: keptByteCount))
    self.whenShort = whenShort
  }

  deinit {
    for chunk in state.withLock({ $0.free }) { ChunkPool.giveToSystem(chunk) }
  }

  /// Counts memory that was taken elsewhere under the same budget, or given back there: blocks too
  /// large for a chunk's slots, the indexes and filters of tables.
  ///
  /// Without this, free chunks would be kept beside it.
  func countOutside(_ delta: Int) { change { $0.outsideByteCount += delta } }

  private func change(_ body: (inout State) -> Void) {
    let superfluous = state.withLock { state in
      body(&state)
      return state.takeSuperfluous()
    }
    for chunk in superfluous { ChunkPool.giveToSystem(chunk) }
  }

  /// The bytes of the chunks that are free, and of all.
  var byteCounts: (free: Int, held: Int) {
    state.withLock {
      ($0.free.count * ChunkPool.chunkByteCount, $0.heldCount * ChunkPool.chunkByteCount)
    }
  }

  /// The address of a chunk, or nil when memory is short.
  ///
  /// What it holds is undefined.
  func take() -> UInt? {
    let (recycled, asks) = state.withLock { state -> (UInt?, Bool) in
      let chunk = state.free.popLast()
      if chunk == nil { state.heldCount += 1 }
      let asks = whenShort != nil && !state.isRefilling && state.isShort
      if asks { state.isRefilling = true }
      return (chunk, asks)
    }
    if asks { whenShort?(self) }
    if let recycled { return recycled }
    guard let chunk = ChunkPool.takeFromSystem() else {
      state.withLock { $0.heldCount -= 1 }
      return nil
    }
    return chunk
  }

  /// Adds a spare chunk that is cleared already, so that who takes it need not wait for that: it
  /// takes a quarter of a millisecond, and several where the system is itself a guest.
  ///
  /// - Returns: whether more are wanted.
  func refill() -> Bool {
    let isWanted = state.withLock { state in
      state.isRefilling = state.isShort
      if state.isRefilling { state.heldCount += 1 }
      return state.isRefilling
    }
    guard isWanted else { return false }
    let chunk = ChunkPool.takeFromSystem()
    if let chunk { ChunkPool.touch(chunk) }
    return state.withLock { state in
      if let chunk { state.free.append(chunk) } else { state.heldCount -= 1 }
      state.isRefilling = chunk != nil && state.isShort
      return state.isRefilling
    }
  }

  /// Says that ``refill()`` will not be called for what was asked last.
  func endRefill() { state.withLock { $0.isRefilling = false } }

  /// Gives back what ``take()`` returned and nobody uses any more.
  func giveBack(_ chunk: UInt) {
    change { $0.free.append(chunk) }
  }

  private static func takeFromSystem() -> UInt? { PageMemory.takeAligned(chunkByteCount) }

  /// Has the system put memory behind a chunk that it gave, whatever the size of its pages.
  private static func touch(_ chunk: UInt) {
    // Safe: the chunk is the caller's alone, and as long as this.
    guard let start = unsafe UnsafeMutableRawPointer(bitPattern: chunk) else { return }
    for offset in stride(from: 0, to: chunkByteCount, by: 4096) {
      unsafe start.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
    }
  }

  private static func giveToSystem(_ chunk: UInt) {
    PageMemory.giveBackAligned(chunk, chunkByteCount)
  }
}
