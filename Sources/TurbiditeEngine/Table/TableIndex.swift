// TableIndex — which block a key is in, decided in memory.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.6.
// Source:  Binary search over eight-byte prefixes as integers, after the "poor man's normalized
//          keys" of Graefe and Larson (ICDE 2001, section 4), with the common prefix left out.
// Limits:  About 28 bytes a block and its separator. Immutable.

/// The decoded index of a table.
///
/// Invariants, checked when it is decoded:
/// 1. Separators ascend strictly in internal key order.
/// 2. Block 0 begins after the header; each further one where the one before ends; the last ends
///    where the filter begins.
struct TableIndex: Sendable {
  /// The number of data blocks.
  let count: Int
  /// What all separators begin with; the columns hold only what follows it.
  private let common: ByteView
  /// Columns, in one piece of memory: prefixes (8 bytes each), offsets (8, one more than blocks),
  /// checksums (8), ends of separators (4; the high bit says that a tag of 8 bytes follows the
  /// separator), the separators.
  private let owner: OwnedBuffer
  private let prefixes: ByteView
  private let offsets: ByteView
  private let checksums: ByteView
  private let ends: ByteView
  private let keys: ByteView
  private static let hasTag: UInt32 = 1 << 31

  var memoryByteCount: Int { owner.count }

  /// The place of block `block`.
  func handle(_ block: Int) -> BlockHandle {
    let offset = offsets.load(block &* 8, as: UInt64.self)
    return BlockHandle(
      offset: offset, byteCount: offsets.load(block &* 8 &+ 8, as: UInt64.self) &- offset,
      checksum: checksums.load(block &* 8, as: UInt64.self))
  }

