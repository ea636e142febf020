// GroupRun — the groups of one table in order, as one of the sources of a merge.
//
// Room:    Engine/Shuffle.

/// Which place the states of a table have among all states of a key.
///
/// States are merged in the order of the input. A table holds what one worker has read of a range
/// of the input without gaps; its number is that of the split in which it began, and the count of
/// tables that the worker had begun in it before. A key's values are states in several chunks.
package struct PieceOrder: Sendable, Hashable {
  /// Splits of a job.
  static let splitLimit = 1 << 16
  /// Tables that begin in one split, and chunks of one key in a table.
  private static let tableLimit: UInt64 = 1 << 18
  private static let chunkLimit: UInt64 = 1 << 22

  private let first: UInt64

  init(split: Int, table: Int) throws(StoreError) {
    precondition(split >= 0)
    precondition(split < PieceOrder.splitLimit)
    guard table < PieceOrder.tableLimit else {
      throw .resourceExhausted("one split of a job fills more than \(PieceOrder.tableLimit) tables")
    }
    first = (UInt64(split) * PieceOrder.tableLimit + UInt64(table)) * PieceOrder.chunkLimit
  }

  /// The tag of a chunk: among entries of one key the larger tag comes first.
  func tag(chunk: UInt64) -> Tag {
    precondition(chunk < PieceOrder.chunkLimit, "a table is not that large")
    return Tag(sequence: Tag.maximumSequence - first - chunk, kind: .value)
  }
}

/// A sorted table.
///
/// Immutable.
final class GroupRun: Sendable {
  struct Item: Sendable {
    /// Eight bytes of the key, the first one left out.
    var prefix: UInt64
    var address: UInt64
  }

  let table: GroupTable
  let items: [Item]
  let order: PieceOrder

  init(table: GroupTable, items: [Item], order: PieceOrder) {
    self.table = table
    self.items = items
    self.order = order
  }

  func makeCursor() -> EntryCursor { GroupRunCursor(self) }

  /// The first item that is not before `target`.
  fileprivate func firstIndex(from target: ByteView) -> Int {
    var low = 0
    var high = items.count
    while low < high {
      let middle = (low + high) / 2
      if table.key(at: items[middle].address).compare(target) < 0 {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }
}

/// Walks a run forward: an entry for each state, or for each chunk of a key's values.
private final class GroupRunCursor: EntryCursor {
  private let run: GroupRun
  private let holdsChunks: Bool
  private var index = 0
  /// The chunk after the current one; 0 when there is none.
  private var nextChunk: UInt64 = 0
  private var chunkIndex: UInt64 = 0

  init(_ run: GroupRun) {
    self.run = run
    if case .values = run.table.fold { holdsChunks = true } else { holdsChunks = false }
  }

  override func seekToFirst() throws(StoreError) { show(0) }

  /// Whatever the tag: the states of a key are seen from the first on.
  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    show(run.firstIndex(from: target))
  }

  override func next() throws(StoreError) {
    assert(isValid)
    guard nextChunk != 0 else { return show(index &+ 1) }
    let chunk = ValueChunks.chunk(at: nextChunk)
    chunkIndex &+= 1
    tag = run.order.tag(chunk: chunkIndex)
    value = chunk.values
    nextChunk = chunk.next
  }

  private func show(_ wanted: Int) {
    index = wanted
    isValid = wanted < run.items.count
    guard isValid else { return }
    // In the order of keys, entries lie anywhere: the one that is due soon is fetched now.
    let ahead = wanted &+ 8
    if ahead < run.items.count { run.table.prefetch(run.items[ahead].address) }
    let address = run.items[wanted].address
    key = run.table.key(at: address)
    tag = run.order.tag(chunk: 0)
    chunkIndex = 0
    guard holdsChunks else {
      value = run.table.stateView(at: address)
      return
    }
    let chunk = ValueChunks.chunk(at: run.table.state(at: address)[0])
    value = chunk.values
    nextChunk = chunk.next
  }
}
