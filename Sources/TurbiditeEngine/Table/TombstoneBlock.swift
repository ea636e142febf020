// TombstoneBlock — the range tombstones of a table as bytes.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.5.
// Limits:  256 MiB of bytes: decoding multiplies them by up to thirty in the worst case.

/// Range tombstones, written and read.
enum TombstoneBlock {
  /// A writer stops with `resourceExhausted` above this; a reader calls more damage.
  static let largestByteCount = 1 << 28

  /// What the tombstones of a set amount to.
  struct Extent {
    /// Pairs of a fragment and a sequence number.
    var count: UInt64 = 0
    var smallestSequence = UInt64.max
    var largestSequence: UInt64 = 0
  }

  static func extent(_ set: RangeTombstones) -> Extent {
    var extent = Extent()
    for fragment in set.fragments {
      extent.count += UInt64(fragment.sequences.count)
      for sequence in fragment.sequences {
        extent.smallestSequence = min(extent.smallestSequence, sequence)
        extent.largestSequence = max(extent.largestSequence, sequence)
      }
    }
    return extent
  }

  /// The payload: fragments in order, each with its sequence numbers, the largest first.
  static func payload(_ set: RangeTombstones) -> [UInt8] {
    var payload: [UInt8] = []
    payload.append(littleEndian: UInt32(set.fragments.count))
    for fragment in set.fragments {
      payload.append(lengthPrefixed: fragment.start)
      payload.append(lengthPrefixed: fragment.end)
      let sequences = fragment.sequences.sorted(by: >)
      payload.append(varint: UInt64(sequences.count))
      var previous: UInt64?
      for sequence in sequences {
        payload.append(varint: previous.map { $0 - sequence } ?? sequence)
        previous = sequence
      }
    }
    return payload
  }

  /// Decodes a payload, whose fragments must ascend without overlap.
  static func decode(
    _ payload: ByteView
  ) throws(DecodingFailure) -> (set: RangeTombstones, count: UInt64) {
    var reader = ByteReader(payload)
    let count = Int(try reader.integer(UInt32.self))
    if count == 0 && reader.isAtEnd { return (.none, 0) }
    guard count <= payload.count / 5 else {
      throw .invalid("\(count) fragments in \(payload.count) bytes", at: 0)
    }
    var tombstones: [(start: [UInt8], end: [UInt8], sequence: UInt64)] = []
    var previousEnd = ByteView.empty
    for _ in 0..<count {
      let at = reader.offset
      let start = try reader.lengthPrefixed()
      let end = try reader.lengthPrefixed()
      guard start.compare(end) < 0, end.count <= TableFormat.largestKeyByteCount,
        start.count <= TableFormat.largestKeyByteCount, previousEnd.compare(start) <= 0
      else { throw .invalid("range tombstones do not ascend", at: at) }
      previousEnd = end
      let startBytes = start.bytes()
      let endBytes = end.bytes()
      let sequenceCount = try reader.count("tombstone count", atMost: reader.remaining)
      guard sequenceCount > 0 else { throw .invalid("a fragment without a tombstone", at: at) }
      var sequence = try reader.varint()
      guard sequence <= Tag.maximumSequence else {
        throw .invalid("sequence \(sequence) is over the limit", at: at)
      }
      tombstones.append((startBytes, endBytes, sequence))
      for _ in 1..<sequenceCount {
        let step = try reader.varint()
        guard step > 0, step <= sequence else {
          throw .invalid("sequences of a range tombstone do not descend", at: at)
        }
        sequence -= step
        tombstones.append((startBytes, endBytes, sequence))
      }
    }
    guard reader.isAtEnd else { throw .invalid("bytes after the last one", at: reader.offset) }
    return (RangeTombstones(tombstones: tombstones), UInt64(tombstones.count))
  }
}
