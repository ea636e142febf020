// Memtable — the newest entries of a tree, sorted, in memory.
//
// Room:    Engine/Memory.

import Synchronization

/// Entries and range tombstones that are in the log and not yet in a table.
///
/// One thread writes at a time: the leader of the commit queue. Any thread reads at any time
/// without waiting for it: an insert changes one node for some tens of nanoseconds, and a reader
/// that meets it looks again. Views of keys and values stay valid for as long as the memtable.
///
/// Safe to share: the tree and the arena are their own proofs; the rest are atomics and a mutex.
final class Memtable: Sendable {
  private let arena: Arena
  private let tree: BTree
  private let tombstones = Mutex(RangeTombstones.none)
  private let tombstoneCount = Atomic<Int>(0)
  private let tombstoneByteCount = Atomic<Int>(0)
  private let entries = Atomic<Int>(0)
  private let deletions = Atomic<Int>(0)
  /// 0 until the first entry: sequence numbers begin at 1.
  private let smallest = Atomic<UInt64>(0)
  private let largest = Atomic<UInt64>(0)

  init(pool: ChunkPool) {
    arena = Arena(pool: pool)
    tree = BTree(arena: arena)
  }

  /// Inserts an entry.
  ///
  /// One with the same key and tag as one that is there is ignored, so that a replay may meet an
  /// entry twice.
  ///
  /// - Returns: whether it was new.
  func insert(_ key: ByteView, _ tag: Tag, _ value: ByteView) throws(StoreError) -> Bool {
    try count(tree.insert(key, tag, value), tag)
  }

  /// Copies an entry to the memtable's memory, for ``insert(_:)``.
  func stage(_ key: ByteView, _ tag: Tag, _ value: ByteView) throws(StoreError) -> EntryPointer {
    guard let entry = EntryPointer(key, tag, value, in: arena) else {
      throw .resourceExhausted("memory for a memtable")
    }
    return entry
  }

  /// Inserts an entry that ``stage(_:_:_:)`` has made.
  ///
  /// - Returns: whether it was new.
  func insert(_ entry: EntryPointer) throws(StoreError) -> Bool {
    try count(tree.insert(entry), entry.tag)
  }

  @inline(__always)
  private func count(_ isInserted: Bool?, _ tag: Tag) throws(StoreError) -> Bool {
    guard let isNew = isInserted else { throw .resourceExhausted("memory for a memtable") }
    // Loads and stores: there is one writer, and an atomic addition takes many times as long.
    if isNew { entries.store(entryCount &+ 1, ordering: .relaxed) }
    if isNew && tag.isDeletion { deletions.store(deletionCount &+ 1, ordering: .relaxed) }
    note(tag.sequence)
    return isNew
  }

  /// Records that the keys in `[start, end)` are deleted as of `sequence`.
  func insertRangeTombstone(
    _ start: ByteView, _ end: ByteView, sequence: UInt64
  ) throws(StoreError) {
    let (start, end) = (start.bytes(), end.bytes())
    // Only the writer replaces the set, so it may be built outside the lock.
    let old = tombstones.withLock { $0 }
    let new = old.inserting(start: start, end: end, sequence: sequence)
    guard new !== old else { return }
    tombstones.withLock { $0 = new }
    tombstoneCount.add(1, ordering: .releasing)
    tombstoneByteCount.store(new.approximateByteCount, ordering: .relaxed)
    note(sequence)
  }

  private func note(_ sequence: UInt64) {
    let least = smallest.load(ordering: .relaxed)
    if least == 0 || sequence < least { smallest.store(sequence, ordering: .relaxed) }
    if sequence > largest.load(ordering: .relaxed) { largest.store(sequence, ordering: .relaxed) }
  }

  /// The newest version of `key` at or before `sequence`.
  func find(_ key: ByteView, at sequence: UInt64) -> FoundEntry? {
    let tag = Tag.newest(at: sequence)
    var attempts = 0
    while true {
      guard var position = tree.lowerBound(key, tag) else { return nil }
      var entry: EntryPointer?
      if tree.entry(at: &position, entry: &entry) {
        guard let entry, entry.key.isEqual(to: key) else { return nil }
        return FoundEntry(tag: entry.tag, value: entry.value)
      }
      attempts += 1
      BTree.pause(attempts)
    }
  }

