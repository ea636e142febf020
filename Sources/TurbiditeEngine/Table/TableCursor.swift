// TableCursor — a position in one table.
//
// Room:    Engine/Table.
// Limits:  One thread. Holds the reader and one block.

/// A cursor over the entries of a table.
///
/// It decodes sixteen entries at a time, from one restart point to the next, and steps through
/// them; so both directions cost the same.
///
/// Invariants, besides those of ``EntryCursor``:
/// 1. While valid, `block` is data block `number`, `group` holds its restart group `groupIndex`,
///    and `entry < group.count`.
/// 2. Every entry met lies between the separators around its block, in ascending order.
final class TableCursor: EntryCursor {
  private let reader: TableReader
  private let access: BlockAccess
  private var readAhead = ReadAhead()
  private var block: Block?
  /// The bytes of `block`, kept apart so that a step does not count a reference.
  private var payload = ByteView.empty
  private var number = 0
  private var group: EntryGroup
  private var groupIndex = 0
  private var entry = 0

  init(_ reader: TableReader, access: BlockAccess) throws(StoreError) {
    precondition(access != .cachedOnly, "a cursor may have to read")
    self.reader = reader
    self.access = access
    group = try EntryGroup()
  }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    guard reader.index.count > 0 else { return }
    try load(0)
    try show(group: 0, entry: 0)
  }

  override func seekToLast() throws(StoreError) {
    isValid = false
    guard reader.index.count > 0 else { return }
    try showLast(of: reader.index.count - 1)
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    let first = reader.index.firstBlock(from: target, tag)
    guard first < reader.index.count else { return }
    let block = try load(first)
    let index = try block.restartGroup(before: target, tag)
    try decode(block, index)
    let found = group.firstIndex(from: target, tag)
    if found < group.count {
      try show(group: index, entry: found)
    } else {
      try showNextGroup(after: index)
    }
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    try seek(target, tag)
    if isValid { try previous() } else { try seekToLast() }
  }

  override func next() throws(StoreError) {
    assert(isValid)
    if entry &+ (planted(.skipLastOfGroup) ? 2 : 1) < group.count {
      entry &+= 1
      publish()
    } else {
      isValid = false
      try showNextGroup(after: groupIndex)
    }
  }

  override func previous() throws(StoreError) {
    assert(isValid)
    if entry > 0 {
      entry &-= 1
      publish()
      return
    }
    isValid = false
    guard let block else { return }
    if groupIndex > 0 {
      let before = groupIndex - 1
      try decode(block, before)
      try show(group: before, entry: group.count - 1)
    } else if number > 0 {
      try showLast(of: number - 1)
    }
  }

  /// Makes data block `wanted` the current one.
  @discardableResult
  private func load(_ wanted: Int) throws(StoreError) -> Block {
    if let block, number == wanted { return block }
    block = nil
    var loaded: Block?
    if access == .scan {
      loaded = try readAhead.block(wanted, of: reader)
    } else {
      loaded = try reader.block(wanted, access)
    }
    guard let loaded else { preconditionFailure("only a cached-only access finds no block") }
    block = loaded
    payload = loaded.payload
    number = wanted
    groupIndex = -1
    return loaded
  }

  /// Decodes a group of the current block, and checks it against the separators around the block.
  private func decode(_ block: Block, _ index: Int) throws(StoreError) {
    groupIndex = -1
    try group.decode(block, group: index)
    if index == 0 && number > 0 {
      let first = group[0]
      guard reader.index.orderOfSeparator(number - 1, group.key(first), first.tag) < 0 else {
        throw block.corrupt("the first key is not after the index's separator", at: 0)
      }
    }
    if index == block.restartCount - 1 {
      let last = group[group.count - 1]
      guard reader.index.orderOfSeparator(number, group.key(last), last.tag) >= 0 else {
        throw block.corrupt("the last key is after the index's separator", at: 0)
      }
    }
    groupIndex = index
  }

  private func show(group index: Int, entry wanted: Int) throws(StoreError) {
    if groupIndex != index, let block { try decode(block, index) }
    entry = wanted
    publish()
    isValid = true
  }

  private func showLast(of wanted: Int) throws(StoreError) {
    let block = try load(wanted)
    try decode(block, block.restartCount - 1)
    try show(group: block.restartCount - 1, entry: group.count - 1)
  }

  private func showNextGroup(after index: Int) throws(StoreError) {
    guard let block else { return }
    if index + 1 < block.restartCount {
      try show(group: index + 1, entry: 0)
    } else if number + 1 < reader.index.count {
      try load(number + 1)
      try show(group: 0, entry: 0)
    }
  }

  @inline(__always)
  private func publish() {
    let current = group[entry]
    key = group.key(current)
    tag = current.tag
    value = payload.slice(current.valueStart, current.valueCount)
  }
}
