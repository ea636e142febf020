// EventStream — a named, append-only log of events in partitions.
//
// Room:    Turbidite/Streams.
// Format:  FORMAT.md section 5.2.

internal import TurbiditeEngine

/// A stream of a particular open store.
///
/// Its events lie in a fixed number of partitions, chosen when it is created: the event's key picks
/// the partition, and so events of one key stay in the order in which they were appended. Within a
/// partition each event has an offset: 0, 1, 2 and so on, without gaps unless ``KeyCompaction``
/// makes some.
///
/// An append is a commit like any other: it has a ``Durability``, it may share a batch with puts
/// and deletes, and what survives a crash is a prefix of all commits. Get a stream from
/// ``Store/stream(_:)``.
public struct EventStream: Sendable {
  let state: KeyspaceState

  /// The stream's name, which no keyspace has.
  public var name: String { state.name }

  /// Tells the stream from every other that the store had or will have, of the same name, too.
  package var number: UInt32 { state.id }

  /// The number of partitions: 1 to 65,536.
  public var partitionCount: Int { state.partitionCount ?? 0 }

  /// The partition that events with this key belong to.
  public func partition(of key: Bytes) -> Int {
    key.withSpan { partition(ofKey: $0) }
  }

  func partition(ofKey key: RawSpan) -> Int {
    Int(StreamKey.partition(of: key, count: partitionCount))
  }
}

/// A place in a stream.
public struct EventPosition: Hashable, Sendable {
  /// 0 up to the number of partitions.
  public var partition: Int
  /// 0 for the partition's first event, then one more for each.
  public var offset: UInt64

  /// A place in a partition.
  public init(partition: Int, offset: UInt64) {
    self.partition = partition
    self.offset = offset
  }
}

/// A name and a value that travel with an event.
///
/// An event may have several of one name, and keeps their order.
public struct EventHeader: Hashable, Sendable {
  /// What the value is of.
  public var name: Bytes
  /// The value; may be empty.
  public var value: Bytes

  /// A header of an event.
  public init(_ name: Bytes, _ value: Bytes) {
    self.name = name
    self.value = value
  }
}

/// Something that happened, to be appended.
public struct NewEvent: Hashable, Sendable {
  /// Chooses the partition; events without one go to each partition in turn.
  public var key: Bytes?
  /// What happened.
  public var value: Bytes
  /// Microseconds since 1970-01-01 UTC; nil stands for the time at which it is committed.
  public var timestamp: Int64?
  /// At most 1,024.
  public var headers: [EventHeader]

  /// An event to append; key, value and headers together have at most 64 MiB, less 64 bytes
  /// and 20 for each header.
  public init(
    _ value: Bytes, key: Bytes? = nil, timestamp: Int64? = nil, headers: [EventHeader] = []
  ) {
    self.key = key
    self.value = value
    self.timestamp = timestamp
    self.headers = headers
  }
}

/// An event as a stream holds it.
public struct Event: Hashable, Sendable {
  /// Where it lies.
  public var position: EventPosition
  /// Microseconds since 1970-01-01 UTC, as given or as of the commit.
  public var timestamp: Int64
  /// As it was given; an empty key is not the same as none.
  public var key: Bytes?
  /// What happened.
  public var value: Bytes
  /// As they were given, in that order.
  public var headers: [EventHeader]
}

extension EncodedBatch {
  /// Where the events of a committed batch lie.
  var eventPositions: [EventPosition] {
    positions.map {
      EventPosition(partition: Int($0.partition), offset: $0.offset)
    }
  }
}
