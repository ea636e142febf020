// Node — the words of a B+-tree node and of an entry, and the atomics that make them shareable.
//
// Room:    Engine/Memory.
// Source:  Optimistic lock coupling: Leis, Scheibner, Kemper, Neumann, "The ART of Practical
//          Synchronization", DaMoN 2016. The orderings are ours: with releasing stores and
//          acquiring loads of every word no fences are needed, and ThreadSanitizer sees each edge.
// Limits:  Nodes and entries live in an arena and are never moved or freed before it.

import Synchronization

/// An immutable entry: tag, sizes, key and value in one run of memory.
///
/// Safe: made by `write` in memory of the right size, and read only through the sizes it holds.
@safe
struct EntryPointer: Equatable {
  static let headerByteCount = 16

  private let base: UnsafeMutableRawPointer

  init?(bits: UInt64) {
    guard let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(bits)) else { return nil }
    unsafe self.base = base
  }

  /// Writes an entry into fresh memory of the arena; nil when memory is short.
  init?(_ key: ByteView, _ tag: Tag, _ value: ByteView, in arena: Arena) {
    let byteCount = EntryPointer.headerByteCount + key.count + value.count
    guard let memory = unsafe arena.allocate(byteCount) else { return nil }
    unsafe base = memory
    unsafe base.storeBytes(of: tag.rawValue, as: UInt64.self)
    unsafe base.storeBytes(of: UInt32(key.count), toByteOffset: 8, as: UInt32.self)
    unsafe base.storeBytes(of: UInt32(value.count), toByteOffset: 12, as: UInt32.self)
    unsafe key.copy(to: base + EntryPointer.headerByteCount)
    unsafe value.copy(to: base + EntryPointer.headerByteCount + key.count)
  }

  var bits: UInt64 { unsafe UInt64(UInt(bitPattern: base)) }
  var tag: Tag { Tag(rawValue: unsafe base.load(as: UInt64.self)) }

  var key: ByteView {
    unsafe ByteView(
      base + EntryPointer.headerByteCount,
      count: Int(base.load(fromByteOffset: 8, as: UInt32.self)))
  }

  var value: ByteView {
    let keyByteCount = Int(unsafe base.load(fromByteOffset: 8, as: UInt32.self))
    return unsafe ByteView(
      base + EntryPointer.headerByteCount + keyByteCount,
      count: Int(base.load(fromByteOffset: 12, as: UInt32.self)))
  }

  static func == (one: EntryPointer, other: EntryPointer) -> Bool { one.bits == other.bits }
}

/// A node: version, counts, key prefixes, and pointers to entries and children.
///
/// Layout, in bytes: version 0 (u32), count 4 (u32), isLeaf 8 (u32), skip 12 (u32), next leaf or
/// first child 16 (u64), prefixes 24 (u64 each), entries behind them (u64), children behind those
/// (u64, inner nodes only; child `i` is right of separator `i`).
///
/// Invariants:
/// 1. The version is odd exactly while the writer changes the node.
/// 2. Slots below `count` hold pointers that stay valid for as long as the arena: a reader that is
///    about to fail validation may follow them.
///
/// Safe: every offset below is within ``byteCount(isLeaf:)``, for indexes below the capacity, which
/// the accessors check.
@safe
struct Node: Equatable {
  /// Entries of a leaf, separators of an inner node.
  ///
  /// Measured in a prototype: 40.
  static let capacity = 40

  private static let linkOffset = 16
  private static let prefixOffset = 24
  private static let entryOffset = prefixOffset + 8 * capacity
  private static let childOffset = entryOffset + 8 * capacity

  private let base: UnsafeMutableRawPointer

  init?(bits: UInt64) {
    guard let base = unsafe UnsafeMutableRawPointer(bitPattern: UInt(bits)) else { return nil }
    unsafe self.base = base
  }

  /// A new, empty node that no reader knows yet; nil when memory is short.
  init?(isLeaf: Bool, skip: Int, in arena: Arena) {
    guard let memory = unsafe arena.allocate(Node.byteCount(isLeaf: isLeaf)) else { return nil }
    unsafe base = memory
    setWord32(0, 0)
    setWord32(4, 0)
    setWord32(8, isLeaf ? 1 : 0)
    setWord32(12, UInt32(skip))
    link = 0
  }

