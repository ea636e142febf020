// BTree — entries in internal key order, for one writer and any number of readers.
//
// Room:    Engine/Memory.
// Source:  B+-tree with linked leaves (Comer, ACM Computing Surveys 11(2), 1979); readers validate
//          node versions instead of locking (see Node+Unsafe.swift); key prefixes in the nodes,
//          taken behind what a node's fences share, after Graefe and Larson, "B-Tree Indexes and
//          CPU Caches", ICDE 2001.
// Limits:  Nothing is ever removed.

import Synchronization
import TurbiditeSystem

/// A place in a leaf, and the leaf's version when it was seen.
struct LeafPosition {
  var leaf: Node
  var version: UInt32
  var index: Int
}

/// The tree.
///
/// Invariants:
/// 1. In every node the entries ascend strictly in internal key order.
/// 2. Everything left of a separator is less than it; everything right of it is not.
/// 3. Every key that is routed to a node shares its first `skip` bytes with the node's fences.
/// 4. While a child splits its parent's version is odd, and a root is given a parent before it
///    splits: a reader that validates its way down, the root's pointer included, has missed no
///    split.
/// 5. The first entry of a leaf that is not the first one equals the separator left of it.
///
/// Safe to share: `insert` and `lastLeaf` are one writer's; all that readers follow are atomics of
/// the nodes.
final class BTree: @unchecked Sendable {
  private let arena: Arena
  /// The root's address; 0 while the tree is empty.
  private let root = Atomic<UInt64>(0)
  /// The writer's: lately the rightmost leaf, and still while its link is 0.
  ///
  /// Keys that come in order need no way down.
  private var lastLeaf: Node?

  init(arena: Arena) { self.arena = arena }

  /// The root; nil while the tree is empty.
  var rootNode: Node? { Node(bits: root.load(ordering: .acquiring)) }

  // MARK: - Reading

  /// The first place whose entry is at or behind `(key, tag)`; its index may equal the leaf's
  /// count.
  ///
  /// Nil when the tree is empty.
  func lowerBound(_ key: ByteView, _ tag: Tag) -> LeafPosition? {
    locate(key, tag, goesRightOnEqual: true)
  }

  /// The place behind the last entry that is less than `(key, tag)`, in that entry's leaf: its
  /// index is 0 only when no entry is less.
  ///
  /// Nil when the tree is empty.
  func strictLowerBound(_ key: ByteView, _ tag: Tag) -> LeafPosition? {
    // By invariant 5 the entry wanted is in another leaf only if a separator equals the target.
    locate(key, tag, goesRightOnEqual: false)
  }

  private func locate(_ key: ByteView, _ tag: Tag, goesRightOnEqual: Bool) -> LeafPosition? {
    var attempts = 0
    while true {
      guard let top = Node(bits: root.load(ordering: .acquiring)) else { return nil }
      if let position = descend(from: top, key, tag, goesRightOnEqual) { return position }
      attempts += 1
      BTree.pause(attempts)
    }
  }

  /// One optimistic way down; nil when a node changed under it.
  private func descend(
    from top: Node, _ key: ByteView, _ tag: Tag, _ goesRightOnEqual: Bool
  ) -> LeafPosition? {
    var node = top
    var version = node.version
    guard version % 2 == 0, root.load(ordering: .acquiring) == node.bits else { return nil }
    while !node.isLeaf {
      let count = node.count
      guard
        let index = BTree.search(node, count, key, tag, includesEqual: goesRightOnEqual)
      else { return nil }
      guard let child = Node(bits: node.child(index &- 1)) else { return nil }
      let childVersion = child.version
      guard childVersion % 2 == 0, node.version == version else { return nil }
      node = child
      version = childVersion
    }
    guard let index = BTree.search(node, node.count, key, tag, includesEqual: false),
      node.version == version
    else { return nil }
    return LeafPosition(leaf: node, version: version, index: index)
  }

  /// The number of slots whose entry is less than `(key, tag)`, or not greater with
  /// `includesEqual`.
  ///
  /// Nil when the node is being changed.
  @inline(__always)
  private static func search(
    _ node: Node, _ count: Int, _ key: ByteView, _ tag: Tag, includesEqual: Bool
  ) -> Int? {
    let wanted = key.prefix(at: node.skip)
    var low = 0
    var high = count
    while low < high {
      let middle = (low &+ high) / 2
      let prefix = node.prefix(middle)
      if prefix < wanted {
        low = middle &+ 1
      } else if prefix > wanted {
        high = middle
      } else {
        guard let entry = EntryPointer(bits: node.entry(middle)) else { return nil }
        let order = compareInternal(entry.key, entry.tag, key, tag)
        if order < 0 || (order == 0 && includesEqual) { low = middle &+ 1 } else { high = middle }
      }
    }
    return low
  }

