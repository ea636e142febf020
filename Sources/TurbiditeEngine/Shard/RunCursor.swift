// RunCursor — the disjoint, ascending tables of one level as one source.
//
// Room:    Engine/Shard.

import TurbiditeSystem

/// Walks tables one after the other, opening each when it is reached.
final class RunCursor: TableCursor {
  private let tables: [TableHandle]
  /// The tables that are walked.
  private let range: Range<Int>
  private var index = -1

  /// - Parameter range: of the tables those that are wanted; nil means all.
  init(_ tables: [TableHandle], within range: Range<Int>? = nil, access: BlockAccess) {
    self.range = range ?? tables.indices
    precondition(!self.range.isEmpty)
    self.tables = tables
    super.init(nil, access: access)
  }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    enter(try open(range.lowerBound))
    try super.seekToFirst()
  }

  override func seekToLast() throws(StoreError) {
    isValid = false
    enter(try open(range.upperBound - 1))
    try super.seekToLast()
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    enter(
      try open(max(range.lowerBound, TreeVersion.firstIndex(notBefore: target, in: tables))))
    try super.seek(target, tag)
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    let index = TreeVersion.firstIndex(notBefore: target, in: tables)
    enter(try open(min(index, range.upperBound - 1)))
    try super.seekBefore(target, tag)
  }

  override func readerBehind() throws(StoreError) -> TableReader? { try open(index + 1) }

  override func readerBefore() throws(StoreError) -> TableReader? {
    try open(index - (planted(.skipTableBackward) ? 2 : 1))
  }

  private func open(_ wanted: Int) throws(StoreError) -> TableReader? {
    guard range.contains(wanted) else { return nil }
    let reader = try tables[wanted].open()
    index = wanted
    return reader
  }
}
