// BlockDecoder — reads the raw bytes of a data block into columns, and judges every entry.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.3.
// Source:  Prefix compression with restart points is LevelDB's (doc/table_format.md).
// Limits:  The keys of a block, written out, take at most 64 MiB: a writer's block of several
//          entries is at most 1 MiB, and the keys of a restart group are at most sixteen times as
//          long as what stands for them. A block that says it holds more is damaged.

/// Decodes one block.
///
/// A checksum is no proof of sense: nothing here trusts a count, a length or an order.
struct BlockDecoder {
  enum Failure: Error {
    case bad(String)
    case memory
  }

  /// The columns, laid out as invariant 3 of ``Block`` says.
  private(set) var memory: OwnedBuffer
  let entryCount: Int
  /// The leading bytes that all keys share.
  private(set) var sharedCount = 0
  let valuesStart: Int
  let keysStart: Int

  /// The payload up to its values: header, keys, restart points.
  private let head: ByteView
  /// Holds the head where that is not in the block as it is stored.
  private let scratch: OwnedBuffer?
  private let keysEnd: Int
  private let valuesByteCount: Int
  private let baseSequence: UInt64
  /// The bytes of keys that are written out.
  private var keyByteCount = 0

  static let largestKeysByteCount = 64 << 20

  private let source: BlockMemory?

  /// The head of most blocks of the default size.
  private static let usualHeadByteCount = 2 << 10
  /// The header and the two varints of the first entry that tell its key's length.
  private static let firstByteCount = TableFormat.blockHeaderByteCount + 20

  /// Takes memory for the block's columns, and undoes the compression in it: the values come to lie
  /// where they stay, and the head, which the columns take the place of, is moved out of the way.
  init(_ block: CheckedBlock, memory source: BlockMemory?) throws(Failure) {
    let header = TableFormat.blockHeaderByteCount
    guard block.rawCount >= header else {
      throw .bad("a data block of \(block.rawCount) bytes has no header")
    }
    var (first, scratch) = try BlockDecoder.start(of: block)
    let entries = Int(first.load(0, as: UInt32.self))
    let keys = Int(first.load(4, as: UInt32.self))
    let base = first.load(8, as: UInt64.self)
    // Each term is below 2^36: nothing overflows.
    let restarts = (entries + TableFormat.restartInterval - 1) / TableFormat.restartInterval
    let headCount = header + keys + restarts * TableFormat.restartByteCount
    guard entries > 0, entries * 4 <= keys, headCount <= block.rawCount else {
      throw .bad("a data block of \(block.rawCount) bytes cannot hold \(entries) entries")
    }
    guard base <= Tag.maximumSequence else { throw .bad("base sequence \(base) is over the limit") }
    entryCount = entries
    keysEnd = header + keys
    baseSequence = base
    valuesByteCount = block.rawCount - headCount
    valuesStart = max(24 * entries + 16, headCount)
    keysStart = valuesStart + valuesByteCount
    // Keys are most often of one length: the first one's tells the room for all.
    var position = header
    let firstEnd = min(first.count, keysEnd)
    _ = try BlockDecoder.varint(first, &position, firstEnd)
    let firstKey = try BlockDecoder.varint(first, &position, firstEnd)
    let room = min(Int(min(firstKey, UInt64(keys))) * entries, 16 * keys)
    let byteCount = keysStart + min(room, Self.largestKeysByteCount)
    guard let memory = OwnedBuffer(count: byteCount, from: source) else { throw .memory }
    self.memory = memory
    self.source = source
    switch block.compression {
    case .none:
      head = block.stored.slice(0, headCount)
      memory.store(block.stored.slice(headCount, valuesByteCount), at: valuesStart)
    case .lz4:
      let start = valuesStart - headCount
      guard decompressLZ4(block.stored, into: memory, at: start, count: block.rawCount) else {
        throw .bad("the block's LZ4 is malformed")
      }
      let whole = memory.view.slice(start, headCount)
      let shared = min(first.count, headCount)
      guard whole.slice(0, shared).isEqual(to: first.slice(0, shared)) else {
        throw .bad("the block's LZ4 gives two beginnings")
      }
      if scratch.map({ $0.count < headCount }) ?? true { scratch = OwnedBuffer(count: headCount) }
      guard let scratch else { throw .memory }
      head = scratch.overwrite(with: whole)
    }
    self.scratch = scratch
  }

  /// The first bytes of a block's payload, and the memory they are in where they are compressed.
  private static func start(
    of block: CheckedBlock
  ) throws(Failure) -> (first: ByteView, scratch: OwnedBuffer?) {
    let count = min(block.rawCount, firstByteCount)
    switch block.compression {
    case .none: return (block.stored.slice(0, count), nil)
    case .lz4:
      guard let scratch = OwnedBuffer(count: usualHeadByteCount) else { throw .memory }
      guard decompressLZ4(firstBytes: count, of: block.stored, into: scratch) else {
        throw .bad("the block's LZ4 is malformed")
      }
      return (scratch.view.slice(0, count), scratch)
    }
  }