  /// The first or the last leaf; nil when the tree is empty.
  func edgeLeaf(isLast: Bool) -> LeafPosition? {
    var attempts = 0
    while true {
      guard let top = Node(bits: root.load(ordering: .acquiring)) else { return nil }
      if let position = descend(from: top, toLast: isLast) { return position }
      attempts += 1
      BTree.pause(attempts)
    }
  }

  private func descend(from top: Node, toLast isLast: Bool) -> LeafPosition? {
    var node = top
    var version = node.version
    guard version % 2 == 0, root.load(ordering: .acquiring) == node.bits else { return nil }
    while !node.isLeaf {
      guard let child = Node(bits: node.child(isLast ? node.count - 1 : -1)) else { return nil }
      let childVersion = child.version
      guard childVersion % 2 == 0, node.version == version else { return nil }
      node = child
      version = childVersion
    }
    let index = isLast ? node.count - 1 : 0
    guard node.version == version else { return nil }
    return LeafPosition(leaf: node, version: version, index: index)
  }

  /// The entry at a place, going on to the next leaf when the place is behind the last entry.
  ///
  /// - Returns: false when a leaf changed and the place must be looked for again; nil in `entry` at
  ///   the end of the tree.
  func entry(at position: inout LeafPosition, entry: inout EntryPointer?) -> Bool {
    if position.index >= position.leaf.count {
      let next = position.leaf.link
      guard position.leaf.version == position.version else { return false }
      guard let leaf = Node(bits: next) else {
        entry = nil
        return true
      }
      let version = leaf.version
      guard version % 2 == 0 else { return false }
      position = LeafPosition(leaf: leaf, version: version, index: 0)
    }
    let bits = position.leaf.entry(position.index)
    guard position.leaf.version == position.version else { return false }
    entry = EntryPointer(bits: bits)
    return true
  }

  /// Lets the writer finish: it is at most one node's change away, unless the system has taken its
  /// processor, which a few rounds of yielding give back.
  static func pause(_ attempts: Int) {
    if attempts > 16 { yieldProcessor() }
  }

  // MARK: - Writing

  /// Inserts an entry; one with the same key and tag as one that is there already is ignored.
  ///
  /// - Returns: whether it was inserted; nil when memory is short, and the tree is as before.
  func insert(_ key: ByteView, _ tag: Tag, _ value: ByteView) -> Bool? {
    insert(key, tag, value, made: nil)
  }

  /// Inserts an entry that is in the arena, as above.
  func insert(_ entry: EntryPointer) -> Bool? {
    insert(entry.key, entry.tag, entry.value, made: entry)
  }

  /// - Parameter made: the entry, if it is in the arena already.
  @inline(__always)
  private func insert(
    _ key: ByteView, _ tag: Tag, _ value: ByteView, made: EntryPointer?
  ) -> Bool? {
    if let lastLeaf, lastLeaf.link == 0, lastLeaf.count < Node.capacity,
      isBehindLast(lastLeaf, key, tag)
    {
      // What has no fence on its right skips nothing, so that every key may be compared with it.
      assert(lastLeaf.skip == 0)
      return insert(key, tag, value, made, into: lastLeaf, at: lastLeaf.count)
    }
    guard var node = Node(bits: root.load(ordering: .relaxed)) else {
      guard let leaf = Node(isLeaf: true, skip: 0, in: arena),
        let entry = made ?? EntryPointer(key, tag, value, in: arena)
      else { return nil }
      leaf.append(entry, child: nil)
      root.store(leaf.bits, ordering: .releasing)
      lastLeaf = leaf
      return true
    }
    if node.count == Node.capacity {
      guard let grown = growRoot(node) else { return nil }
      node = grown
    }
    var low: EntryPointer?
    var high: EntryPointer?
    while !node.isLeaf {
      guard
        let index = BTree.search(node, node.count, key, tag, includesEqual: true),
        let child = Node(bits: node.child(index &- 1))
      else { preconditionFailure("the tree's own writer met a change") }
      if index > 0 { low = EntryPointer(bits: node.entry(index &- 1)) }
      if index < node.count { high = EntryPointer(bits: node.entry(index)) }
      guard child.count == Node.capacity else {
        node = child
        continue
      }
      // Full nodes are split on the way down, so that a parent always has room.
      let appends = high == nil && isBehindLast(child, key, tag)
      guard split(child, below: node, at: index, low, high, keepsLeftFull: appends) else {
        return nil
      }
    }
    return insert(key, tag, value, made, into: node)
  }

