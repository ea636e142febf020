// Block — one data block in memory, decoded: columns to search, whole keys, values.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.3 is what it is made from; what it is in memory is nobody else's.
// Source:  Searching eight-byte prefixes as integers: Graefe and Larson, "B-Tree Indexes and CPU
//          Caches", ICDE 2001, section 4, with the prefix that all keys share left out.
// Limits:  Immutable; any number of threads read it.

/// A data block that passed its checksum and every check of its entries.
///
/// Decoding once, when the block is read, makes a lookup a binary search over integers that lie
/// together, and a cursor's step an addition.
///
/// Invariants:
/// 1. `count >= 1`, and the entries ascend strictly in internal key order.
/// 2. All keys share their first `skip` bytes.
/// 3. In `memory` lie the prefixes of the keys behind `skip` (8 bytes each), and right behind them
///    records of 16 bytes (tag, end of the key, end of the value), one more than entries, of which
///    the first is zero; then the values, and right behind them the keys.
final class Block: Sendable {
  /// The table's file and the block's offset in it.
  let key: BlockKey
  let count: Int
  /// The bytes of the block in the file before compression.
  let rawByteCount: Int
  private let skip: Int
  private let valuesStart: Int
  private let keysStart: Int
  private let memory: ByteView
  private let owner: OwnedBuffer

  /// Decodes a block.
  ///
  /// - Parameter source: the memory of the cache that may keep the block.
  /// - Throws: `corrupt` with the file's path and the block's offset.
  init(
    _ checked: CheckedBlock, _ key: BlockKey, path: String, memory source: BlockMemory? = nil
  ) throws(StoreError) {
    do throws(BlockDecoder.Failure) {
      var decoder = try BlockDecoder(checked, memory: source)
      try decoder.decode()
      self.key = key
      count = decoder.entryCount
      rawByteCount = checked.rawCount
      skip = decoder.sharedCount
      valuesStart = decoder.valuesStart
      keysStart = decoder.keysStart
      memory = decoder.memory.view
      owner = decoder.memory
    } catch {
      switch error {
      case .memory: throw .resourceExhausted("no memory for a block of \(path)")
      case .bad(let finding):
        throw .corrupt(Damage(file: path, offset: key.offset, finding: finding))
      }
    }
    withExtendedLifetime(checked.owner) {}
  }

  var offset: UInt64 { key.offset }

  /// What the block costs in memory, with its objects.
  var memoryByteCount: Int { owner.count + 192 }

  /// Where in the cache's memory the block is; nil when it is elsewhere.
  var segment: Int? { owner.segment }

  // MARK: - Entries

  @inline(__always)
  func key(_ index: Int) -> ByteView {
    let start = keyEnd(index &- 1)
    return memory.slice(keysStart &+ start, keyEnd(index) &- start)
  }

  @inline(__always)
  func tag(_ index: Int) -> Tag {
    Tag(rawValue: memory.load(record(index), as: UInt64.self))
  }

  /// Empty for a deletion.
  @inline(__always)
  func value(_ index: Int) -> ByteView {
    let start = valueEnd(index &- 1)
    return memory.slice(valuesStart &+ start, valueEnd(index) &- start)
  }

  @inline(__always)
  private func record(_ index: Int) -> Int { count &* 8 &+ (index &+ 1) &* 16 }

  @inline(__always)
  private func keyEnd(_ index: Int) -> Int {
    Int(memory.load(record(index) &+ 8, as: UInt32.self))
  }

  @inline(__always)
  private func valueEnd(_ index: Int) -> Int {
    Int(memory.load(record(index) &+ 12, as: UInt32.self))
  }

  // MARK: - Searching

  /// The newest version of `target` at or before `sequence`, if the block holds one.
  func find(_ target: ByteView, at sequence: UInt64) -> FoundEntry? {
    let index = lowerBound(target, .newest(at: sequence))
    guard index < count, key(index).isEqual(to: target) else { return nil }
    return FoundEntry(tag: tag(index), value: value(index))
  }

  /// The first entry at or after `(target, tag)`; `count` when there is none.
  func firstIndex(from target: ByteView, _ tag: Tag) -> Int {
    if skip > 0 {
      let order = target.slice(0, min(skip, target.count)).compare(key(0).slice(0, skip))
      if order != 0 { return order < 0 ? 0 : count }
    }
    return lowerBound(target, tag)
  }

  /// As ``firstIndex(from:_:)`` when `target` begins as all keys do; else any index.
  @inline(__always)
  private func lowerBound(_ target: ByteView, _ tag: Tag) -> Int {
    let wanted = target.prefix(at: skip)
    var low = firstPrefix(notBelow: wanted)
    guard low < count, prefix(low) == wanted else { return low }
    // Most often one entry has this prefix, or few versions of one key do.
    var high = low &+ 1
    if high < count && prefix(high) == wanted {
      high = wanted == .max ? count : firstPrefix(notBelow: wanted &+ 1)
    }
    while low < high {
      let middle = (low &+ high) / 2
      if compareInternal(key(middle), self.tag(middle), target, tag) < 0 {
        low = middle &+ 1
      } else {
        high = middle
      }
    }
    return low
  }

  @inline(__always)
  private func prefix(_ index: Int) -> UInt64 { memory.load(index &* 8, as: UInt64.self) }

  @inline(__always)
  private func firstPrefix(notBelow wanted: UInt64) -> Int {
    var low = 0
    var length = count
    while length > 0 {
      let half = length / 2
      let isBelow = prefix(low &+ half) < wanted
      low = isBelow ? low &+ half &+ 1 : low
      length = isBelow ? length &- half &- 1 : half
    }
    return low
  }
}