  /// Decodes all entries.
  mutating func decode() throws(Failure) {
    memory.store(UInt64(0), at: 8 * entryCount)
    memory.store(UInt64(0), at: 8 * entryCount + 8)
    var position = TableFormat.blockHeaderByteCount
    var valueEnd = 0
    var (previousStart, previousCount, previousTag) = (0, 0, Tag(rawValue: 0))
    var index = 0
    while index < entryCount {
      let start = position
      if index & (TableFormat.restartInterval &- 1) == 0 {
        try checkRestart(index / TableFormat.restartInterval, position, valueEnd)
      }
      let entry = try entryHead(&position)
      let keyCount = entry.shared &+ entry.deltaCount
      guard keyCount <= TableFormat.largestKeyByteCount, entry.shared <= previousCount,
        entry.valueCount <= valuesByteCount &- valueEnd
      else { throw bad("an entry exceeds its bounds", at: start) }
      let delta = head.slice(position, entry.deltaCount)
      if index > 0 {
        let previous = memory.view.slice(keysStart &+ previousStart, previousCount)
        let isRestart = index & (TableFormat.restartInterval &- 1) == 0
        guard !isRestart || entry.shared == 0 else {
          throw bad("a restart point has no whole key", at: start)
        }
        guard
          ascends(from: previous, previousTag, to: delta, entry, isRestart: isRestart)
        else { throw bad("keys do not ascend", at: start) }
      }
      let keyStart = keyByteCount
      try appendKey(sharing: entry.shared, from: previousStart, delta)
      valueEnd &+= entry.valueCount
      let record = 8 &* entryCount &+ 16 &* (index &+ 1)
      memory.store(entry.tag.rawValue, at: record)
      memory.store(UInt32(keyByteCount), at: record &+ 8)
      memory.store(UInt32(valueEnd), at: record &+ 12)
      (previousStart, previousCount, previousTag) = (keyStart, keyCount, entry.tag)
      position &+= entry.deltaCount
      index &+= 1
    }
    guard position == keysEnd, valueEnd == valuesByteCount else {
      throw bad("the entries do not fill the block", at: position)
    }
    writePrefixes(lastKey: memory.view.slice(keysStart &+ previousStart, previousCount))
    // A first key much longer than the others asks for too much room.
    let usedCount = keysStart &+ keyByteCount
    if memory.count &- usedCount > memory.count / 4 { try move(to: usedCount) }
  }

  // MARK: - One entry

  private struct EntryHead {
    /// Leading bytes shared with the key before.
    var shared: Int
    /// The key's own bytes.
    var deltaCount: Int
    var tag: Tag
    var valueCount: Int
  }

  /// Decodes the head of the entry at `position`, which is then where the key's own bytes begin.
  @inline(__always)
  private func entryHead(_ position: inout Int) throws(Failure) -> EntryHead {
    let start = position
    let shared = try BlockDecoder.varint(head, &position, keysEnd)
    let deltaCount = try BlockDecoder.varint(head, &position, keysEnd)
    let meta = try BlockDecoder.varint(head, &position, keysEnd)
    let valueCount = try BlockDecoder.varint(head, &position, keysEnd)
    // The sum stays below 2^64: the base is below 2^56, half a varint below 2^63.
    let sequence = baseSequence &+ (meta >> 1)
    guard position <= keysEnd, deltaCount <= UInt64(keysEnd &- position),
      shared <= UInt64(TableFormat.largestKeyByteCount), sequence <= Tag.maximumSequence,
      valueCount <= UInt64(valuesByteCount)
    else { throw bad("an entry exceeds its bounds", at: start) }
    let isValue = meta & 1 != 0
    guard isValue || valueCount == 0 else { throw bad("a tombstone has a value", at: start) }
    return EntryHead(
      shared: Int(shared), deltaCount: Int(deltaCount),
      tag: Tag(sequence: sequence, kind: isValue ? .value : .deletion), valueCount: Int(valueCount))
  }

  /// The next key must continue the one before upwards, or repeat it with an older tag.
  @inline(__always)
  private func ascends(
    from previous: ByteView, _ previousTag: Tag, to delta: ByteView, _ entry: EntryHead,
    isRestart: Bool
  ) -> Bool {
    if isRestart { return compareInternal(previous, previousTag, delta, entry.tag) < 0 }
    if entry.shared == previous.count {
      return delta.count > 0 || entry.tag.rawValue < previousTag.rawValue
    }
    return delta.count > 0 && delta[0] > previous[entry.shared]
  }

