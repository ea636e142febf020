// TableCursor — a position in one table.
//
// Room:    Engine/Table.
// Limits:  One thread. Holds the reader and one block.

/// A cursor over the entries of a table.
///
/// Invariant, besides those of ``EntryCursor``: while valid, `block` is data block `number`, and
/// `entry` one of its entries.
final class TableCursor: EntryCursor {
  private let reader: TableReader
  private let access: BlockAccess
  private var readAhead: ReadAhead?
  private var block: Block?
  private var number = 0
  private var entry = 0

  init(_ reader: TableReader, access: BlockAccess) {
    precondition(access != .cachedOnly, "a cursor may have to read")
    self.reader = reader
    self.access = access
    if access != .point { readAhead = ReadAhead(access: access) }
  }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    guard reader.index.count > 0 else { return }
    show(try load(0), 0)
  }

  override func seekToLast() throws(StoreError) {
    isValid = false
    guard reader.index.count > 0 else { return }
    let block = try load(reader.index.count - 1)
    show(block, block.count - 1)
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    let first = reader.index.firstBlock(from: target, tag)
    guard first < reader.index.count else { return }
    let block = try load(first)
    let found = block.firstIndex(from: target, tag)
    if found < block.count { show(block, found) } else { try showNextBlock() }
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    try seek(target, tag)
    if isValid { try previous() } else { try seekToLast() }
  }

  override func next() throws(StoreError) {
    assert(isValid)
    let following = entry &+ (planted(.skipLastOfBlock) ? 2 : 1)
    if let block, following < block.count {
      show(block, following)
    } else {
      isValid = false
      try showNextBlock()
    }
  }

  override func previous() throws(StoreError) {
    assert(isValid)
    if let block, entry > 0 { return show(block, entry &- 1) }
    isValid = false
    guard number > 0 else { return }
    let block = try load(number - 1)
    show(block, block.count - 1)
  }

  /// Makes data block `wanted` the current one.
  private func load(_ wanted: Int) throws(StoreError) -> Block {
    if let block, number == wanted { return block }
    block = nil
    var loaded = try readAhead?.block(wanted, of: reader)
    if loaded == nil { loaded = try reader.block(wanted, access) }
    guard let loaded else { preconditionFailure("only a cached-only access finds no block") }
    block = loaded
    number = wanted
    return loaded
  }

  private func showNextBlock() throws(StoreError) {
    guard number + 1 < reader.index.count else { return }
    show(try load(number + 1), 0)
  }

  @inline(__always)
  private func show(_ block: Block, _ wanted: Int) {
    entry = wanted
    key = block.key(wanted)
    tag = block.tag(wanted)
    value = block.value(wanted)
    isValid = true
  }
}
