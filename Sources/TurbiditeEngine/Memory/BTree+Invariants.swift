// BTree+Invariants — the whole tree held against its rules. For tests, and for doubt.
//
// Room:    Engine/Memory.

extension BTree {
  /// Walks the tree and stops the program where a rule is broken.
  ///
  /// By the writer, or at rest.
  func checkInvariants() {
    guard let top = rootNode else { return }
    var leaves: [UInt64] = []
    check(top, low: nil, high: nil, &leaves)
    // The leaves are linked in the order in which the tree reaches them.
    for (leaf, next) in zip(leaves, leaves.dropFirst() + [0]) {
      precondition(Node(bits: leaf)?.link == next, "leaves are linked in order")
    }
  }

  private func check(
    _ node: Node, low: EntryPointer?, high: EntryPointer?, _ leaves: inout [UInt64]
  ) {
    precondition(node.version % 2 == 0, "no node is being changed")
    var previous = low
    for index in 0..<node.count {
      guard let entry = EntryPointer(bits: node.entry(index)) else {
        preconditionFailure("a slot below the count is empty")
      }
      precondition(node.prefix(index) == entry.key.prefix(at: node.skip), "a prefix is right")
      if let previous {
        let order = compareInternal(previous.key, previous.tag, entry.key, entry.tag)
        // The first entry of a leaf equals the separator left of it (invariant 5).
        let mayEqual = index == 0 && node.isLeaf
        precondition(order < 0 || (order == 0 && mayEqual), "entries ascend")
        if mayEqual { precondition(order == 0, "a leaf begins with its separator") }
      }
      if let high {
        precondition(
          compareInternal(entry.key, entry.tag, high.key, high.tag) < 0, "a fence holds")
      }
      previous = entry
    }
    if let low, let high {
      precondition(node.skip <= low.key.sharedPrefixCount(high.key), "the fences share the skip")
    }
    guard !node.isLeaf else { return leaves.append(node.bits) }
    for index in -1..<node.count {
      guard let child = Node(bits: node.child(index)) else {
        preconditionFailure("a child is missing")
      }
      let left = index < 0 ? low : EntryPointer(bits: node.entry(index))
      let right = index + 1 < node.count ? EntryPointer(bits: node.entry(index + 1)) : high
      check(child, low: left, high: right, &leaves)
    }
  }
}

extension Memtable {
  /// Checks the tree and the range tombstones.
  ///
  /// By the writer, or at rest.
  func checkInvariants() {
    checkTree()
    rangeTombstones.checkInvariants()
  }
}