  /// A restart point must be where its entry is.
  private func checkRestart(
    _ restart: Int, _ position: Int, _ valueEnd: Int
  ) throws(Failure) {
    let place = keysEnd &+ restart &* TableFormat.restartByteCount
    let keyOffset = Int(head.load(place, as: UInt32.self))
    let valueOffset = Int(head.load(place &+ 4, as: UInt32.self))
    guard keyOffset == position &- TableFormat.blockHeaderByteCount, valueOffset == valueEnd else {
      throw bad("a restart point is not where its entry is", at: place)
    }
  }

  private mutating func appendKey(
    sharing shared: Int, from previous: Int, _ delta: ByteView
  ) throws(Failure) {
    let end = keyByteCount &+ shared &+ delta.count
    if keysStart &+ end > memory.count { try grow(toKeys: end) }
    let source = memory.view.slice(keysStart &+ previous, shared)
    memory.store(source, at: keysStart &+ keyByteCount)
    memory.store(delta, at: keysStart &+ keyByteCount &+ shared)
    keyByteCount = end
  }

  @inline(never)
  private mutating func grow(toKeys byteCount: Int) throws(Failure) {
    guard byteCount <= Self.largestKeysByteCount else {
      throw .bad("the keys of a block take more than \(Self.largestKeysByteCount) bytes")
    }
    let room = min(max(2 * (memory.count - keysStart), byteCount), Self.largestKeysByteCount)
    try move(to: keysStart + room)
  }

  /// Takes other memory for what is decoded so far.
  @inline(never)
  private mutating func move(to byteCount: Int) throws(Failure) {
    guard let other = OwnedBuffer(count: byteCount, from: source) else { throw .memory }
    let old = memory
    other.store(old.view.slice(0, keysStart + keyByteCount), at: 0)
    withExtendedLifetime(old) {}
    memory = other
  }

  /// Fills the first column, behind what the first and the last key share, and so all do.
  private mutating func writePrefixes(lastKey: ByteView) {
    let view = memory.view
    let records = 8 &* entryCount
    let first = view.slice(keysStart, Int(view.load(records &+ 24, as: UInt32.self)))
    sharedCount = first.sharedPrefixCount(lastKey)
    var start = 0
    var index = 0
    while index < entryCount {
      let end = Int(view.load(records &+ 16 &* (index &+ 1) &+ 8, as: UInt32.self))
      let key = view.slice(keysStart &+ start, end &- start)
      memory.store(key.prefix(at: sharedCount), at: 8 &* index)
      start = end
      index &+= 1
    }
  }

  @inline(never)
  private func bad(_ finding: String, at position: Int) -> Failure {
    .bad("\(finding) at byte \(position) of its payload")
  }

  // MARK: - Varints

  /// Reads one varint that begins before `end`.
  ///
  /// One byte is the common case; up to eight are taken at once.
  @inline(__always)
  private static func varint(
    _ bytes: ByteView, _ position: inout Int, _ end: Int
  ) throws(Failure) -> UInt64 {
    guard position < end else { throw .bad("an entry is truncated at byte \(position)") }
    let first = bytes[position]
    if first < 0x80 {
      position &+= 1
      return UInt64(first)
    }
    return try longVarint(bytes, &position)
  }

  private static func longVarint(
    _ bytes: ByteView, _ position: inout Int
  ) throws(Failure) -> UInt64 {
    if position &+ 8 <= bytes.count {
      let word = bytes.load(position, as: UInt64.self)
      let ends = ~word & 0x8080_8080_8080_8080
      if ends != 0 {
        let length = ends.trailingZeroBitCount / 8 &+ 1
        let last = word >> UInt64(8 &* (length &- 1)) & 0xff
        guard last != 0 else {
          throw .bad("a varint is longer than it need be at byte \(position)")
        }
        position &+= length
        // Keep the bytes read, drop each byte's high bit, and close the gaps by halves.
        var value = word & (ends ^ (ends &- 1)) & 0x7f7f_7f7f_7f7f_7f7f
        value = value & 0x007f_007f_007f_007f | (value & 0x7f00_7f00_7f00_7f00) >> 1
        value = value & 0x0000_3fff_0000_3fff | (value & 0x3fff_0000_3fff_0000) >> 2
        return value & 0x0000_0000_0fff_ffff | (value & 0x0fff_ffff_0000_0000) >> 4
      }
    }
    var reader = ByteReader(bytes.slice(position, bytes.count &- position))
    do throws(DecodingFailure) {
      let value = try reader.varint()
      position &+= reader.offset
      return value
    } catch { throw .bad("\(error.finding) at byte \(position)") }
  }
}
