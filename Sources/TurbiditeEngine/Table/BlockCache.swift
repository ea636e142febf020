// BlockCache — uncompressed blocks of all tables, under one number of bytes.
//
// Room:    Engine/Table.
// Source:  Eviction is SIEVE (Zhang et al., NSDI 2024): a queue in order of arrival and a hand that
//          spares what was used since it last passed. A hit only sets a bit.
// Limits:  A block larger than a quarter of the capacity is not kept.

import Synchronization

/// Holds a block in memory while its bytes are in use.
///
/// A block that the cache forgets lives on until the last pin lets go.
struct BlockPin: Sendable {
  /// The block held, if any.
  var block: Block?

  init() {}
}

/// A cache that all tables of a store share.
///
/// Invariants:
/// 1. `byteCount` is the sum of the resident blocks' costs, plus those of blocks being inserted.
/// 2. When an insertion has returned, and none runs, `byteCount <= capacityByteCount`.
final class BlockCache: Sendable {
  /// Blocks are spread by hash, so that threads rarely wait for each other.
  private let parts: [CachePart]
  private let capacity: Atomic<Int>
  private let used = Atomic<Int>(0)
  private static let partCount = 16
  #if TURBIDITE_ADDRESS_SANITIZER
  /// None is: the sanitizer knows only what `malloc` hands out.
  private static let segmentedByteCount = Int.max
  #else
  /// Caches of at least this size lie in huge pages.
  private static let segmentedByteCount = 8 << 20
  #endif
  /// Where blocks lie; nil means in `malloc`'s memory: a small cache is not worth the segments.
  let memory: BlockMemory?
  private let chunks: ChunkPool

  /// - Parameter chunks: where a large cache takes its memory from.
  init(capacityByteCount: Int, chunks: ChunkPool = ChunkPool()) {
    precondition(capacityByteCount >= 0)
    capacity = Atomic(capacityByteCount)
    self.chunks = chunks
    memory = capacityByteCount < BlockCache.segmentedByteCount ? nil : BlockMemory(chunks: chunks)
    parts = (0..<BlockCache.partCount).map { _ in CachePart() }
  }

  /// The bytes that may be held.
  ///
  /// Lowering it evicts at once.
  var capacityByteCount: Int {
    get { capacity.load(ordering: .relaxed) }
    set {
      precondition(newValue >= 0)
      capacity.store(newValue, ordering: .relaxed)
      evict(from: 0)
      giveBackMemory()
    }
  }

  /// Empties segments of memory when what was evicted has left holes in too many: the hand drops
  /// blocks here and there, and the system gets back whole segments only.
  ///
  /// Looks at every resident block; so it happens when an eighth of the memory is holes.
  private func giveBackMemory() {
    guard let memory else { return }
    let target = capacityByteCount
    guard memory.reservedByteCount > target + max(target / 8, 4 * ChunkPool.chunkByteCount) else {
      return
    }
    let segments = memory.sparsestSegments(over: target)
    remove { $0.segment.map(segments.contains) ?? false }
  }

  /// The bytes that are held.
  var byteCount: Int { used.load(ordering: .relaxed) }

  /// Lookups that found their block, and that did not.
  var counters: (hits: UInt64, misses: UInt64) {
    var hits: UInt64 = 0
    var misses: UInt64 = 0
    for part in parts {
      let (partHits, partMisses) = part.state.withLock { ($0.hits, $0.misses) }
      hits += partHits
      misses += partMisses
    }
    return (hits, misses)
  }

  /// The block at `offset` of table `fileNumber`.
  ///
  /// A scan's look is no use that spares a block.
  func lookup(_ fileNumber: UInt64, _ offset: UInt64, isScan: Bool = false) -> Block? {
    let key = BlockKey(fileNumber, offset)
    return parts[key.part(BlockCache.partCount)].state.withLock { state in
      state.lookup(key, isScan: isScan)
    }
  }

