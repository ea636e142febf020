// EventScan — the events of one partition, one after the other, for synchronous code.
//
// Room:    Turbidite/Streams.

internal import TurbiditeEngine

/// A walk over a partition at one moment.
///
/// One thread at a time may use it. It holds its moment like a ``Snapshot`` until it is released.
public final class EventScan {
  private let pin: SnapshotPin
  private var scan: EngineScan?
  private let stream: EventStream
  private let partition: Int
  private var remaining: Int

  init(
    pin: SnapshotPin, stream: EventStream, partition: Int, from offset: UInt64,
    upTo end: UInt64?, limit: Int?
  ) throws(StoreError) {
    precondition(limit ?? 0 >= 0, "a limit is not negative")
    try stream.requirePartition(partition)
    self.pin = pin
    self.stream = stream
    self.partition = partition
    remaining = limit ?? .max
    let number = UInt32(partition)
    let from = StreamKey.bytes(partition: number, offset: offset)
    let to =
      end.map { StreamKey.bytes(partition: number, offset: $0) } ?? StreamKey.end(of: number)
    scan =
      end ?? .max <= offset
      ? nil
      : try pin.store.engine.scan(
        stream.state, at: pin.sequence, pinnedBy: pin, from: from, to: to, reverse: false)
  }

  /// The next event, or nil at the end.
  ///
  /// - Throws: `corrupt`, among others, when what lies there is no event.
  public func next() throws(StoreError) -> Event? {
    guard remaining > 0, var scan else { return nil }
    if scan.isStale {
      scan = try scan.renewed()
      self.scan = scan
    }
    guard try scan.advance() else { return nil }
    remaining -= 1
    let (_, offset, content) = try scan.event(of: stream.state)
    return Event(
      position: EventPosition(partition: partition, offset: offset),
      timestamp: content.timestamp, key: content.key.map { Bytes($0) },
      value: Bytes(content.value),
      headers: content.headers.map { EventHeader(Bytes($0.name), Bytes($0.value)) })
  }
}