  /// The first block whose separator is at or after `(key, tag)`; `count` when there is none.
  ///
  /// The first entry at or after `(key, tag)` is in that block, or is the first of the next.
  func firstBlock(from key: ByteView, _ tag: Tag) -> Int {
    let order = key.slice(0, min(key.count, common.count)).compare(common)
    if order != 0 { return order < 0 ? 0 : count }
    let rest = key.slice(common.count, key.count &- common.count)
    let prefix = rest.prefix()
    var low = lowerBound(prefix)
    if low == count || prefixes.load(low &* 8, as: UInt64.self) != prefix { return low }
    var high = prefix == .max ? count : lowerBound(prefix &+ 1)
    while low < high {
      let middle = (low &+ high) / 2
      if orderOfSuffix(middle, rest, tag) < 0 { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  /// The order of separator `block` relative to `(key, tag)`: negative when it is before.
  func orderOfSeparator(_ block: Int, _ key: ByteView, _ tag: Tag) -> Int {
    let order = key.slice(0, min(key.count, common.count)).compare(common)
    if order != 0 { return order < 0 ? 1 : -1 }
    return orderOfSuffix(block, key.slice(common.count, key.count &- common.count), tag)
  }

  /// The key of separator `block`, without its tag: at or after every key of the block.
  func separatorKey(_ block: Int) -> [UInt8] { common.bytes() + separator(block).suffix.bytes() }

  /// The first block whose prefix is not below `prefix`.
  @inline(__always)
  private func lowerBound(_ prefix: UInt64) -> Int {
    var low = 0
    var length = count
    while length > 0 {
      let half = length / 2
      let isBelow = prefixes.load((low &+ half) &* 8, as: UInt64.self) < prefix
      low = isBelow ? low &+ half &+ 1 : low
      length = isBelow ? length &- half &- 1 : half
    }
    return low
  }

  private func separator(_ block: Int) -> (suffix: ByteView, tag: Tag) {
    var start = 0
    if block > 0 {
      let end = ends.load((block &- 1) &* 4, as: UInt32.self)
      start = Int(end & ~TableIndex.hasTag) &+ (end & TableIndex.hasTag == 0 ? 0 : 8)
    }
    let end = ends.load(block &* 4, as: UInt32.self)
    let stop = Int(end & ~TableIndex.hasTag)
    let raw = end & TableIndex.hasTag == 0 ? 0 : keys.load(stop, as: UInt64.self)
    return (keys.slice(start, stop &- start), Tag(rawValue: raw))
  }

  private func orderOfSuffix(_ block: Int, _ rest: ByteView, _ tag: Tag) -> Int {
    let (suffix, own) = separator(block)
    return compareInternal(suffix, own, rest, tag)
  }
}

extension TableIndex {
  /// Decodes an index block's payload; the data blocks must fill `[start, end)` of the file.
  init(_ payload: ByteView, from start: UInt64, to end: UInt64) throws(DecodingFailureOrMemory) {
    guard payload.count >= 5 else { throw .decoding(.truncated(at: 0)) }
    let count = Int(payload.load(0, as: UInt32.self))
    // A record is at least two varints and a checksum: this bounds the allocation.
    guard count <= payload.count / 10 else {
      throw .decoding(.invalid("\(count) blocks in \(payload.count) bytes", at: 0))
    }
    let fixed = 28 * count + 8
    var reader = ByteReader(payload)
    let shared: ByteView
    let keysCount: Int
    let owner: OwnedBuffer
    do throws(DecodingFailure) {
      _ = try reader.integer(UInt32.self)
      shared = try reader.lengthPrefixed()
      guard shared.count <= TableFormat.largestKeyByteCount else {
        throw .invalid("a common prefix of \(shared.count) bytes", at: 4)
      }
      keysCount = try TableIndex.keyByteCount(reader, count)
    } catch { throw .decoding(error) }
    guard let room = OwnedBuffer(lasting: fixed + keysCount + shared.count) else { throw .memory }
    owner = room
    do throws(DecodingFailure) {
      try TableIndex.decodeRecords(
        &reader, count, into: owner, keysFrom: fixed, from: start, to: end)
    } catch { throw .decoding(error) }
    owner.store(shared, at: fixed + keysCount)
    common = owner.view.slice(fixed + keysCount, shared.count)
    self.count = count
    self.owner = owner
    prefixes = owner.view.slice(0, 8 * count)
    offsets = owner.view.slice(8 * count, 8 * count + 8)
    checksums = owner.view.slice(16 * count + 8, 8 * count)
    ends = owner.view.slice(24 * count + 8, 4 * count)
    keys = owner.view.slice(fixed, keysCount)
    var block = 1
    while block < count {
      let (suffix, tag) = separator(block)
      guard orderOfSuffix(block - 1, suffix, tag) < 0 else {
        throw .decoding(.invalid("separator \(block) does not ascend", at: 0))
      }
      block += 1
    }
  }

  /// The bytes that the separators and tags of `count` records take.
  ///
  /// Asked first, so that an index takes no more memory than it needs: all of a store's are kept.
  private static func keyByteCount(
    _ records: ByteReader, _ count: Int
  ) throws(DecodingFailure) -> Int {
    var reader = records
    var byteCount = 0
    var block = 0
    while block < count {
      _ = try reader.varint()
      let at = reader.offset
      let lengthAndFlag = try reader.varint()
      guard lengthAndFlag >> 1 <= UInt64(TableFormat.largestKeyByteCount) else {
        throw .invalid("a separator of \(lengthAndFlag >> 1) bytes", at: at)
      }
      if lengthAndFlag & 1 != 0 {
        _ = try reader.varint()
        byteCount += 8
      }
      _ = try reader.integer(UInt64.self)
      byteCount += try reader.take(Int(lengthAndFlag >> 1)).count
      block += 1
    }
    return byteCount
  }

  /// Fills the columns.
  ///
  /// ``keyByteCount(_:_:)`` has found the records' fields whole.
  private static func decodeRecords(
    _ reader: inout ByteReader, _ count: Int, into owner: OwnedBuffer, keysFrom: Int,
    from start: UInt64, to end: UInt64
  ) throws(DecodingFailure) {
    var offset = start
    var keysCount = 0
    var block = 0
    while block < count {
      let at = reader.offset
      let byteCount = try reader.varint()
      guard byteCount <= end - offset, byteCount >= UInt64(TableFormat.trailerByteCount) else {
        throw .invalid("a block of \(byteCount) bytes at offset \(offset)", at: at)
      }
      let lengthAndFlag = try reader.varint()
      let spans = lengthAndFlag & 1 != 0
      let tag = spans ? try reader.varint() : 0
      let checksum = try reader.integer(UInt64.self)
      let suffix = try reader.take(Int(lengthAndFlag >> 1))
      owner.store(suffix.prefix(), at: block * 8)
      owner.store(offset, at: (count + block) * 8)
      owner.store(checksum, at: (2 * count + 1 + block) * 8)
      owner.store(suffix, at: keysFrom + keysCount)
      keysCount += suffix.count
      owner.store(
        UInt32(keysCount) | (spans ? hasTag : 0), at: 24 * count + 8 + block * 4)
      if spans {
        owner.store(tag, at: keysFrom + keysCount)
        keysCount += 8
      }
      offset += byteCount
      block += 1
    }
    owner.store(offset, at: 2 * count * 8)
    guard offset == end else { throw .invalid("the blocks end at \(offset), not \(end)", at: 0) }
    guard reader.isAtEnd else { throw .invalid("bytes after the last record", at: reader.offset) }
  }
}