  /// Keeps `block`, unless it is there already or too large.
  func insert(_ block: Block) {
    let cost = block.memoryByteCount
    guard cost <= capacityByteCount / 4 else { return }
    let part = block.key.part(BlockCache.partCount)
    // Counted before it is there, so that another thread's eviction cannot make the sum negative.
    used.add(cost, ordering: .relaxed)
    let isNew = parts[part].state.withLock { $0.insert(block) }
    if isNew {
      if block.segment == nil { chunks.countOutside(cost) }
    } else {
      used.subtract(cost, ordering: .relaxed)
    }
    evict(from: part)
  }

  /// Forgets the blocks of a table that is gone.
  ///
  /// Looks at every resident block.
  func remove(fileNumber: UInt64) { remove { $0.key.fileNumber == fileNumber } }

  private func remove(_ isUnwanted: (Block) -> Bool) {
    for part in parts {
      // The blocks die outside of the lock.
      let dropped = part.state.withLock { $0.remove(isUnwanted) }
      forget(dropped)
    }
  }

  private func forget(_ dropped: some Collection<Block>) {
    var outsideByteCount = 0
    for block in dropped {
      used.subtract(block.memoryByteCount, ordering: .relaxed)
      if block.segment == nil { outsideByteCount += block.memoryByteCount }
    }
    if outsideByteCount > 0 { chunks.countOutside(-outsideByteCount) }
  }

  private func evict(from first: Int) {
    var part = first
    var emptyParts = 0
    while byteCount > capacityByteCount && emptyParts < BlockCache.partCount {
      // The block dies outside of the lock.
      let dropped = parts[part].state.withLock { $0.evict() }
      if let dropped {
        forget(CollectionOfOne(dropped))
      } else {
        emptyParts += 1
        part = (part + 1) % BlockCache.partCount
      }
    }
  }
}

/// Which block: the table's file number and the block's offset.
///
/// File numbers are never used again.
struct BlockKey: Hashable, Sendable {
  let fileNumber: UInt64
  let offset: UInt64

  init(_ fileNumber: UInt64, _ offset: UInt64) {
    self.fileNumber = planted(.cacheMixesFiles) ? 0 : fileNumber
    self.offset = offset
  }

  /// Both numbers in one, mixed as in SplitMix64 (Steele, Lea and Flood, 2014).
  @inline(__always)
  private var mixed: UInt64 {
    var value = fileNumber &* 0x9e37_79b9_7f4a_7c15 ^ offset
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    return value ^ value >> 31
  }

  /// The low bits choose the part.
  func part(_ count: Int) -> Int { Int(mixed % UInt64(count)) }

  /// The high bits, which choose the place in the part's table.
  var hash: UInt32 { UInt32(truncatingIfNeeded: mixed >> 32) }
}

/// One part of the cache and its lock.
private final class CachePart: Sendable {
  let state = Mutex(CacheQueue())
}

/// A SIEVE queue.
///
/// Invariants:
/// 1. `table` has exactly the slots that are linked, each in the run of filled places that begins
///    at or before it and holds the place of its block's key; at most half of the table is filled.
/// 2. From `newest`, following `older`, every linked slot is met once, and `oldest` is the last.
/// 3. `hand` is a linked slot, or -1.
private struct CacheQueue {
  /// A slot and the high half of its key's hash: a lookup that finds nothing, and the removal of a
  /// neighbour, need not follow the slot to its block, which is seldom in the processor's cache.
  private struct Place {
    var hash: UInt32
    /// -1 where there is none.
    var slot: Int32

    static let empty = Place(hash: 0, slot: -1)
  }

  /// Slots by hash: open addressing with linear probing.
  private var table = [Place](repeating: .empty, count: 1 << CacheQueue.firstBitCount)
  private var bitCount = CacheQueue.firstBitCount
  private static let firstBitCount = 4

  /// The columns of the slots: the blocks stand alone, since a lookup needs little else.
  private var blocks: [Block?] = []
  /// Whether the hand spares the block when it next comes by.
  private var wasUsed: [Bool] = []
  private var newer: [Int32] = []
  private var older: [Int32] = []

  private var freeSlots: [Int32] = []
  private var count = 0
  private var newest: Int32 = -1
  private var oldest: Int32 = -1
  private var hand: Int32 = -1
  private(set) var hits: UInt64 = 0
  private(set) var misses: UInt64 = 0

