// LogEntry — one change as a log frame stores it, and a batch of them.
//
// Room:    Engine/Log.
// Format:  FORMAT.md section 4.3.

/// One change, as views into the frame it was read from.
struct LogEntry {
  var kind: EntryKind
  var keyspace: UInt32
  /// The key, or the first key of a range.
  var key: ByteView
  /// The value, or the first key behind a range; empty when the range has no end.
  var value: ByteView
  /// The shard whose memtable was carried; nil in a commit.
  ///
  /// A range deletion that was carried belongs to this shard alone: the others have it where their
  /// own entries are, which may be in an older layer than what is carried here.
  var carriedShard: UInt32?
}

/// Changes encoded as a frame will hold them, so that committing copies bytes and parses nothing.
package struct EncodedBatch: Sendable {
  /// The entries, one after the other.
  package private(set) var bytes: [UInt8] = []
  /// The entries in `bytes`.
  package private(set) var entryCount = 0
  /// Some entry gives a key a value: the batch does not only delete.
  private(set) var holdsValues = false
  /// What becomes of the events in the batch; nil when there are none.
  private(set) var appends: BatchAppends?
  /// Where the offsets of its events belong, which are given when it is committed.
  private(set) var places: [BatchAppends.Place] = []

  package init() {}

  mutating func append(_ kind: EntryKind, keyspace: UInt32, _ key: ByteView, _ value: ByteView) {
    bytes.append(room: 1 + 3 * 10 + key.count + value.count) { output in
      output.append(littleEndian: kind.rawValue)
      output.append(varint: UInt64(keyspace))
      output.append(lengthPrefixed: key)
      if kind != .deletion { output.append(lengthPrefixed: value) }
    }
    entryCount += 1
    if kind == .value { holdsValues = true }
  }

  /// Forgets all entries, and keeps the memory.
  package mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    entryCount = 0
    holdsValues = false
    appends = nil
    places.removeAll(keepingCapacity: true)
  }

  /// Where the events of a committed batch lie, none where all were stored before.
  package var positions: [(partition: UInt32, offset: UInt64)] {
    appends?.positions(of: places) ?? []
  }

  /// Appends an event to a partition of a stream.
  @inline(__always)
  mutating func append(
    _ event: EventBytes, stream: UInt32, partition: UInt32, isReported: Bool
  ) {
    if appends == nil { appends = BatchAppends() }
    let valueCount = event.byteCount
    // Written in place, what `append(_:keyspace:_:_:)` would: an event has no array of its own.
    bytes.append(room: 1 + 3 * 10 + StreamKey.byteCount + valueCount) { output in
      output.append(littleEndian: EntryKind.value.rawValue)
      output.append(varint: UInt64(stream))
      output.append(varint: UInt64(StreamKey.byteCount))
      output.append(littleEndian: partition.byteSwapped)
      output.append(littleEndian: UInt64(0))
      output.append(varint: UInt64(valueCount))
      event.encode(into: &output)
    }
    entryCount += 1
    holdsValues = true
    let lengthByteCount = varintByteCount(UInt64(valueCount))
    let offsetByteCount = StreamKey.byteCount - StreamKey.offsetPlace
    let position = bytes.count - valueCount - lengthByteCount - offsetByteCount
    let distance = event.timestamp == nil ? UInt8(offsetByteCount + lengthByteCount) : 0
    places.append(
      .init(
        stream: stream, partition: partition, position: position, timestampDistance: distance,
        isReported: isReported))
  }

  /// Says that the event which is appended next is its producer's event `number`.
  ///
  /// - Returns: whether that goes on where the batch's events before end, as it must.
  mutating func claim(_ number: UInt64, of producer: ProducerID) -> Bool {
    let appends = appends ?? BatchAppends()
    var claim: ProducerClaim
    if let known = appends.claim {
      guard known.producer == producer, !known.events.isEmpty, known.events.upperBound == number
      else { return false }
      claim = known
    } else {
      appendRecord(of: producer, next: 0)
      claim = ProducerClaim(
        producer: producer, events: number..<number, position: bytes.count - 8)
    }
    claim.events = claim.events.lowerBound..<number + 1
    bytes.store(claim.events.upperBound, at: claim.position)
    appends.setClaim(claim)
    self.appends = appends
    return true
  }

  private mutating func appendRecord(of producer: ProducerID, next: UInt64) {
    var value: [UInt8] = []
    value.append(littleEndian: next)
    StreamKey.producer(producer.name).withView { key in
      value.withView { append(.value, keyspace: producer.stream, key, $0) }
    }
  }

  /// Appends what makes the store forget a producer.
  ///
  /// - Returns: false where the batch has events of a producer, which would not be its own.
  mutating func forget(_ producer: ProducerID) -> Bool {
    let appends = appends ?? BatchAppends()
    guard appends.claim == nil else { return false }
    StreamKey.producer(producer.name).withView {
      append(.deletion, keyspace: producer.stream, $0, .empty)
    }
    appends.setClaim(ProducerClaim(producer: producer, events: 0..<0, position: 0))
    self.appends = appends
    return true
  }

  /// Appends what makes a partition of a stream begin at `start`; it makes room in the end, and so
  /// holds no values.
  mutating func trim(
    stream: UInt32, partition: UInt32, to start: UInt64, replacing old: UInt64?
  ) {
    let before = holdsValues
    let first = StreamKey.bytes(partition: partition, offset: 0)
    let end = StreamKey.bytes(partition: partition, offset: start)
    first.withView { first in
      end.withView { append(.rangeDeletion, keyspace: stream, first, $0) }
    }
    if let old {
      StreamKey.start(of: partition, at: old).withView {
        append(.deletion, keyspace: stream, $0, .empty)
      }
    }
    StreamKey.start(of: partition, at: start).withView {
      append(.value, keyspace: stream, $0, .empty)
    }
    holdsValues = before
  }

  /// Writes the offsets of all events into their keys, and the time where none was given.
  mutating func number(_ offsets: [UInt64], at time: Int64) {
    precondition(offsets.count == places.count)
    guard !places.isEmpty else { return }
    let places = places
    bytes.overwrite(0, bytes.count) { output in
      for index in places.indices {
        let place = places[index]
        output.store(offsets[index].byteSwapped, at: place.position)
        if place.timestampDistance > 0 {
          output.store(time, at: place.position + Int(place.timestampDistance))
        }
      }
    }
  }

  /// Appends an entry that keeps the sequence number it has: for a frame of kind `carried`.
  mutating func appendCarried(
    sequence: UInt64, shard: UInt32, _ kind: EntryKind, keyspace: UInt32, _ key: ByteView,
    _ value: ByteView
  ) {
    bytes.append(varint: sequence)
    bytes.append(varint: UInt64(shard))
    append(kind, keyspace: keyspace, key, value)
  }
}

