// Batch+Events — appends beside puts and deletes, in one commit.
//
// Room:    Turbidite/Streams.

internal import TurbiditeEngine

extension Store.Batch {
  /// Appends an event to a stream.
  ///
  /// Which offset it has is known when the batch is committed.
  ///
  /// - Parameter partition: nil means the one that the event's key chooses; an event without a key
  ///   goes to each in turn.
  public mutating func append(
    _ event: NewEvent, to stream: EventStream, partition: Int? = nil
  ) {
    guard let place = place(partition ?? event.key.map(stream.partition), in: stream) else {
      return
    }
    let headers = event.headers.map {
      EventContent.Header(name: $0.name.array, value: $0.value.array)
    }
    note(
      encoded.append(
        timestamp: event.timestamp, key: event.key?.array.span.rawBytes,
        value: event.value.array.span.rawBytes, headers: headers, stream: stream.state,
        partition: place))
  }

  /// Appends an event without headers to a stream; the bytes in the spans are copied, and nothing
  /// is allocated for it.
  ///
  /// - Parameter key: nil means none, which an empty one is not.
  /// - Parameter timestamp: microseconds since 1970-01-01 UTC; nil means when it is committed.
  /// - Parameter partition: as above.
  public mutating func append(
    value: RawSpan, key: RawSpan? = nil, timestamp: Int64? = nil, to stream: EventStream,
    partition: Int? = nil
  ) {
    var chosen = partition
    if chosen == nil, let key { chosen = stream.partition(ofKey: key) }
    guard let place = place(chosen, in: stream) else { return }
    note(
      encoded.append(
        timestamp: timestamp, key: key, value: value, stream: stream.state, partition: place))
  }

  /// The partition, or whose turn it is; nil, which is noted, where a stream cannot have it.
  private mutating func place(_ partition: Int?, in stream: EventStream) -> UInt32? {
    require(stream.state)
    let partition = partition ?? stream.state.nextTurn()
    if let place = UInt32(exactly: partition) { return place }
    note(.invalidArgument("stream \(stream.name) has no partition \(partition)"))
    return nil
  }
}
