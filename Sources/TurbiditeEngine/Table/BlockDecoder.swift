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

  private let payload: ByteView
  private let keysEnd: Int
  private let payloadValuesStart: Int
  private let baseSequence: UInt64
  /// The bytes of keys that are written out.
  private var keyByteCount = 0

  static let largestKeysByteCount = 64 << 20

  private let source: BlockMemory?

  /// Reads the block's header and takes memory for its columns.
  init(_ payload: ByteView, memory source: BlockMemory?) throws(Failure) {
    let header = TableFormat.blockHeaderByteCount
    guard payload.count >= header else {
      throw .bad("a data block of \(payload.count) bytes has no header")
    }
    let entries = Int(payload.load(0, as: UInt32.self))
    let keys = Int(payload.load(4, as: UInt32.self))
    let base = payload.load(8, as: UInt64.self)
    // Each term is below 2^36: nothing overflows.
    let restarts = (entries + TableFormat.restartInterval - 1) / TableFormat.restartInterval
    let valuesStart = header + keys + restarts * TableFormat.restartByteCount
    guard entries > 0, entries * 4 <= keys, valuesStart <= payload.count else {
      throw .bad("a data block of \(payload.count) bytes cannot hold \(entries) entries")
    }
    guard base <= Tag.maximumSequence else { throw .bad("base sequence \(base) is over the limit") }
    self.payload = payload
    entryCount = entries
    keysEnd = header + keys
    payloadValuesStart = valuesStart
    baseSequence = base
    self.valuesStart = 24 * entries + 16
    keysStart = self.valuesStart + payload.count - valuesStart
    // Keys are most often of one length: the first one's tells the room for all.
    var position = header
    _ = try BlockDecoder.varint(payload, &position, keysEnd)
    let first = try BlockDecoder.varint(payload, &position, keysEnd)
    let room = min(Int(min(first, UInt64(keys))) * entries, 16 * keys)
    let byteCount = keysStart + min(room, Self.largestKeysByteCount)
    guard let memory = OwnedBuffer(count: byteCount, from: source) else { throw .memory }
    self.memory = memory
    self.source = source
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
      let head = try entry(&position)
      let keyCount = head.shared &+ head.deltaCount
      guard keyCount <= TableFormat.largestKeyByteCount, head.shared <= previousCount,
        head.valueCount <= payload.count &- payloadValuesStart &- valueEnd
      else { throw bad("an entry exceeds its bounds", at: start) }
      let delta = payload.slice(position, head.deltaCount)
      if index > 0 {
        let previous = memory.view.slice(keysStart &+ previousStart, previousCount)
        let isRestart = index & (TableFormat.restartInterval &- 1) == 0
        guard !isRestart || head.shared == 0 else {
          throw bad("a restart point has no whole key", at: start)
        }
        guard
          ascends(from: previous, previousTag, to: delta, head, isRestart: isRestart)
        else { throw bad("keys do not ascend", at: start) }
      }
      let keyStart = keyByteCount
      try appendKey(sharing: head.shared, from: previousStart, delta)
      valueEnd &+= head.valueCount
      let record = 8 &* entryCount &+ 16 &* (index &+ 1)
      memory.store(head.tag.rawValue, at: record)
      memory.store(UInt32(keyByteCount), at: record &+ 8)
      memory.store(UInt32(valueEnd), at: record &+ 12)
      (previousStart, previousCount, previousTag) = (keyStart, keyCount, head.tag)
      position &+= head.deltaCount
      index &+= 1
    }
    guard position == keysEnd, payloadValuesStart &+ valueEnd == payload.count else {
      throw bad("the entries do not fill the block", at: position)
    }
    memory.store(payload.slice(payloadValuesStart, valueEnd), at: valuesStart)
    writePrefixes(lastKey: memory.view.slice(keysStart &+ previousStart, previousCount))
  }

  // MARK: - One entry

  private struct Head {
    /// Leading bytes shared with the key before.
    var shared: Int
    /// The key's own bytes.
    var deltaCount: Int
    var tag: Tag
    var valueCount: Int
  }

  /// Decodes the head of the entry at `position`, which is then where the key's own bytes begin.
  @inline(__always)
  private func entry(_ position: inout Int) throws(Failure) -> Head {
    let start = position
    let shared = try BlockDecoder.varint(payload, &position, keysEnd)
    let deltaCount = try BlockDecoder.varint(payload, &position, keysEnd)
    let meta = try BlockDecoder.varint(payload, &position, keysEnd)
    let valueCount = try BlockDecoder.varint(payload, &position, keysEnd)
    // The sum stays below 2^64: the base is below 2^56, half a varint below 2^63.
    let sequence = baseSequence &+ (meta >> 1)
    guard position <= keysEnd, deltaCount <= UInt64(keysEnd &- position),
      shared <= UInt64(TableFormat.largestKeyByteCount), sequence <= Tag.maximumSequence,
      valueCount <= UInt64(payload.count)
    else { throw bad("an entry exceeds its bounds", at: start) }
    let isValue = meta & 1 != 0
    guard isValue || valueCount == 0 else { throw bad("a tombstone has a value", at: start) }
    return Head(
      shared: Int(shared), deltaCount: Int(deltaCount),
      tag: Tag(sequence: sequence, kind: isValue ? .value : .deletion), valueCount: Int(valueCount))
  }

  /// The next key must continue the one before upwards, or repeat it with an older tag.
  @inline(__always)
  private func ascends(
    from previous: ByteView, _ previousTag: Tag, to delta: ByteView, _ head: Head, isRestart: Bool
  ) -> Bool {
    if isRestart { return compareInternal(previous, previousTag, delta, head.tag) < 0 }
    if head.shared == previous.count {
      return delta.count > 0 || head.tag.rawValue < previousTag.rawValue
    }
    return delta.count > 0 && delta[0] > previous[head.shared]
  }

  /// A restart point must be where its entry is.
  private func checkRestart(
    _ restart: Int, _ position: Int, _ valueEnd: Int
  ) throws(Failure) {
    let place = keysEnd &+ restart &* TableFormat.restartByteCount
    let keyOffset = Int(payload.load(place, as: UInt32.self))
    let valueOffset = Int(payload.load(place &+ 4, as: UInt32.self))
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
    guard let larger = OwnedBuffer(count: keysStart + room, from: source) else { throw .memory }
    let old = memory
    // Values come last; prefixes too. What is written are the records and the keys so far.
    larger.store(old.view.slice(8 * entryCount, 16 * (entryCount + 1)), at: 8 * entryCount)
    larger.store(old.view.slice(keysStart, keyByteCount), at: keysStart)
    withExtendedLifetime(old) {}
    memory = larger
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
    _ payload: ByteView, _ position: inout Int, _ end: Int
  ) throws(Failure) -> UInt64 {
    guard position < end else { throw .bad("an entry is truncated at byte \(position)") }
    let first = payload[position]
    if first < 0x80 {
      position &+= 1
      return UInt64(first)
    }
    return try longVarint(payload, &position)
  }

  private static func longVarint(
    _ payload: ByteView, _ position: inout Int
  ) throws(Failure) -> UInt64 {
    if position &+ 8 <= payload.count {
      let word = payload.load(position, as: UInt64.self)
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
    var reader = ByteReader(payload.slice(position, payload.count &- position))
    do throws(DecodingFailure) {
      let value = try reader.varint()
      position &+= reader.offset
      return value
    } catch { throw .bad("\(error.finding) at byte \(position)") }
  }
}