/// Reads the entries of a frame's payload.
struct LogEntryReader {
  private var reader: ByteReader
  private let isCarried: Bool
  private var nextSequence: UInt64

  /// - Parameter carries: the payload gives each entry its own sequence number.
  init(_ payload: ByteView, firstSequence: UInt64, carries: Bool) {
    reader = ByteReader(payload)
    isCarried = carries
    nextSequence = firstSequence
  }

  /// The next entry and its sequence number, or nil at the end.
  @inline(__always)
  mutating func next() throws(DecodingFailure) -> (entry: LogEntry, sequence: UInt64)? {
    if reader.isAtEnd { return nil }
    var sequence = nextSequence
    var carriedShard: UInt32?
    if isCarried {
      let start = reader.offset
      sequence = try reader.varint()
      guard sequence <= Tag.maximumSequence else {
        throw .invalid("sequence number \(sequence)", at: start)
      }
      carriedShard = UInt32(try reader.count("shard", atMost: Limits.shardCount - 1))
    }
    nextSequence += 1
    let start = reader.offset
    guard let kind = EntryKind(rawValue: try reader.byte()) else {
      throw .invalid("unknown entry kind", at: start)
    }
    let keyspace = UInt32(try reader.count("keyspace", atMost: Int(UInt32.max)))
    let key = try reader.lengthPrefixed()
    let value = kind == .deletion ? ByteView.empty : try reader.lengthPrefixed()
    guard key.count <= Limits.keyByteCount, value.count <= Limits.valueByteCount else {
      throw .invalid("an entry exceeds the limits of keys and values", at: start)
    }
    if kind != .rangeDeletion && key.isEmpty { throw .invalid("an empty key", at: start) }
    let entry = LogEntry(
      kind: kind, keyspace: keyspace, key: key, value: value, carriedShard: carriedShard)
    return (entry, sequence)
  }
}
