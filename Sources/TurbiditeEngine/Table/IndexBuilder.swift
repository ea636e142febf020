// IndexBuilder — collects the places of data blocks and the keys that part them.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.6.

/// The index being built.
///
/// Invariant: separator `i` is at or after the last entry of block `i`, and before the first of
/// block `i + 1`, in internal key order.
struct IndexBuilder {
  private struct Record {
    var byteCount: UInt64
    var checksum: UInt64
    /// Where the separator ends among `keys`.
    var keyEnd: Int
    /// The tag of the separator when versions of one key lie on both sides of it; else nil, and
    /// the separator is after every version of its key.
    var tag: Tag?
  }

  private var records: [Record] = []
  private var keys: [UInt8] = []

  var count: Int { records.count }

  var byteCountEstimate: Int { keys.count + 12 * records.count + 16 }

  /// Adds a block that ends with `last` and is followed by an entry with the key `next`; nil when
  /// it is the last block.
  mutating func add(_ handle: BlockHandle, _ last: ByteView, _ tag: Tag, before next: ByteView?) {
    var recorded: Tag?
    if let next {
      if last.isEqual(to: next) {
        keys.append(last)
        recorded = tag
      } else {
        appendSeparator(last, before: next, to: &keys)
      }
    } else {
      keys.append(last)
    }
    records.append(
      Record(
        byteCount: handle.byteCount, checksum: handle.checksum, keyEnd: keys.count, tag: recorded))
  }

  /// The index block's payload.
  func payload() -> [UInt8] {
    var payload: [UInt8] = []
    payload.reserveCapacity(byteCountEstimate)
    payload.append(littleEndian: UInt32(records.count))
    keys.withView { keys in
      // Separators ascend, so what the first and the last share, all share.
      var common = 0
      if let first = records.first {
        let lastStart = records.count > 1 ? records[records.count - 2].keyEnd : 0
        let last = keys.slice(lastStart, keys.count - lastStart)
        common = keys.slice(0, first.keyEnd).sharedPrefixCount(last)
      }
      payload.append(lengthPrefixed: keys.slice(0, common))
      var start = 0
      for record in records {
        let suffix = keys.slice(start + common, record.keyEnd - start - common)
        payload.append(varint: record.byteCount)
        payload.append(varint: UInt64(suffix.count) << 1 | (record.tag == nil ? 0 : 1))
        if let tag = record.tag { payload.append(varint: tag.rawValue) }
        payload.append(littleEndian: record.checksum)
        payload.append(suffix)
        start = record.keyEnd
      }
    }
    return payload
  }
}
