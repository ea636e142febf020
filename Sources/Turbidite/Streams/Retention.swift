// Retention — how much of a stream is kept, and what goes.
//
// Room:    Turbidite/Streams.

internal import TurbiditeEngine

/// How much of a stream is kept.
///
/// By age and by size whole files go, the oldest first: what is kept is at least what was asked
/// for, and most often some MiB more. What is still in memory stays.
public struct Retention: Sendable, Hashable {
  /// Events whose timestamps are older than this may go; nil keeps them however old they are.
  public var maximumAge: Duration?
  /// The stream's files may take so many bytes, 0 or more; nil sets no bound.
  public var maximumByteCount: Int?
  /// Keep what a cursor has yet to pass.
  ///
  /// A cursor that was never moved in a partition keeps all of it; one that was never moved at all
  /// is not there yet, and keeps nothing.
  ///
  /// With neither age nor size all goes that every cursor has passed, and nothing of a stream
  /// without cursors.
  public var keepsUnread: Bool

  /// What is to be kept; by itself all.
  public init(
    maximumAge: Duration? = nil, maximumByteCount: Int? = nil, keepsUnread: Bool = false
  ) {
    self.maximumAge = maximumAge
    self.maximumByteCount = maximumByteCount
    self.keepsUnread = keepsUnread
  }
}

/// What a retention has dropped.
public struct RetentionReport: Sendable, Hashable {
  /// The offsets that are gone, of each partition that lost some.
  public var dropped: [Int: Range<UInt64>]
  /// The number of events that are gone which a cursor had yet to pass, by the cursor's name.
  public var unread: [String: UInt64]

  /// The number of offsets that are gone; where a compaction by key was, more than events.
  public var eventCount: UInt64 {
    dropped.values.reduce(0) { $0 + UInt64($1.count) }
  }
}

extension Store.Blocking {
  /// Drops the events of a partition before an offset; those behind it keep theirs.
  ///
  /// An offset beyond the last event drops all there is now; the next event has the offset it would
  /// have had. Writes some bytes, whatever goes; files go when a compaction comes by. Allowed on a
  /// full disk.
  ///
  /// - Returns: the offsets that are gone.
  @discardableResult
  public func trim(
    _ stream: EventStream, partition: Int, before offset: UInt64,
    durability: Durability = .buffered
  ) throws(StoreError) -> Range<UInt64> {
    try stream.requirePartition(partition)
    let gone = try store.engine.trim(
      stream.state, to: [UInt32(partition): offset], synced: durability == .synced)
    return gone[UInt32(partition)] ?? 0..<0
  }

  /// Drops what need not be kept.
  ///
  /// A stream has no retention of its own: this is called when it is to be, by whoever watches over
  /// the store. Costs a look at each file's bounds, and some bytes for each partition that loses
  /// events.
  ///
  /// - Throws: `invalidArgument` for a negative age or size.
  @discardableResult
  public func retain(
    _ stream: EventStream, _ retention: Retention, durability: Durability = .buffered
  ) throws(StoreError) -> RetentionReport {
    guard retention.maximumAge ?? .zero >= .zero, retention.maximumByteCount ?? 0 >= 0 else {
      throw .invalidArgument("an age or a size to retain is 0 or more")
    }
    let reached = try placesOfCursors(of: stream)
    let unread = retention.keepsUnread ? leastPlaces(reached, of: stream) : nil
    var starts: [UInt32: UInt64]
    if retention.maximumAge == nil, retention.maximumByteCount == nil {
      starts = unread ?? [:]
    } else {
      let limits = RetentionLimits(
        cutoff: retention.maximumAge.map {
          stream.state.wallMicroseconds().subtractingClamped($0.wholeMicroseconds)
        },
        byteCount: retention.maximumByteCount.map(UInt64.init), unread: unread)
      starts = try store.engine.starts(of: stream.state, within: limits)
    }
    let dropped = try store.engine.trim(
      stream.state, to: starts, synced: durability == .synced)
    var report = RetentionReport(dropped: [:], unread: [:])
    for (partition, offsets) in dropped { report.dropped[Int(partition)] = offsets }
    for (name, places) in reached {
      let count = report.dropped.reduce(UInt64(0)) { sum, dropped in
        let place = max(places[dropped.key] ?? 0, dropped.value.lowerBound)
        return sum + (dropped.value.upperBound - min(place, dropped.value.upperBound))
      }
      if count > 0 { report.unread[name] = count }
    }
    return report
  }

  /// The offset of the first event of a partition with a timestamp of at least so many microseconds
  /// since 1970-01-01 UTC; that of the next event where there is none.
  ///
  /// Timestamps need not ascend. Files whose events are all earlier are passed over; events in
  /// another, and in memory, are read from its first on.
  public func offset(
    of stream: EventStream, partition: Int, at timestamp: Int64
  ) throws(StoreError) -> UInt64 {
    try stream.requirePartition(partition)
    let pin = SnapshotPin(store: store)
    return try store.engine.offset(
      of: stream.state, partition: UInt32(partition), from: timestamp, at: pin.sequence)
  }

  func placesOfCursors(
    of stream: EventStream
  ) throws(StoreError) -> [String: [Int: UInt64]] {
    var places: [String: [Int: UInt64]] = [:]
    for cursor in try cursors(of: stream) { places[cursor.name] = try offsets(of: cursor) }
    return places
  }

  /// The least place of a cursor in each partition; none where there are no cursors.
  func leastPlaces(
    _ places: [String: [Int: UInt64]], of stream: EventStream
  ) -> [UInt32: UInt64] {
    guard !places.isEmpty else { return [:] }
    var least: [UInt32: UInt64] = [:]
    for partition in 0..<stream.partitionCount {
      least[UInt32(partition)] = places.values.map { $0[partition] ?? 0 }.min()
    }
    return least
  }
}

extension Store {
  /// Drops the events of a partition before an offset; see
  /// ``Blocking/trim(_:partition:before:durability:)``.
  @discardableResult
  public func trim(
    _ stream: EventStream, partition: Int, before offset: UInt64,
    durability: Durability = .buffered
  ) async throws(StoreError) -> Range<UInt64> {
    try await run { blocking throws(StoreError) in
      try blocking.trim(stream, partition: partition, before: offset, durability: durability)
    }
  }

  /// Drops what need not be kept; see ``Blocking/retain(_:_:durability:)``.
  @discardableResult
  public func retain(
    _ stream: EventStream, _ retention: Retention, durability: Durability = .buffered
  ) async throws(StoreError) -> RetentionReport {
    try await run { blocking throws(StoreError) in
      try blocking.retain(stream, retention, durability: durability)
    }
  }
}

extension Duration {
  /// Microseconds, at most what an integer holds.
  var wholeMicroseconds: Int64 {
    let (seconds, attoseconds) = components
    let (whole, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000)
    if overflows { return .max }
    let (sum, carries) = whole.addingReportingOverflow(attoseconds / 1_000_000_000_000)
    return carries ? .max : sum
  }
}

extension Int64 {
  func subtractingClamped(_ other: Int64) -> Int64 {
    let (difference, overflows) = subtractingReportingOverflow(other)
    return overflows ? .min : difference
  }
}
