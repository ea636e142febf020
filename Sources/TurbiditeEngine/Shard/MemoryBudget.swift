// MemoryBudget — one number for all the memory a store holds on to.
//
// Room:    Engine/Shard.
// Limits:  Counts memtables, block cache, indexes and filters. Buffers of running flushes and
//          compactions come on top: a few MiB for each background thread, and a few times the
//          largest value.

import Synchronization
import TurbiditeSystem

/// Divides the budget: memtables take what they need up to their share, the metadata of open tables
/// what it needs up to its own, and the block cache gets the rest.
final class MemoryBudget: Sendable {
  let byteCount: Int
  let cache: BlockCache
  /// The memory of memtables and of the cache.
  let chunks: ChunkPool
  private let memtables = Atomic<Int>(0)
  private let active = Atomic<Int>(0)
  private let tables = Atomic<Int>(0)
  private let whenFreed: @Sendable () -> Void

  /// - Parameter whenFreed: called when a memtable is gone, by whoever knew it last, a flush as a
  ///   rule and a reader now and then, so that writers who wait for room look again.
  /// - Parameter whenShort: as for ``ChunkPool``.
  init(
    byteCount: Int, whenFreed: @escaping @Sendable () -> Void,
    whenShort: (@Sendable (ChunkPool) -> Void)?
  ) {
    self.whenFreed = whenFreed
    self.byteCount = byteCount
    chunks = ChunkPool(keptByteCount: byteCount - byteCount / 8, whenShort: whenShort)
    cache = BlockCache(capacityByteCount: byteCount / 2, chunks: chunks)
  }

  /// Memtables that take writes may hold this much together; then the largest is flushed.
  var activeShare: Int { byteCount / 4 }
  /// All memtables may hold this much; then writers wait for a flush.
  var memtableShare: Int { byteCount / 2 }
  /// So much with those that are flushed, which scans hold on to: at the cost of the cache.
  var heldMemtableShare: Int { byteCount * 3 / 4 }
  /// Indexes and filters of open tables; beyond, the least used are closed.
  ///
  /// All that memtables, the cache's least and the eighth for what is not counted leave: to open a
  /// table again takes a hundred times as long as to read a block again.
  var tableShare: Int { byteCount * 5 / 16 }

  var memtableByteCount: Int { memtables.load(ordering: .relaxed) }
  var activeByteCount: Int { active.load(ordering: .relaxed) }

  func chargeMemtables(_ delta: Int) {
    memtables.add(delta, ordering: .relaxed)
    rebalance()
    if delta < 0 { whenFreed() }
  }

  func chargeActive(_ delta: Int) { active.add(delta, ordering: .relaxed) }

  func chargeTables(_ delta: Int) {
    tables.add(delta, ordering: .relaxed)
    chunks.countOutside(delta)
    rebalance()
  }

  private func rebalance() {
    // An eighth stays free for what is not counted, the buffers of flushes, compactions and scans;
    // and half of one for the parts of chunks that are not in use, so that the pool can keep all.
    let used = memtableByteCount + tables.load(ordering: .relaxed) + byteCount * 3 / 16
    let rest = max(byteCount / 16, byteCount - used)
    // A change below 1/64 of the budget is not worth the cache's lock.
    if abs(rest - cache.capacityByteCount) > byteCount / 64 { cache.capacityByteCount = rest }
  }
}
