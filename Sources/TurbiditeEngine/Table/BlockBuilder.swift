// BlockBuilder — collects sorted entries and writes them as one data block.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.3.

/// The data block being filled.
struct BlockBuilder {
  private struct Pending {
    var shared: Int
    var deltaCount: Int
    var tag: Tag
    var valueCount: Int
  }

  private var entries: [Pending] = []
  /// The keys' own bytes, and the values, each back to back.
  private var deltas: [UInt8] = []
  private var values: [UInt8] = []

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
  mutating func add(_ key: ByteView, sharing shared: Int, _ tag: Tag, _ value: ByteView) {
    assert(shared <= key.count)
    let kept = nextIsRestart ? 0 : shared
    deltas.append(key.slice(kept, key.count &- kept))
    values.append(value)
    entries.append(
      Pending(shared: kept, deltaCount: key.count &- kept, tag: tag, valueCount: value.count))
  }

  /// Writes the block into `raw`, and forgets its entries.
  mutating func finish(into raw: inout [UInt8]) {
    assert(!entries.isEmpty)
    raw.removeAll(keepingCapacity: true)
    raw.reserveCapacity(byteCountEstimate + 16 * entries.count)
    var base = UInt64.max
    for entry in entries { base = min(base, entry.tag.sequence) }
    raw.append(littleEndian: UInt32(entries.count))
    raw.append(littleEndian: UInt32(0))
    raw.append(littleEndian: base)
    var restarts: [UInt8] = []
    var valueOffset = 0
    deltas.withView { deltas in
      var deltaOffset = 0
      for index in entries.indices {
        let entry = entries[index]
        if index % TableFormat.restartInterval == 0 {
          restarts.append(littleEndian: UInt32(raw.count - TableFormat.blockHeaderByteCount))
          restarts.append(littleEndian: UInt32(valueOffset))
        }
        raw.append(varint: UInt64(entry.shared))
        raw.append(varint: UInt64(entry.deltaCount))
        raw.append(varint: (entry.tag.sequence &- base) << 1 | (entry.tag.isValue ? 1 : 0))
        raw.append(varint: UInt64(entry.valueCount))
        raw.append(deltas.slice(deltaOffset, entry.deltaCount))
        deltaOffset += entry.deltaCount
        valueOffset += entry.valueCount
      }
    }
    raw.store(UInt32(raw.count - TableFormat.blockHeaderByteCount), at: 4)
    raw.append(contentsOf: restarts)
    raw.append(contentsOf: values)
    entries.removeAll(keepingCapacity: true)
    deltas.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
  }
}
