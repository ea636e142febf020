// RunCursor — the disjoint, ascending tables of one level as one source.
//
// Room:    Engine/Shard.

import TurbiditeSystem

/// Walks tables one after the other, opening each when it is reached.
final class RunCursor: EntryCursor {
  private let tables: [TableHandle]
  private let access: BlockAccess
  private var index = 0
  private var cursor: EntryCursor?

  init(_ tables: [TableHandle], access: BlockAccess) {
    self.tables = tables
    self.access = access
  }

  override func seekToFirst() throws(StoreError) {
    try enter(0)
    try cursor?.seekToFirst()
    try skipForward()
  }

  override func seekToLast() throws(StoreError) {
    try enter(tables.count - 1)
    try cursor?.seekToLast()
    try skipBackward()
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    try enter(TreeVersion.firstIndex(notBefore: target, in: tables))
    try cursor?.seek(target, tag)
    try skipForward()
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    let index = TreeVersion.firstIndex(notBefore: target, in: tables)
    try enter(min(index, tables.count - 1))
    try cursor?.seekBefore(target, tag)
    try skipBackward()
  }

  override func next() throws(StoreError) {
    try cursor?.next()
    try skipForward()
  }

  override func previous() throws(StoreError) {
    try cursor?.previous()
    try skipBackward()
  }

  private func enter(_ index: Int) throws(StoreError) {
    isValid = false
    guard tables.indices.contains(index) else {
      cursor = nil
      return
    }
    if self.index != index || cursor == nil {
      cursor = nil
      cursor = try tables[index].open().makeCursor(access: access)
      self.index = index
    }
  }

  private func skipForward() throws(StoreError) {
    while let cursor, !cursor.isValid {
      try enter(index + 1)
      try self.cursor?.seekToFirst()
    }
    publish()
  }

  private func skipBackward() throws(StoreError) {
    while let cursor, !cursor.isValid {
      try enter(index - (planted(.skipTableBackward) ? 2 : 1))
      try self.cursor?.seekToLast()
    }
    publish()
  }

  @inline(__always)
  private func publish() {
    guard let cursor else {
      isValid = false
      return
    }
    isValid = true
    key = cursor.key
    tag = cursor.tag
    value = cursor.value
  }
}
