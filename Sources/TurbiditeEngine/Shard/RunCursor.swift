// RunCursor — the disjoint, ascending tables of one level as one source.
//
// Room:    Engine/Shard.

import TurbiditeSystem

/// Walks tables one after the other, opening each when it is reached.
final class RunCursor: TableCursor {
  private let tables: [TableHandle]
  private var index = -1

  init(_ tables: [TableHandle], access: BlockAccess) {
    precondition(!tables.isEmpty)
    self.tables = tables
    super.init(nil, access: access)
  }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    enter(try open(0))
    try super.seekToFirst()
  }

  override func seekToLast() throws(StoreError) {
    isValid = false
    enter(try open(tables.count - 1))
    try super.seekToLast()
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    enter(try open(TreeVersion.firstIndex(notBefore: target, in: tables)))
    try super.seek(target, tag)
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    let index = TreeVersion.firstIndex(notBefore: target, in: tables)
    enter(try open(min(index, tables.count - 1)))
    try super.seekBefore(target, tag)
  }

  override func readerBehind() throws(StoreError) -> TableReader? { try open(index + 1) }

  override func readerBefore() throws(StoreError) -> TableReader? {
    try open(index - (planted(.skipTableBackward) ? 2 : 1))
  }

  private func open(_ wanted: Int) throws(StoreError) -> TableReader? {
    guard tables.indices.contains(wanted) else { return nil }
    let reader = try tables[wanted].open()
    index = wanted
    return reader
  }
}
