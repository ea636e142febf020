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
    let place = partition ?? event.key.map(stream.partition) ?? stream.state.nextTurn()
    guard let place = UInt32(exactly: place) else {
      return note(.invalidArgument("stream \(stream.name) has no partition \(place)"))
    }
    let content = EventContent(
      timestamp: event.timestamp ?? stream.state.wallMicroseconds(), key: event.key?.array,
      value: event.value.array,
      headers: event.headers.map { .init(name: $0.name.array, value: $0.value.array) })
    note(encoded.append(content, stream: stream.state, partition: place))
  }
}
