// KeyCompaction — of the events of a key only the last is kept.
//
// Room:    Turbidite/Streams.
// Source:  Kafka's log compaction: what stays keeps its offset, and a key's last event without a
//          value stands for its deletion.

internal import TurbiditeEngine

/// What of a stream goes when it is compacted by key.
public struct KeyCompaction: Sendable, Hashable {
  /// A key's last event goes as well if it has no value, which says that the key is gone, is older
  /// than this, and every cursor has passed it.
  public var deletionAge: Duration
  /// So many bytes of keys are remembered at a time; of a partition with more, some older events
  /// stay.
  public var memoryByteCount: Int

  /// What may go, by itself as with Kafka: deletions after a day.
  public init(deletionAge: Duration = .seconds(86_400), memoryByteCount: Int = 64 << 20) {
    self.deletionAge = deletionAge
    self.memoryByteCount = memoryByteCount
  }
}

extension Store.Blocking {
  /// Removes each event of a stream that a later one with the same key has replaced.
  ///
  /// Events keep their offsets and their order, so that offsets have gaps from then on, over which
  /// reading passes. Events without a key stay, and so does the last of each partition. A reader
  /// sees of each key the last event at least, however far it has come. Reads all partitions once,
  /// backwards, and writes a deletion for each event that goes, a thousand a commit; what has gone
  /// stays so when the process is killed halfway. A stream of changes is refused. The room is free
  /// when a compaction has come by.
  ///
  /// - Returns: how many events have gone.
  @discardableResult
  public func compact(
    _ stream: EventStream, by compaction: KeyCompaction, durability: Durability = .buffered
  ) throws(StoreError) -> Int {
    guard compaction.deletionAge >= .zero, compaction.memoryByteCount >= 0 else {
      throw .invalidArgument("an age or a size of memory is 0 or more")
    }
    if let keyspace = store.engine.keyspace(recordedIn: stream.state) {
      // A range deletion is of more keys than the one it is under.
      throw .invalidArgument(
        "stream \(stream.name) holds the changes of keyspace \(keyspace.name): it stays whole")
    }
    let passed = leastPlaces(try placesOfCursors(of: stream), of: stream)
    let cutoff = stream.state.wallMicroseconds().subtractingClamped(
      compaction.deletionAge.wholeMicroseconds)
    var count = 0
    for partition in 0..<stream.partitionCount {
      var sweep = KeySweep(
        stream: stream, partition: UInt32(partition), cutoff: cutoff,
        passed: passed[UInt32(partition)] ?? .max, memoryByteCount: compaction.memoryByteCount)
      count += try sweep.run(store, durability)
    }
    return count
  }
}

extension Store {
  /// Removes events that later ones have replaced; see ``Blocking/compact(_:by:durability:)``.
  @discardableResult
  public func compact(
    _ stream: EventStream, by compaction: KeyCompaction, durability: Durability = .buffered
  ) async throws(StoreError) -> Int {
    try await run { blocking throws(StoreError) in
      try blocking.compact(stream, by: compaction, durability: durability)
    }
  }
}

/// One partition, read from its last event to its first.
private struct KeySweep: ~Copyable {
  let stream: EventStream
  let partition: UInt32
  /// Deletions with timestamps before this may go.
  let cutoff: Int64
  /// So may deletions at offsets before this.
  let passed: UInt64
  let memoryByteCount: Int

  /// Keys whose last event was seen.
  private var seen: Set<[UInt8]> = []
  private var seenByteCount = 0
  private var batch = Store.Batch()
  /// Deletions that go when all that they delete has gone: whoever looks in between, or after a
  /// crash, would see it come back.
  private var deletions: [UInt64] = []
  /// Nothing was seen yet: the last event says which offset is next, and stays.
  private var isLast = true

  /// What a key takes in memory besides its bytes, about.
  private static let keyByteCount = 64
  private static let batchCount = 1000

  init(
    stream: EventStream, partition: UInt32, cutoff: Int64, passed: UInt64, memoryByteCount: Int
  ) {
    self.stream = stream
    self.partition = partition
    self.cutoff = cutoff
    self.passed = passed
    self.memoryByteCount = memoryByteCount
  }

  mutating func run(_ store: Store, _ durability: Durability) throws(StoreError) -> Int {
    let pin = SnapshotPin(store: store)
    var count = 0
    var end: [UInt8]? = StreamKey.end(of: partition)
    while let last = end {
      end = try collect(before: last, pin)
      count += batch.count
      if batch.count > 0 { try store.blocking.commit(&batch, durability: durability) }
    }
    for offset in deletions {
      batch.remove(offset, of: stream, partition)
      if batch.count >= Self.batchCount {
        try store.blocking.commit(&batch, durability: durability)
      }
    }
    if batch.count > 0 { try store.blocking.commit(&batch, durability: durability) }
    return count + deletions.count
  }

  /// Goes back from `end` until a batch is full of what goes.
  ///
  /// No scan is open while that is committed: a commit may wait for room that it would hold.
  ///
  /// - Returns: where to go on, or nil when all was seen.
  private mutating func collect(
    before end: [UInt8], _ pin: SnapshotPin
  ) throws(StoreError) -> [UInt8]? {
    let scan = try pin.store.engine.scan(
      stream.state, at: pin.sequence, pinnedBy: pin,
      from: StreamKey.bytes(partition: partition, offset: 0), to: end, reverse: true)
    while try scan.advance() {
      let (_, offset, content) = try scan.event(of: stream.state)
      if goes(content, offset, isLast: isLast) { batch.remove(offset, of: stream, partition) }
      isLast = false
      if batch.count >= Self.batchCount {
        return StreamKey.bytes(partition: partition, offset: offset)
      }
    }
    return nil
  }

  /// Whether a later event has replaced this one; a deletion that may go is put by.
  private mutating func goes(
    _ content: EventContent, _ offset: UInt64, isLast: Bool
  ) -> Bool {
    guard let key = content.key else { return false }
    if seen.contains(key) { return true }
    let byteCount = key.count + Self.keyByteCount
    // A key that is not remembered keeps its older events: each is taken for the last.
    guard seenByteCount + byteCount <= memoryByteCount else { return false }
    seen.insert(key)
    seenByteCount += byteCount
    if content.value.isEmpty, content.timestamp < cutoff, offset < passed, !isLast {
      deletions.append(offset)
    }
    return false
  }
}

extension Store.Batch {
  fileprivate mutating func remove(_ offset: UInt64, of stream: EventStream, _ partition: UInt32) {
    let key = StreamKey.bytes(partition: partition, offset: offset)
    note(encoded.delete(keyspace: stream.state.id, key: key.span.rawBytes))
  }
}