  /// The largest key of an entry; valid as long as the memtable.
  var lastKey: ByteView? {
    var attempts = 0
    while true {
      guard var place = tree.edgeLeaf(isLast: true) else { return nil }
      var entry: EntryPointer?
      if tree.entry(at: &place, entry: &entry) { return entry?.key }
      attempts += 1
      BTree.pause(attempts)
    }
  }

  /// The range tombstones as they are now.
  var rangeTombstones: RangeTombstones {
    if tombstoneCount.load(ordering: .acquiring) == 0 { return .none }
    return tombstones.withLock { $0 }
  }

  /// A cursor that keeps the memtable alive.
  ///
  /// Entries that are there stay in its view; those that are inserted meanwhile may appear.
  func makeCursor() -> EntryCursor { MemtableCursor(self, tree) }

  /// Bytes in use.
  var byteCount: Int { arena.byteCount + tombstoneByteCount.load(ordering: .relaxed) }
  /// Bytes that were taken from the system for it.
  var reservedByteCount: Int {
    arena.reservedByteCount + tombstoneByteCount.load(ordering: .relaxed)
  }
  /// Entries, without range tombstones.
  var entryCount: Int { entries.load(ordering: .relaxed) }
  /// Entries that are tombstones of one key.
  var deletionCount: Int { deletions.load(ordering: .relaxed) }
  /// Range tombstones as they were given.
  var rangeTombstoneCount: Int { tombstoneCount.load(ordering: .relaxed) }
  var isEmpty: Bool { entryCount == 0 && rangeTombstoneCount == 0 }

  func checkTree() { tree.checkInvariants() }

  /// Over entries and range tombstones.
  var smallestSequence: UInt64? {
    let value = smallest.load(ordering: .relaxed)
    return value == 0 ? nil : value
  }

  var largestSequence: UInt64? {
    let value = largest.load(ordering: .relaxed)
    return value == 0 ? nil : value
  }
}

/// Walks a memtable.
///
/// Invariant: `current` is the entry that the fields describe; entries never move, so that a place
/// that has been lost is found again from it.
private final class MemtableCursor: EntryCursor {
  private let memtable: Memtable
  private let tree: BTree
  private var position: LeafPosition?
  private var current: EntryPointer?

  init(_ memtable: Memtable, _ tree: BTree) {
    self.memtable = memtable
    self.tree = tree
  }

  override func seekToFirst() throws(StoreError) {
    retry { tree.edgeLeaf(isLast: false) }
  }

  override func seekToLast() throws(StoreError) {
    retry { tree.edgeLeaf(isLast: true) }
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    retry { tree.lowerBound(target, tag) }
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    var attempts = 0
    while true {
      guard var place = tree.strictLowerBound(target, tag), place.index > 0 else {
        return settle(nil, nil)
      }
      place.index -= 1
      let bits = place.leaf.entry(place.index)
      if place.leaf.version == place.version, let entry = EntryPointer(bits: bits) {
        return settle(place, entry)
      }
      attempts += 1
      BTree.pause(attempts)
    }
  }

  override func next() throws(StoreError) {
    guard let current else { preconditionFailure("a cursor that stands nowhere") }
    if var place = position {
      place.index += 1
      var entry: EntryPointer?
      if tree.entry(at: &place, entry: &entry) { return settle(place, entry) }
    }
    var attempts = 0
    while true {
      guard var place = tree.lowerBound(current.key, current.tag) else { return settle(nil, nil) }
      place.index += 1
      var entry: EntryPointer?
      if tree.entry(at: &place, entry: &entry) { return settle(place, entry) }
      attempts += 1
      BTree.pause(attempts)
    }
  }

  override func previous() throws(StoreError) {
    guard let current else { preconditionFailure("a cursor that stands nowhere") }
    if var place = position, place.index > 0 {
      place.index -= 1
      let bits = place.leaf.entry(place.index)
      if place.leaf.version == place.version, let entry = EntryPointer(bits: bits) {
        return settle(place, entry)
      }
    }
    try seekBefore(current.key, current.tag)
  }

  private func retry(_ locate: () -> LeafPosition?) {
    var attempts = 0
    while true {
      guard var place = locate() else { return settle(nil, nil) }
      var entry: EntryPointer?
      if tree.entry(at: &place, entry: &entry) { return settle(place, entry) }
      attempts += 1
      BTree.pause(attempts)
    }
  }

  private func settle(_ place: LeafPosition?, _ entry: EntryPointer?) {
    position = place
    current = entry
    guard let entry else {
      isValid = false
      return
    }
    key = entry.key
    tag = entry.tag
    value = entry.value
    isValid = true
  }
}
