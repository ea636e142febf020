// Block — one data block in memory: keys first and together, then the values.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.3.
// Source:  Prefix compression with restart points is LevelDB's (doc/table_format.md). Keys apart
//          from values follow PAX (Ailamaki et al., VLDB 2001): a lookup reads the few cache lines
//          that hold keys. The walk that never rebuilds a key is ours (see `find`).
// Limits:  Immutable; any number of threads read it.

/// A data block that passed its checksum.
///
/// Its bytes are still judged as they are decoded: a checksum is no proof of sense.
///
/// Invariants, checked by `init`:
/// 1. `1 <= entryCount`, and each entry has at least four bytes among the keys.
/// 2. Header, keys, restart points and values lie in the payload in this order and fill it.
/// 3. The first restart point is that of the first entry, at the first byte of keys and of values.
final class Block: Sendable {
  /// The file's path and the block's offset in it, for findings.
  let path: String
  let offset: UInt64
  private let owner: OwnedBuffer
  let payload: ByteView
  let entryCount: Int
  let restartCount: Int
  /// The keys are the bytes from the header to here; then come the restart points.
  let keysEnd: Int
  /// The values are the bytes from here to the end.
  let valuesStart: Int
  let baseSequence: UInt64

  init(_ opened: OpenedBlock, path: String, offset: UInt64) throws(StoreError) {
    func bad(_ finding: String) -> StoreError {
      .corrupt(Damage(file: path, offset: offset, finding: finding))
    }
    let bytes = opened.payload
    guard bytes.count >= TableFormat.blockHeaderByteCount else {
      throw bad("a data block of \(bytes.count) bytes has no header")
    }
    let entries = Int(bytes.load(0, as: UInt32.self))
    let keys = Int(bytes.load(4, as: UInt32.self))
    let base = bytes.load(8, as: UInt64.self)
    // Each term is below 2^36: nothing overflows.
    let restarts = (entries + TableFormat.restartInterval - 1) / TableFormat.restartInterval
    let keysEnd = TableFormat.blockHeaderByteCount + keys
    let valuesStart = keysEnd + restarts * TableFormat.restartByteCount
    guard entries > 0, entries * 4 <= keys, valuesStart <= bytes.count else {
      throw bad("a data block of \(bytes.count) bytes cannot hold \(entries) entries")
    }
    // Lookups in small blocks begin at the first entry, cursors at its restart point.
    guard bytes.load(keysEnd, as: UInt64.self) == 0 else {
      throw bad("the first restart point is not at the first entry")
    }
    guard base <= Tag.maximumSequence else { throw bad("base sequence \(base) is over the limit") }
    self.path = path
    self.offset = offset
    owner = opened.owner
    payload = bytes
    entryCount = entries
    restartCount = restarts
    self.keysEnd = keysEnd
    self.valuesStart = valuesStart
    baseSequence = base
  }

  /// What the block costs in memory, with its objects.
  var memoryByteCount: Int { owner.count + 192 }

  @inline(never)
  func corrupt(_ finding: String, at position: Int) -> StoreError {
    .corrupt(
      Damage(file: path, offset: offset, finding: "\(finding) at byte \(position) of its payload"))
  }
}

/// The head of an entry, decoded; its key's own bytes lie at `deltaStart`.
struct BlockEntry {
  /// Leading bytes shared with the key before.
  var shared: Int
  /// The key's own bytes.
  var deltaCount: Int
  var deltaStart: Int
  var tag: Tag
  var valueCount: Int

  /// Where the next entry begins.
  @inline(__always) var end: Int { deltaStart &+ deltaCount }
}

extension Block {
  /// Decodes the head of the entry at `start`, a position among the keys.
  @inline(__always)
  func entry(at start: Int) throws(StoreError) -> BlockEntry {
    var position = start
    let shared = try varint(&position)
    let deltaCount = try varint(&position)
    let meta = try varint(&position)
    let valueCount = try varint(&position)
    // The sum stays below 2^64: the base is below 2^56, half a varint below 2^63.
    let sequence = baseSequence &+ (meta >> 1)
    guard position <= keysEnd, deltaCount <= UInt64(keysEnd &- position),
      shared <= UInt64(TableFormat.largestKeyByteCount), sequence <= Tag.maximumSequence,
      valueCount <= UInt64(payload.count)
    else { throw corrupt("an entry exceeds its bounds", at: start) }
    let isValue = meta & 1 != 0
    guard isValue || valueCount == 0 else { throw corrupt("a tombstone has a value", at: start) }
    return BlockEntry(
      shared: Int(shared), deltaCount: Int(deltaCount), deltaStart: position,
      tag: Tag(sequence: sequence, kind: isValue ? .value : .deletion),
      valueCount: Int(valueCount))
  }

