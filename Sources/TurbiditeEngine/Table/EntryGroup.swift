// EntryGroup — the entries from one restart point to the next, their keys rebuilt.
//
// Room:    Engine/Table. A cursor steps through a group in either direction without decoding.
// Format:  FORMAT.md section 3.3.

/// Up to sixteen decoded entries of one block.
///
/// Decoding a whole group at once makes stepping backwards as cheap as forwards, and puts all
/// checks of order into one loop.
struct EntryGroup {
  /// An entry; its key is in the arena, its value in the block.
  struct Entry {
    var keyStart = 0
    var keyCount = 0
    var tag = Tag(rawValue: 0)
    var valueStart = 0
    var valueCount = 0
  }

  private var entries = [Entry](repeating: Entry(), count: TableFormat.restartInterval)
  private var keys: KeyArena
  private(set) var count = 0

  init() throws(StoreError) { keys = try KeyArena() }

  @inline(__always)
  subscript(index: Int) -> Entry { entries[index] }

  /// The key of an entry; valid until the next call of ``decode(_:group:)``.
  @inline(__always)
  func key(_ entry: Entry) -> ByteView { keys.view(entry.keyStart, entry.keyCount) }

  /// The first entry at or after `(target, tag)`; `count` when there is none.
  func firstIndex(from target: ByteView, _ tag: Tag) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low &+ high) / 2
      let entry = entries[middle]
      if compareInternal(key(entry), entry.tag, target, tag) < 0 {
        low = middle &+ 1
      } else {
        high = middle
      }
    }
    return low
  }

  /// Decodes restart group `group` of `block`, and checks that its keys ascend strictly, up to the
  /// first key of the next group, and that it ends where that begins.
  mutating func decode(_ block: Block, group: Int) throws(StoreError) {
    keys.removeAll()
    count = 0
    let first = group &* TableFormat.restartInterval
    let size = min(TableFormat.restartInterval, block.entryCount &- first)
    var (position, valuePosition) = try block.restart(group)
    var previous = Entry()
    var index = 0
    while index < size {
      let head = try block.entry(at: position)
      let keyCount = head.shared &+ head.deltaCount
      guard head.shared <= previous.keyCount,
        head.valueCount <= block.payload.count &- valuePosition,
        keyCount <= TableFormat.largestKeyByteCount
      else { throw block.corrupt("an entry exceeds its bounds", at: position) }
      let delta = block.payload.slice(head.deltaStart, head.deltaCount)
      if index > 0 {
        // The delta must continue the key before upwards, or repeat it with an older tag.
        let ascends: Bool
        if head.shared == previous.keyCount {
          ascends = delta.count > 0 || head.tag.rawValue < previous.tag.rawValue
        } else {
          ascends = delta.count > 0 && delta[0] > key(previous)[head.shared]
        }
        guard ascends else { throw block.corrupt("keys do not ascend", at: position) }
      }
      let start = keys.count
      try keys.append(sharing: head.shared, from: previous.keyStart, delta: delta)
      previous = Entry(
        keyStart: start, keyCount: keyCount, tag: head.tag, valueStart: valuePosition,
        valueCount: head.valueCount)
      entries[index] = previous
      position = head.end
      valuePosition &+= head.valueCount
      index &+= 1
    }
    try checkEnd(block, group, previous, position, valuePosition)
    count = size
  }

  private func checkEnd(
    _ block: Block, _ group: Int, _ last: Entry, _ position: Int, _ valuePosition: Int
  ) throws(StoreError) {
    guard group &+ 1 < block.restartCount else {
      guard position == block.keysEnd, valuePosition == block.payload.count else {
        throw block.corrupt("the entries do not fill the block", at: position)
      }
      return
    }
    let next = try block.restart(group &+ 1)
    guard next.keyOffset == position, next.valueOffset == valuePosition else {
      throw block.corrupt("a restart point is not where its entry is", at: position)
    }
    let head = try block.entry(at: position)
    let nextKey = block.payload.slice(head.deltaStart, head.deltaCount)
    guard head.shared == 0, compareInternal(key(last), last.tag, nextKey, head.tag) < 0 else {
      throw block.corrupt("keys do not ascend", at: position)
    }
  }
}
