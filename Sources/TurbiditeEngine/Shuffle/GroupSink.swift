// GroupSink — where one worker's emitted values go.
//
// Room:    Engine/Shuffle.

/// Folds values by key in memory, and writes a sorted run to disk when its share is full.
///
/// One thread at a time uses it. After ``failure`` is set, what is added is ignored.
package final class GroupSink {
  private let shuffle: Shuffle
  private let tableByteLimit: Int
  private var table: GroupTable
  /// The split in which the table began, and the tables that had begun in it before.
  private var firstSplit = 0
  private var tableIndex = 0
  private var lastSplit = -1
  /// Bytes added since the table's size was looked at.
  private var uncheckedByteCount = 0
  /// Why nothing more can be taken.
  package private(set) var failure: StoreError?
  /// Values that were added.
  package private(set) var valueCount: UInt64 = 0

  private static let checkByteCount = 32 << 10

  init(_ shuffle: Shuffle) throws(StoreError) {
    self.shuffle = shuffle
    tableByteLimit = shuffle.limits.tableByteCount
    table = try GroupTable(
      shuffle.fold, partitionCount: shuffle.limits.partitionCount, pool: shuffle.pool)
  }

  /// Says that what follows comes from split `number`: one behind the last where order matters, or
  /// a new table begins.
  ///
  /// - Precondition: splits ascend between tables.
  package func begin(split number: Int) throws(StoreError) {
    defer { lastSplit = number }
    if table.count == 0 {
      if number != lastSplit { tableIndex = 0 }
      firstSplit = number
      return
    }
    if number == lastSplit + 1 || number == lastSplit || shuffle.fold.isOrderFree { return }
    try seal()
    firstSplit = number
    tableIndex = 0
  }

  /// Adds a word to the group of a key.
  package func add(_ key: RawSpan, word: UInt64) {
    key.withView { key in
      guard isReady(for: key, 8) else { return }
      do throws(StoreError) { try table.add(key, word: word) } catch { failure = error }
    }
  }

  /// Adds a value of bytes to the group of a key.
  package func add(_ key: RawSpan, value: RawSpan) {
    key.withView { key in
      value.withView { value in
        guard isReady(for: key, value.count) else { return }
        do throws(StoreError) { try table.add(key, value: value) } catch { failure = error }
      }
    }
  }

  /// Hands over what is left.
  package func finish() throws(StoreError) {
    if let failure { throw failure }
    if table.count > 0 { try seal() }
  }

  @inline(__always)
  private func isReady(for key: ByteView, _ byteCount: Int) -> Bool {
    valueCount &+= 1
    uncheckedByteCount &+= key.count &+ byteCount
    return uncheckedByteCount < GroupSink.checkByteCount && key.count <= Limits.keyByteCount
      ? failure == nil : check(key, byteCount)
  }

  private func check(_ key: ByteView, _ byteCount: Int) -> Bool {
    guard failure == nil else { return false }
    do throws(StoreError) {
      guard key.count <= Limits.keyByteCount else {
        throw .invalidArgument(
          "an emitted key has \(key.count) bytes, over \(Limits.keyByteCount)")
      }
      guard byteCount <= Limits.valueByteCount else {
        throw .invalidArgument(
          "an emitted value has \(byteCount) bytes, over \(Limits.valueByteCount)")
      }
      uncheckedByteCount = 0
      if table.memoryByteCount > tableByteLimit, table.count > 0 {
        try shuffle.spill(run())
        try renew()
      }
      return true
    } catch {
      failure = error
      return false
    }
  }

  private func run() throws(StoreError) -> GroupRun {
    table.sorted(order: try PieceOrder(split: firstSplit, table: tableIndex))
  }

  /// Ends the table, which stays in memory.
  private func seal() throws(StoreError) {
    shuffle.add(try run())
    try renew()
  }

  private func renew() throws(StoreError) {
    table = try GroupTable(
      shuffle.fold, partitionCount: shuffle.limits.partitionCount, pool: shuffle.pool)
    let split = max(lastSplit, firstSplit)
    tableIndex = split == firstSplit ? tableIndex + 1 : 0
    firstSplit = split
  }
}