  /// The place of the entry that begins restart group `index`.
  @inline(__always)
  func restart(_ index: Int) throws(StoreError) -> (keyOffset: Int, valueOffset: Int) {
    let position = keysEnd &+ index &* TableFormat.restartByteCount
    let keyOffset = Int(payload.load(position, as: UInt32.self))
    let valueOffset = Int(payload.load(position &+ 4, as: UInt32.self))
    guard keyOffset < keysEnd &- TableFormat.blockHeaderByteCount,
      valueOffset <= payload.count &- valuesStart
    else { throw corrupt("a restart point lies outside", at: position) }
    return (TableFormat.blockHeaderByteCount &+ keyOffset, valuesStart &+ valueOffset)
  }

  /// The last restart group whose first entry is before `(target, tag)`; 0 when none is.
  func restartGroup(before target: ByteView, _ tag: Tag) throws(StoreError) -> Int {
    var low = 0
    var high = restartCount
    // Group `low` begins before the target, or is 0; group `high` does not, or is the count.
    while high &- low > 1 {
      let middle = (low &+ high) / 2
      let start = try restart(middle).keyOffset
      let head = try entry(at: start)
      guard head.shared == 0 else { throw corrupt("a restart point has no whole key", at: start) }
      let key = payload.slice(head.deltaStart, head.deltaCount)
      if compareInternal(key, head.tag, target, tag) < 0 { low = middle } else { high = middle }
    }
    return low
  }

  /// The newest version of `target` at or before `sequence`, if the block holds one.
  ///
  /// No key is rebuilt. `match` is how many leading bytes of the target equal the entry at hand,
  /// which is before the target. The next entry shares `shared` bytes with it:
  /// fewer than `match`: it left the target's prefix upwards, so the target is not here;
  /// more: it differs from the target where the entry before did, so it too is before;
  /// as many: only its own bytes need comparing.
  func find(_ target: ByteView, at sequence: UInt64) throws(StoreError) -> FoundEntry? {
    var index = 0
    var position = TableFormat.blockHeaderByteCount
    var valuePosition = valuesStart
    if restartCount > 3 {
      let group = try restartGroup(before: target, .newest(at: sequence))
      index = group &* TableFormat.restartInterval
      (position, valuePosition) = try restart(group)
    }
    var match = 0
    var previousCount = 0
    while index < entryCount {
      let head = try entry(at: position)
      if index & (TableFormat.restartInterval &- 1) == 0 {
        guard head.shared == 0 else {
          throw corrupt("a restart point has no whole key", at: position)
        }
        match = 0
      }
      guard head.shared <= previousCount || head.shared == 0,
        head.valueCount <= payload.count &- valuePosition
      else { throw corrupt("an entry exceeds its bounds", at: position) }
      if head.shared < match { return nil }
      if head.shared == match {
        let own = payload.slice(head.deltaStart, head.deltaCount)
        let rest = target.slice(match, target.count &- match)
        let common = own.sharedPrefixCount(rest)
        match &+= common
        if common < own.count {
          if common == rest.count || own[common] > rest[common] { return nil }
        } else if common == rest.count && head.tag.sequence <= sequence {
          return FoundEntry(
            tag: head.tag, value: payload.slice(valuePosition, head.valueCount))
        }
      }
      previousCount = head.shared &+ head.deltaCount
      position = head.end
      valuePosition &+= head.valueCount
      index &+= 1
    }
    return nil
  }

  /// Reads one varint.
  ///
  /// One byte is the common case; up to eight are taken at once.
  @inline(__always)
  private func varint(_ position: inout Int) throws(StoreError) -> UInt64 {
    guard position < keysEnd else { throw corrupt("an entry is truncated", at: position) }
    let first = payload[position]
    if first < 0x80 {
      position &+= 1
      return UInt64(first)
    }
    return try longVarint(&position)
  }

  private func longVarint(_ position: inout Int) throws(StoreError) -> UInt64 {
    if position &+ 8 <= payload.count {
      let word = payload.load(position, as: UInt64.self)
      let ends = ~word & 0x8080_8080_8080_8080
      if ends != 0 {
        let length = ends.trailingZeroBitCount / 8 &+ 1
        let last = word >> UInt64(8 &* (length &- 1)) & 0xff
        guard last != 0 else { throw corrupt("a varint is longer than it need be", at: position) }
        position &+= length
        // Keep the bytes read, drop each byte's high bit, and close the gaps by halves.
        var value = word & (ends ^ (ends &- 1)) & 0x7f7f_7f7f_7f7f_7f7f
        value = value & 0x007f_007f_007f_007f | (value & 0x7f00_7f00_7f00_7f00) >> 1
        value = value & 0x0000_3fff_0000_3fff | (value & 0x3fff_0000_3fff_0000) >> 2
        return value & 0x0000_0000_0fff_ffff | (value & 0x0fff_ffff_0000_0000) >> 4
      }
    }
    var reader = ByteReader(payload.slice(position, payload.count &- position))
    do throws(DecodingFailure) {
      let value = try reader.varint()
      position &+= reader.offset
      return value
    } catch { throw corrupt(error.finding, at: position) }
  }
}