  static func byteCount(isLeaf: Bool) -> Int { isLeaf ? childOffset : childOffset + 8 * capacity }

  static func == (one: Node, other: Node) -> Bool { one.bits == other.bits }

  var bits: UInt64 { unsafe UInt64(UInt(bitPattern: base)) }

  // MARK: - Words

  @inline(__always)
  private func word32(_ offset: Int) -> UInt32 {
    unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self).pointee
      .load(ordering: .acquiring)
  }

  @inline(__always)
  private func setWord32(_ offset: Int, _ value: UInt32) {
    unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt32>.self).pointee
      .store(value, ordering: .releasing)
  }

  @inline(__always)
  private func word64(_ offset: Int) -> UInt64 {
    unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self).pointee
      .load(ordering: .acquiring)
  }

  @inline(__always)
  private func setWord64(_ offset: Int, _ value: UInt64) {
    unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self).pointee
      .store(value, ordering: .releasing)
  }

  // MARK: - Fields

  /// Even while nothing changes.
  @inline(__always) var version: UInt32 { word32(0) }

  /// Never above the capacity.
  @inline(__always) var count: Int { min(Int(word32(4)), Node.capacity) }

  @inline(__always) var isLeaf: Bool { word32(8) != 0 }

  /// The leading bytes that every key routed to this node shares: prefixes begin behind them.
  @inline(__always) var skip: Int { Int(word32(12)) }

  /// The next leaf, or the child left of the first separator.
  @inline(__always)
  var link: UInt64 {
    get { word64(Node.linkOffset) }
    nonmutating set { setWord64(Node.linkOffset, newValue) }
  }

  @inline(__always)
  func prefix(_ index: Int) -> UInt64 {
    assert(index < Node.capacity)
    return word64(Node.prefixOffset &+ 8 &* index)
  }

  @inline(__always)
  func entry(_ index: Int) -> UInt64 {
    assert(index < Node.capacity)
    return word64(Node.entryOffset &+ 8 &* index)
  }

  /// The child right of separator `index`; -1 is the first child.
  @inline(__always)
  func child(_ index: Int) -> UInt64 {
    index < 0 ? link : word64(Node.childOffset &+ 8 &* index)
  }

  // MARK: - Changes, by the writer

  func beginChange() {
    assert(version % 2 == 0)
    setWord32(0, version &+ 1)
  }

  func endChange() {
    assert(version % 2 == 1)
    setWord32(0, version &+ 1)
  }

  /// Opens a gap at `index` and fills it.
  ///
  /// The slots are written before the count that covers them.
  func insert(_ entry: EntryPointer, child: UInt64?, at index: Int) {
    let count = count
    precondition(count < Node.capacity)
    var slot = count
    while slot > index {
      setWord64(Node.prefixOffset &+ 8 &* slot, word64(Node.prefixOffset &+ 8 &* (slot &- 1)))
      setWord64(Node.entryOffset &+ 8 &* slot, word64(Node.entryOffset &+ 8 &* (slot &- 1)))
      if child != nil {
        setWord64(Node.childOffset &+ 8 &* slot, word64(Node.childOffset &+ 8 &* (slot &- 1)))
      }
      slot &-= 1
    }
    setSlot(index, entry, child: child)
    setWord32(4, UInt32(count + 1))
  }

  /// Appends a slot.
  func append(_ entry: EntryPointer, child: UInt64?) {
    let count = count
    precondition(count < Node.capacity)
    setSlot(count, entry, child: child)
    setWord32(4, UInt32(count + 1))
  }

  private func setSlot(_ index: Int, _ entry: EntryPointer, child: UInt64?) {
    setWord64(Node.prefixOffset &+ 8 &* index, entry.key.prefix(at: skip))
    setWord64(Node.entryOffset &+ 8 &* index, entry.bits)
    if let child { setWord64(Node.childOffset &+ 8 &* index, child) }
  }

  func truncate(to count: Int) { setWord32(4, UInt32(count)) }

  /// Takes over a larger `skip` and computes the prefixes again.
  func raiseSkip(to value: Int) {
    guard value > skip else { return }
    setWord32(12, UInt32(value))
    for index in 0..<count {
      guard let entry = EntryPointer(bits: entry(index)) else { continue }
      setWord64(Node.prefixOffset &+ 8 &* index, entry.key.prefix(at: value))
    }
  }
}
