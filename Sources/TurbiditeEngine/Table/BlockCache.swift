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

  init(capacityByteCount: Int) {
    precondition(capacityByteCount >= 0)
    capacity = Atomic(capacityByteCount)
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
    }
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
  func insert(_ block: Block, _ fileNumber: UInt64) {
    let cost = block.memoryByteCount
    guard cost <= capacityByteCount / 4 else { return }
    let key = BlockKey(fileNumber, block.offset)
    let part = key.part(BlockCache.partCount)
    // Counted before it is there, so that another thread's eviction cannot make the sum negative.
    used.add(cost, ordering: .relaxed)
    let isNew = parts[part].state.withLock { $0.insert(key, block) }
    if !isNew { used.subtract(cost, ordering: .relaxed) }
    evict(from: part)
  }

  /// Forgets the blocks of a table that is gone.
  ///
  /// Looks at every resident block.
  func remove(fileNumber: UInt64) {
    for part in parts {
      let freed = part.state.withLock { $0.remove(fileNumber: fileNumber) }
      used.subtract(freed, ordering: .relaxed)
    }
  }

  private func evict(from first: Int) {
    var part = first
    var emptyParts = 0
    while byteCount > capacityByteCount && emptyParts < BlockCache.partCount {
      let freed = parts[part].state.withLock { $0.evict() }
      if let freed {
        used.subtract(freed, ordering: .relaxed)
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
  private var mixed: UInt64 {
    var value = fileNumber &* 0x9e37_79b9_7f4a_7c15 ^ offset
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    return value ^ value >> 31
  }

  func part(_ count: Int) -> Int { Int(mixed % UInt64(count)) }

  func hash(into hasher: inout Hasher) { hasher.combine(mixed) }
}

/// One part of the cache and its lock.
private final class CachePart: Sendable {
  let state = Mutex(CacheQueue())
}

/// A SIEVE queue.
///
/// Invariants:
/// 1. `slotOf` has exactly the slots that are linked, each under its key.
/// 2. From `newest`, following `older`, every linked slot is met once, and `oldest` is the last.
/// 3. `hand` is a linked slot, or -1.
private struct CacheQueue {
  struct Slot {
    var key: BlockKey
    var block: Block?
    var newer: Int
    var older: Int
    var wasUsed: Bool
  }

  private var slots: [Slot] = []
  private var freeSlots: [Int] = []
  private var slotOf: [BlockKey: Int] = [:]
  private var newest = -1
  private var oldest = -1
  private var hand = -1
  private(set) var hits: UInt64 = 0
  private(set) var misses: UInt64 = 0

  mutating func lookup(_ key: BlockKey, isScan: Bool) -> Block? {
    guard let slot = slotOf[key] else {
      if !isScan { misses &+= 1 }
      return nil
    }
    if !isScan {
      hits &+= 1
      slots[slot].wasUsed = true
    }
    return slots[slot].block
  }

  /// Adds a block as the newest; false when its key is there.
  mutating func insert(_ key: BlockKey, _ block: Block) -> Bool {
    if slotOf[key] != nil { return false }
    let entry = Slot(key: key, block: block, newer: -1, older: newest, wasUsed: false)
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
      slots[slot] = entry
    } else {
      slot = slots.count
      slots.append(entry)
    }
    if newest >= 0 { slots[newest].newer = slot }
    newest = slot
    if oldest < 0 { oldest = slot }
    slotOf[key] = slot
    return true
  }

  /// Drops one block; returns its cost, or nil when there is none.
  mutating func evict() -> Int? {
    guard oldest >= 0 else { return nil }
    var candidate = hand >= 0 ? hand : oldest
    while slots[candidate].wasUsed {
      slots[candidate].wasUsed = false
      candidate = slots[candidate].newer
      if candidate < 0 { candidate = oldest }
    }
    hand = candidate
    return unlink(candidate)
  }

  mutating func remove(fileNumber: UInt64) -> Int {
    var freed = 0
    var slot = oldest
    while slot >= 0 {
      let next = slots[slot].newer
      if slots[slot].key.fileNumber == fileNumber { freed += unlink(slot) }
      slot = next
    }
    return freed
  }

  private mutating func unlink(_ slot: Int) -> Int {
    let entry = slots[slot]
    if hand == slot { hand = entry.newer }
    if entry.newer >= 0 { slots[entry.newer].older = entry.older } else { newest = entry.older }
    if entry.older >= 0 { slots[entry.older].newer = entry.newer } else { oldest = entry.newer }
    slotOf[entry.key] = nil
    slots[slot].block = nil
    freeSlots.append(slot)
    return entry.block?.memoryByteCount ?? 0
  }
}