  /// Whether an entry belongs behind all of a node's, which has some.
  @inline(__always)
  private func isBehindLast(_ node: Node, _ key: ByteView, _ tag: Tag) -> Bool {
    let index = node.count &- 1
    // The prefix lies in the node; the entry itself is seldom in the processor's cache.
    let (prefix, wanted) = (node.prefix(index), key.prefix(at: node.skip))
    if prefix != wanted { return prefix < wanted }
    guard let last = EntryPointer(bits: node.entry(index)) else { return false }
    return compareInternal(last.key, last.tag, key, tag) < 0
  }

  private func insert(
    _ key: ByteView, _ tag: Tag, _ value: ByteView, _ made: EntryPointer?, into leaf: Node
  ) -> Bool? {
    let count = leaf.count
    // Keys that come in order go behind the last one: one comparison instead of a search.
    let index =
      isBehindLast(leaf, key, tag)
      ? count : BTree.search(leaf, count, key, tag, includesEqual: false) ?? count
    if index < count, let there = EntryPointer(bits: leaf.entry(index)), there.tag == tag,
      there.key.isEqual(to: key)
    {
      return false
    }
    if leaf.link == 0 { lastLeaf = leaf }
    return insert(key, tag, value, made, into: leaf, at: index)
  }

  @inline(__always)
  private func insert(
    _ key: ByteView, _ tag: Tag, _ value: ByteView, _ made: EntryPointer?, into leaf: Node,
    at index: Int
  ) -> Bool? {
    // Not by `??`, whose right side is a closure that counts the arena.
    var entry = made
    if entry == nil { entry = EntryPointer(key, tag, value, in: arena) }
    guard let entry else { return nil }
    leaf.beginChange()
    leaf.insert(entry, child: nil, at: index)
    leaf.endChange()
    return true
  }

  /// Puts a new root above a full one and splits that.
  private func growRoot(_ old: Node) -> Node? {
    guard let top = Node(isLeaf: false, skip: 0, in: arena) else { return nil }
    top.link = old.bits
    // The new root is whole already: all of the tree is left of its first separator.
    root.store(top.bits, ordering: .releasing)
    guard split(old, below: top, at: 0, nil, nil, keepsLeftFull: false) else { return nil }
    return top
  }

  /// Moves the upper half of `node` to a new sibling.
  ///
  /// `index` is the node's place in its parent.
  ///
  /// - Parameters:
  ///   - low: the separator left of the node, if any, and so its fence.
  ///   - high: the one right of it.
  ///   - keepsLeftFull: for keys that come in order, all but the last slot stay.
  private func split(
    _ node: Node, below parent: Node, at index: Int, _ low: EntryPointer?, _ high: EntryPointer?,
    keepsLeftFull: Bool
  ) -> Bool {
    let count = node.count
    let middle = keepsLeftFull ? count - 1 : count / 2
    guard let separator = EntryPointer(bits: node.entry(middle)) else { return false }
    let rightSkip = high.map { separator.key.sharedPrefixCount($0.key) } ?? 0
    let leftSkip = low.map { $0.key.sharedPrefixCount(separator.key) } ?? 0
    guard let right = Node(isLeaf: node.isLeaf, skip: rightSkip, in: arena) else { return false }
    // A leaf's separator stays in the right leaf; an inner node's moves up.
    let first = node.isLeaf ? middle : middle + 1
    for slot in first..<count {
      guard let entry = EntryPointer(bits: node.entry(slot)) else { return false }
      right.append(entry, child: node.isLeaf ? nil : node.child(slot))
    }
    right.link = node.isLeaf ? node.link : node.child(middle)
    parent.beginChange()
    node.beginChange()
    if node.isLeaf { node.link = right.bits }
    node.truncate(to: middle)
    node.raiseSkip(to: leftSkip)
    node.endChange()
    parent.insert(separator, child: right.bits, at: index)
    parent.endChange()
    return true
  }
}
