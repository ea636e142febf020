// EventCursor — how far a consumer has come in a stream, committed with what follows from it.
//
// Room:    Turbidite/Streams.
// Format:  FORMAT.md section 5.2.

internal import TurbiditeEngine

/// A consumer's place in each partition of a stream, under a name, in the store.
///
/// It is moved in a batch: what was made of the events, and the place behind them, land together or
/// not at all. A consumer that begins where its cursor stands sees each event exactly once, as far
/// as the store goes, however often it is killed. Two consumers under one name each move the cursor
/// as they please.
public struct EventCursor: Sendable {
  /// The stream that it reads.
  public let stream: EventStream
  /// 1 to 255 bytes of UTF-8.
  public let name: String

  /// A cursor of a stream; it is nowhere but here until it is moved.
  ///
  /// - Throws: `invalidArgument` for a name that is empty or too long.
  public init(_ name: String, of stream: EventStream) throws(StoreError) {
    guard 1...255 ~= name.utf8.count else {
      throw .invalidArgument("a cursor's name has 1 to 255 bytes of UTF-8")
    }
    self.name = name
    self.stream = stream
  }

  func key(_ partition: UInt32) -> [UInt8] {
    StreamKey.cursor(Array(name.utf8), partition: partition)
  }
}

extension Store.Batch {
  /// Moves a cursor behind an event.
  public mutating func move(_ cursor: EventCursor, behind position: EventPosition) {
    let (offset, overflows) = position.offset.addingReportingOverflow(1)
    guard !overflows else { return note(.invalidArgument("offset \(position.offset)")) }
    move(cursor, to: EventPosition(partition: position.partition, offset: offset))
  }

  /// Moves a cursor, forwards or back, to where the next event wanted lies, or will.
  public mutating func move(_ cursor: EventCursor, to position: EventPosition) {
    guard 0..<cursor.stream.partitionCount ~= position.partition else {
      return note(
        .invalidArgument("stream \(cursor.stream.name) has no partition \(position.partition)"))
    }
    requireThere(cursor.stream)
    let key = cursor.key(UInt32(position.partition))
    let value = (0..<8).map { UInt8(truncatingIfNeeded: position.offset >> UInt64(8 * $0)) }
    note(
      encoded.put(
        keyspace: cursor.stream.state.id, key: key.span.rawBytes, value: value.span.rawBytes))
  }

  /// Removes a cursor.
  public mutating func remove(_ cursor: EventCursor) {
    requireThere(cursor.stream)
    for partition in 0..<cursor.stream.partitionCount {
      let key = cursor.key(UInt32(partition))
      note(encoded.delete(keyspace: cursor.stream.state.id, key: key.span.rawBytes))
    }
  }

  /// What is kept beside the events of a stream that is gone would be lost without a word.
  mutating func requireThere(_ stream: EventStream) {
    if stream.state.isDropped { note(.notFound("stream \(stream.name)")) }
    require(stream.state)
  }
}

extension Store.Blocking {
  /// Where a cursor stands: the next offset wanted of each partition in which it was ever moved.
  ///
  /// Made for ``TailStart/offsets(_:)``: a tail begins at the first event of the others.
  public func offsets(of cursor: EventCursor) throws(StoreError) -> [Int: UInt64] {
    let pin = SnapshotPin(store: store)
    var offsets: [Int: UInt64] = [:]
    let end = cursor.key(.max)
    let scan = try store.engine.scan(
      cursor.stream.state, at: pin.sequence, pinnedBy: pin, from: cursor.key(0), to: end,
      reverse: false)
    let name = Array(cursor.name.utf8)
    while try scan.advance() {
      let entry = scan.withEntry { key, value -> (partition: UInt32, offset: UInt64)? in
        // Between the keys of a name lie those of longer ones.
        guard let found = StreamKey.readCursor(key), found.name == name, value.byteCount == 8 else {
          return nil
        }
        return (found.partition, Bytes(copying: value).littleEndian)
      }
      if let entry { offsets[Int(entry.partition)] = entry.offset }
    }
    return offsets
  }

  /// How many events each partition holds that a cursor has not passed, by their offsets.
  ///
  /// Those that a compaction by key has removed in between count as well.
  public func lag(of cursor: EventCursor) throws(StoreError) -> [UInt64] {
    let reached = try offsets(of: cursor)
    var lag: [UInt64] = []
    for partition in 0..<cursor.stream.partitionCount {
      let range = try offsets(of: cursor.stream, partition: partition)
      let next = max(reached[partition] ?? 0, range.lowerBound)
      lag.append(range.upperBound - min(next, range.upperBound))
    }
    return lag
  }

  /// The cursors of a stream, by name.
  public func cursors(of stream: EventStream) throws(StoreError) -> [EventCursor] {
    let pin = SnapshotPin(store: store)
    let (from, to) = StreamKey.cursors
    let scan = try store.engine.scan(
      stream.state, at: pin.sequence, pinnedBy: pin, from: from, to: to, reverse: false)
    var names: Set<String> = []
    while try scan.advance() {
      let name = scan.withEntry { key, _ in
        StreamKey.readCursor(key).flatMap { String(validating: $0.name, as: UTF8.self) }
      }
      if let name { names.insert(name) }
    }
    var cursors: [EventCursor] = []
    for name in names.sorted() { cursors.append(try EventCursor(name, of: stream)) }
    return cursors
  }
}

extension Bytes {
  /// The first eight bytes as an integer, low byte first.
  fileprivate var littleEndian: UInt64 {
    array.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) }
  }
}
