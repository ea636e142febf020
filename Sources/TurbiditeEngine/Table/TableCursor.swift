// TableCursor — a position in one table, or in tables that follow each other.
//
// Room:    Engine/Table.
// Limits:  One thread. Holds a reader and one block.

/// A cursor over the entries of a table.
///
/// A subclass may go on into other tables where this one ends, so that a walk over a whole level is
/// one cursor, and costs an entry no more than that over a table.
///
/// Invariant, besides those of ``EntryCursor``: while valid, `block` is data block `number` of
/// `reader`, and `entry` one of its entries.
class TableCursor: EntryCursor {
  private final let access: BlockAccess
  private final var reader: TableReader?
  private final var readAhead: ReadAhead?
  private final var block: Block?
  private final var number = 0
  private final var entry = 0

  /// - Parameter largestWindow: how many bytes are read ahead at most, where many cursors share
  ///   little memory.
  init(
    _ reader: TableReader?, access: BlockAccess, largestWindow: Int = ReadAhead.largestWindow
  ) {
    precondition(access != .cachedOnly, "a cursor may have to read")
    self.reader = reader
    self.access = access
    if access != .point { readAhead = ReadAhead(access: access, largestWindow: largestWindow) }
  }

  /// The table behind the current one, which the cursor is to go on in; nil at the end.
  func readerBehind() throws(StoreError) -> TableReader? { nil }

  /// The table before the current one; nil at the beginning.
  func readerBefore() throws(StoreError) -> TableReader? { nil }

  /// Makes `reader` the current table; the cursor stands nowhere in it.
  final func enter(_ reader: TableReader?) {
    isValid = false
    if reader === self.reader { return }
    block = nil
    readAhead?.leaveTable()
    self.reader = reader
  }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    try showBlock(0)
  }

  override func seekToLast() throws(StoreError) {
    isValid = false
    try showBlock(before: reader?.index.count ?? 0)
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    guard let reader else { return }
    let first = reader.index.firstBlock(from: target, tag)
    guard first < reader.index.count else { return try showBlock(first) }
    let block = try load(first, of: reader)
    let found = block.firstIndex(from: target, tag)
    if found < block.count { show(block, found) } else { try showBlock(first &+ 1) }
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    guard let reader else { return }
    let first = reader.index.firstBlock(from: target, tag)
    if first < reader.index.count {
      let block = try load(first, of: reader)
      let found = block.firstIndex(from: target, tag)
      if found > 0 { return show(block, found &- 1) }
    }
    try showBlock(before: first)
  }

  final override func next() throws(StoreError) {
    assert(isValid)
    let following = entry &+ (planted(.skipLastOfBlock) ? 2 : 1)
    if let block, following < block.count { return show(block, following) }
    isValid = false
    try showBlock(number &+ 1)
  }

  final override func previous() throws(StoreError) {
    assert(isValid)
    if let block, entry > 0 { return show(block, entry &- 1) }
    isValid = false
    try showBlock(before: number)
  }

  /// Makes data block `wanted` the current one.
  private final func load(_ wanted: Int, of reader: TableReader) throws(StoreError) -> Block {
    if let block, number == wanted { return block }
    block = nil
    var loaded = try readAhead?.block(wanted, of: reader)
    if loaded == nil { loaded = try reader.block(wanted, access) }
    guard let loaded else { preconditionFailure("only a cached-only access finds no block") }
    block = loaded
    number = wanted
    return loaded
  }

  /// Shows the first entry of block `wanted`, or of the next table that has one.
  private final func showBlock(_ wanted: Int) throws(StoreError) {
    var wanted = wanted
    while let reader {
      if wanted < reader.index.count { return show(try load(wanted, of: reader), 0) }
      guard let next = try readerBehind() else { return }
      enter(next)
      readAhead?.expectBlock(after: -1)
      wanted = 0
    }
  }

  /// Shows the last entry before block `limit`, or of the nearest table before that has one.
  private final func showBlock(before limit: Int) throws(StoreError) {
    var limit = limit
    while let reader {
      if limit > 0 {
        let block = try load(limit &- 1, of: reader)
        return show(block, block.count &- 1)
      }
      guard let previous = try readerBefore() else { return }
      enter(previous)
      limit = previous.index.count
      readAhead?.expectBlock(after: limit)
    }
  }

  @inline(__always)
  private final func show(_ block: Block, _ wanted: Int) {
    entry = wanted
    key = block.key(wanted)
    tag = block.tag(wanted)
    value = block.value(wanted)
    isValid = true
  }
}
