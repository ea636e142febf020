// GroupSink — where one worker's emitted values go.
//
// Room:    Engine/Shuffle.

/// Takes the runs of sinks.
protocol RunTaker: AnyObject, Sendable {
  var fold: GroupFold { get }
  var partitionCount: Int { get }
  /// The size at which a sink hands its table over.
  var tableByteCount: Int { get }
  var pool: ChunkPool { get }

  /// - Parameter isLast: the sink comes to an end of what it holds, and needs no room for more.
  func take(_ run: GroupRun, isLast: Bool) throws(StoreError)
}

/// Folds values by key in memory, and hands over a sorted run when its share is full.
///
/// One thread at a time uses it. After ``failure`` is set, what is added is ignored.
package final class GroupSink {
  private let taker: any RunTaker
  private let fold: GroupFold
  private let tableByteLimit: Int
  private let table: GroupTable
  /// The split in which the table began, and the tables that had begun in it before.
  private var firstSplit = 0
  private var tableIndex = 0
  private var lastSplit: Int
  /// Bytes added since the table's size was looked at.
  private var uncheckedByteCount = 0
  private var refusal: StoreError?
  private var addedCount: UInt64 = 0

  private static let checkByteCount = 32 << 10
  /// Whether a state may grow by much more than what is added.
  private let hasLargeStates: Bool

  /// - Parameter split: where the first table begins, with how many there were before it.
  init(_ taker: any RunTaker, split: Int = 0, tableIndex: Int = 0) throws(StoreError) {
    self.taker = taker
    fold = taker.fold
    tableByteLimit = taker.tableByteCount
    switch taker.fold {
    case .blob, .values: hasLargeStates = true
    default: hasLargeStates = false
    }
    firstSplit = split
    lastSplit = split
    self.tableIndex = tableIndex
    table = try GroupTable(
      taker.fold, partitionCount: taker.partitionCount, pool: taker.pool)
  }

  /// Why nothing more can be taken.
  package var failure: StoreError? { refusal }
  /// Values that were added.
  package var valueCount: UInt64 { addedCount }

  /// Says that what follows comes from split `number`: one behind the last where order matters, or
  /// a new table begins.
  ///
  /// - Precondition: splits ascend between tables.
  package func begin(split number: Int) throws(StoreError) {
    defer { lastSplit = number }
    if table.isEmpty {
      if number != lastSplit { tableIndex = 0 }
      firstSplit = number
      return
    }
    if number == lastSplit + 1 || number == lastSplit || fold.isOrderFree { return }
    try hand(over: true)
    firstSplit = number
    tableIndex = 0
  }

  /// Adds a word to the group of a key.
  package func add(_ key: RawSpan, word: UInt64) {
    key.withView { key in
      guard isReady(for: key, 8) else { return }
      do throws(StoreError) { try table.add(key, word: word) } catch { refusal = error }
    }
  }

  /// Adds a value of bytes to the group of a key.
  package func add(_ key: RawSpan, value: RawSpan) {
    key.withView { key in
      value.withView { value in
        guard isReady(for: key, value.count) else { return }
        do throws(StoreError) { try table.add(key, value: value) } catch { refusal = error }
      }
    }
  }

  /// Hands over what is left.
  package func finish() throws(StoreError) {
    if let failure { throw failure }
    if !table.isEmpty { try hand(over: true) }
  }

  @inline(__always)
  private func isReady(for key: ByteView, _ byteCount: Int) -> Bool {
    addedCount &+= 1
    uncheckedByteCount &+= key.count &+ byteCount
    if uncheckedByteCount < GroupSink.checkByteCount, key.count <= Limits.keyByteCount,
      !hasLargeStates || table.memoryByteCount <= tableByteLimit
    {
      return refusal == nil
    }
    return check(key, byteCount)
  }

  /// Says why a key and a value of these sizes cannot be taken; nil when they can.
  package static func objection(keyByteCount: Int, valueByteCount: Int) -> String? {
    if keyByteCount > Limits.keyByteCount {
      return "an emitted key has \(keyByteCount) bytes, over \(Limits.keyByteCount)"
    }
    if valueByteCount > Limits.valueByteCount {
      return "an emitted value has \(valueByteCount) bytes, over \(Limits.valueByteCount)"
    }
    return nil
  }

  private func check(_ key: ByteView, _ byteCount: Int) -> Bool {
    guard refusal == nil else { return false }
    do throws(StoreError) {
      if let what = GroupSink.objection(keyByteCount: key.count, valueByteCount: byteCount) {
        throw .invalidArgument(what)
      }
      uncheckedByteCount = 0
      if table.memoryByteCount > tableByteLimit, !table.isEmpty {
        try hand(over: false)
      }
      return true
    } catch {
      refusal = error
      return false
    }
  }

  /// Ends the table.
  private func hand(over isLast: Bool) throws(StoreError) {
    let filled = try table.detach()
    try taker.take(
      filled.sorted(order: try PieceOrder(split: firstSplit, table: tableIndex)), isLast: isLast)
    let split = max(lastSplit, firstSplit)
    tableIndex = split == firstSplit ? tableIndex + 1 : 0
    firstSplit = split
  }
}
