// BlockBuilder — collects sorted entries and writes them as one data block.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.3.

/// The data block being filled.
struct BlockBuilder: ~Copyable {
  private struct Pending {
    var shared: Int
    var deltaCount: Int
    var tag: Tag
    var valueCount: Int
  }

  private var entries: [Pending] = []
  /// The keys' own bytes, and the values, each back to back.
  private var deltas = ScratchBytes()
  private var values = ScratchBytes()
  /// The places of the restart points in the keys, and in the values in the high half.
  private var restarts: [UInt64] = []

  var entryCount: Int { entries.count }
  var isEmpty: Bool { entries.isEmpty }

  /// The raw size, within a few bytes an entry: the sequence deltas are not known yet.
  var byteCountEstimate: Int {
    TableFormat.blockHeaderByteCount + deltas.count + values.count + 6 * entries.count
      + (entries.count / TableFormat.restartInterval + 1) * TableFormat.restartByteCount
  }

  /// Whether the next entry begins a restart group, and so shares nothing with the one before.
  var nextIsRestart: Bool { entries.count % TableFormat.restartInterval == 0 }

  /// Adds an entry whose key shares `shared` leading bytes with the key before.
  mutating func add(
    _ key: ByteView, sharing shared: Int, _ tag: Tag, _ value: ByteView
  ) throws(StoreError) {
    assert(shared <= key.count)
    let kept = nextIsRestart ? 0 : shared
    try deltas.append(key.slice(kept, key.count &- kept))
    try values.append(value)
    entries.append(
      Pending(shared: kept, deltaCount: key.count &- kept, tag: tag, valueCount: value.count))
  }

  /// The most that the numbers of one entry take: four varints.
  private static let largestPrefixByteCount = 4 * 10

  /// Writes the block into `raw`, and forgets its entries.
  mutating func finish(into raw: inout ScratchBytes) throws(StoreError) {
    assert(!entries.isEmpty)
    var base = UInt64.max
    for entry in entries { base = min(base, entry.tag.sequence) }
    raw.removeAll()
    try raw.append(littleEndian: UInt32(entries.count))
    try raw.append(littleEndian: UInt32(0))
    try raw.append(littleEndian: base)
    try writeKeys(above: base, to: &raw)
    raw.store(UInt32(raw.count - TableFormat.blockHeaderByteCount), at: 4)
    for restart in restarts { try raw.append(littleEndian: restart) }
    try raw.append(values.view)
    entries.removeAll(keepingCapacity: true)
    restarts.removeAll(keepingCapacity: true)
    deltas.removeAll()
    values.removeAll()
  }

  /// Writes what a block holds of its entries beside the values, and notes its restart points.
  private mutating func writeKeys(
    above base: UInt64, to raw: inout ScratchBytes
  ) throws(StoreError) {
    let deltas = deltas.view
    let room = deltas.count + Self.largestPrefixByteCount * entries.count
    try raw.append(room: room) { output in
      var (deltaOffset, valueOffset) = (0, 0)
      for index in entries.indices {
        let entry = entries[index]
        if index % TableFormat.restartInterval == 0 {
          restarts.append(UInt64(UInt32(output.count)) | UInt64(UInt32(valueOffset)) << 32)
        }
        output.append(varint: UInt64(entry.shared))
        output.append(varint: UInt64(entry.deltaCount))
        output.append(varint: (entry.tag.sequence &- base) << 1 | (entry.tag.isValue ? 1 : 0))
        output.append(varint: UInt64(entry.valueCount))
        output.append(deltas.slice(deltaOffset, entry.deltaCount))
        deltaOffset += entry.deltaCount
        valueOffset += entry.valueCount
      }
    }
  }
}
