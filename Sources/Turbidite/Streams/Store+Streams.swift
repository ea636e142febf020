// Store+Streams — the verbs of streams, for tasks and for synchronous code.
//
// Room:    Turbidite/Streams.

internal import TurbiditeEngine

extension Store.Blocking {
  /// The stream named `name`.
  public func stream(_ name: String) throws(StoreError) -> EventStream {
    guard let state = store.engine.keyspace(named: name), state.partitionCount != nil else {
      throw .notFound("stream \(name)")
    }
    return EventStream(state: state)
  }

  /// Creates the stream named `name`, durably; an existing one of as many partitions is returned.
  ///
  /// - Parameter partitionCount: 1 to 65,536; it never changes.
  /// - Throws: `invalidArgument`, among others, when there is a stream of another number of
  ///   partitions, or a keyspace of that name.
  public func createStream(
    _ name: String, partitionCount: Int
  ) throws(StoreError) -> EventStream {
    try JobTarget.requireUsersName(name)
    return EventStream(
      state: try store.engine.createStream(name, partitionCount: partitionCount))
  }

  /// Drops the stream named `name` with all its events, durably.
  public func dropStream(_ name: String) throws(StoreError) {
    try store.engine.dropKeyspace(name, isStream: true)
  }

  /// The names of all streams, sorted.
  public func streams() throws(StoreError) -> [String] { store.engine.streamNames }

  /// Appends an event, and returns where it lies.
  ///
  /// - Parameter partition: nil means the one that the event's key chooses; an event without a key
  ///   goes to each in turn.
  @discardableResult
  public func append(
    _ event: NewEvent, to stream: EventStream, partition: Int? = nil,
    durability: Durability = .buffered
  ) throws(StoreError) -> EventPosition {
    var batch = Store.Batch()
    batch.append(event, to: stream, partition: partition)
    return try commit(batch, durability: durability)[0]
  }

  /// Appends events in their order, all of them or none, and returns where they lie.
  @discardableResult
  public func append(
    contentsOf events: some Sequence<NewEvent>, to stream: EventStream,
    durability: Durability = .buffered
  ) throws(StoreError) -> [EventPosition] {
    var batch = Store.Batch()
    for event in events { batch.append(event, to: stream) }
    return try commit(batch, durability: durability)
  }

  /// The offsets of a partition's events: from the first that is there to behind the last.
  ///
  /// The upper bound is the offset of the next event. Costs three lookups.
  public func offsets(
    of stream: EventStream, partition: Int
  ) throws(StoreError) -> Range<UInt64> {
    try stream.requirePartition(partition)
    let pin = SnapshotPin(store: store)
    return try store.engine.offsets(
      of: stream.state, partition: UInt32(partition), at: pin.sequence)
  }

  /// The events of a partition in their order, from an offset on, as they are now.
  ///
  /// - Parameter offset: where to begin; what retention has dropped is passed over.
  /// - Parameter end: the offset behind the last event wanted; nil means the last there is.
  public func events(
    of stream: EventStream, partition: Int, from offset: UInt64 = 0, upTo end: UInt64? = nil,
    limit: Int? = nil
  ) throws(StoreError) -> EventScan {
    try EventScan(
      pin: SnapshotPin(store: store), stream: stream, partition: partition, from: offset,
      upTo: end, limit: limit)
  }
}

extension Store {
  /// The stream named `name`.
  public func stream(_ name: String) throws(StoreError) -> EventStream {
    try blocking.stream(name)
  }

  /// Creates a stream, durably; see ``Blocking/createStream(_:partitionCount:)``.
  public func createStream(
    _ name: String, partitionCount: Int
  ) async throws(StoreError) -> EventStream {
    try await run { blocking throws(StoreError) in
      try blocking.createStream(name, partitionCount: partitionCount)
    }
  }

  /// Drops the stream named `name` with all its events, durably.
  public func dropStream(_ name: String) async throws(StoreError) {
    try await run { blocking throws(StoreError) in try blocking.dropStream(name) }
  }

  /// Appends an event, and returns where it lies; the task is suspended, not blocked.
  @discardableResult
  public func append(
    _ event: NewEvent, to stream: EventStream, partition: Int? = nil,
    durability: Durability = .buffered
  ) async throws(StoreError) -> EventPosition {
    var batch = Batch()
    batch.append(event, to: stream, partition: partition)
    return try await commit(batch, durability: durability)[0]
  }

  /// Appends events in their order, all of them or none, and returns where they lie.
  @discardableResult
  public func append(
    contentsOf events: some Sequence<NewEvent>, to stream: EventStream,
    durability: Durability = .buffered
  ) async throws(StoreError) -> [EventPosition] {
    var batch = Batch()
    for event in events { batch.append(event, to: stream) }
    return try await commit(batch, durability: durability)
  }
}

extension Snapshot {
  /// The events of a partition at the snapshot's moment, for synchronous code; see
  /// ``Store/Blocking/events(of:partition:from:upTo:limit:)``.
  public func blockingEvents(
    of stream: EventStream, partition: Int, from offset: UInt64 = 0, upTo end: UInt64? = nil,
    limit: Int? = nil
  ) throws(StoreError) -> EventScan {
    try EventScan(
      pin: pin, stream: stream, partition: partition, from: offset, upTo: end, limit: limit)
  }
}

extension EventStream {
  func requirePartition(_ partition: Int) throws(StoreError) {
    guard 0..<partitionCount ~= partition else {
      throw .invalidArgument("stream \(name) has no partition \(partition)")
    }
  }
}