  mutating func lookup(_ key: BlockKey, isScan: Bool) -> Block? {
    let slot = Int(table[place(of: key)].slot)
    guard slot >= 0 else {
      if !isScan { misses &+= 1 }
      return nil
    }
    if !isScan {
      hits &+= 1
      wasUsed[slot] = true
    }
    return blocks[slot]
  }

  /// The place in the table of the slot with this key, or the empty one where it would be.
  @inline(__always)
  private func place(of key: BlockKey) -> Int {
    let hash = key.hash
    var place = home(of: hash)
    while true {
      let found = table[place]
      if found.slot < 0 { return place }
      if found.hash == hash, blocks[Int(found.slot)]?.key == key { return place }
      place = (place &+ 1) & (table.count &- 1)
    }
  }

  /// The place where the search for a hash begins.
  @inline(__always)
  private func home(of hash: UInt32) -> Int { Int(hash >> UInt32(32 &- bitCount)) }

  /// Adds a block as the newest; false when its key is there.
  mutating func insert(_ block: Block) -> Bool {
    if 2 * (count + 1) > table.count { grow() }
    let place = place(of: block.key)
    if table[place].slot >= 0 { return false }
    let slot: Int32
    if let free = freeSlots.popLast() {
      slot = free
      blocks[Int(slot)] = block
      wasUsed[Int(slot)] = false
      newer[Int(slot)] = -1
      older[Int(slot)] = newest
    } else {
      slot = Int32(blocks.count)
      blocks.append(block)
      wasUsed.append(false)
      newer.append(-1)
      older.append(newest)
    }
    if newest >= 0 { newer[Int(newest)] = slot }
    newest = slot
    if oldest < 0 { oldest = slot }
    table[place] = Place(hash: block.key.hash, slot: slot)
    count += 1
    return true
  }

  private mutating func grow() {
    let old = table
    bitCount += 1
    table = [Place](repeating: .empty, count: 1 << bitCount)
    for moved in old where moved.slot >= 0 {
      var place = home(of: moved.hash)
      while table[place].slot >= 0 { place = (place + 1) & (table.count - 1) }
      table[place] = moved
    }
  }

  /// Drops one block and returns it, or nil when there is none.
  mutating func evict() -> Block? {
    guard oldest >= 0 else { return nil }
    var candidate = hand >= 0 ? hand : oldest
    while wasUsed[Int(candidate)] {
      wasUsed[Int(candidate)] = false
      candidate = newer[Int(candidate)]
      if candidate < 0 { candidate = oldest }
    }
    hand = candidate
    guard let block = blocks[Int(candidate)] else { return nil }
    unlink(candidate, block)
    return block
  }

  /// Drops blocks and returns them.
  mutating func remove(_ isUnwanted: (Block) -> Bool) -> [Block] {
    var dropped: [Block] = []
    var slot = oldest
    while slot >= 0 {
      let next = newer[Int(slot)]
      if let block = blocks[Int(slot)], isUnwanted(block) {
        unlink(slot, block)
        dropped.append(block)
      }
      slot = next
    }
    return dropped
  }

  private mutating func unlink(_ slot: Int32, _ block: Block) {
    let (before, behind) = (newer[Int(slot)], older[Int(slot)])
    if hand == slot { hand = before }
    if before >= 0 { older[Int(before)] = behind } else { newest = behind }
    if behind >= 0 { newer[Int(behind)] = before } else { oldest = before }
    clear(place(of: block.key))
    blocks[Int(slot)] = nil
    freeSlots.append(slot)
    count -= 1
  }

  /// Empties a place, and moves back what had to go on past it (Knuth, The Art of Computer
  /// Programming, volume 3, section 6.4, algorithm R).
  private mutating func clear(_ emptied: Int) {
    let mask = table.count - 1
    var hole = emptied
    var place = emptied
    while true {
      place = (place + 1) & mask
      let found = table[place]
      guard found.slot >= 0 else { break }
      // It may move to the hole unless its home lies behind the hole, up to where it is.
      if (place - home(of: found.hash)) & mask >= (place - hole) & mask {
        table[hole] = found
        hole = place
      }
    }
    table[hole] = .empty
  }
}
