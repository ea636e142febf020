// JobSource — what a job reads, in parts.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine

/// What a job reads: a range of a keyspace in the order of its keys, or events in the order of
/// partition and offset.
public struct JobSource: Sendable {
  let keyspace: Keyspace
  let from: [UInt8]?
  let to: [UInt8]?
  private let refusal: StoreError?

  private init(
    _ keyspace: Keyspace, from: [UInt8]?, to: [UInt8]?, refusal: StoreError? = nil
  ) {
    self.keyspace = keyspace
    self.from = from
    self.to = to
    self.refusal = refusal
  }

  /// The entries of a range of keys.
  public static func scan(_ range: KeyRange = .all, in keyspace: Keyspace = .default) -> JobSource {
    JobSource(keyspace, from: range.from?.array, to: range.to?.array)
  }

  /// The events of all partitions of a stream.
  public static func events(of stream: EventStream) -> JobSource {
    JobSource(
      Keyspace(state: stream.state), from: StreamKey.bytes(partition: 0, offset: 0),
      to: StreamKey.end(of: UInt32(max(1, stream.partitionCount) - 1)))
  }

  /// The events of one partition, from an offset on and before another.
  public static func events(
    of stream: EventStream, partition: Int, from offset: UInt64 = 0, upTo end: UInt64? = nil
  ) -> JobSource {
    do throws(StoreError) { try stream.requirePartition(partition) } catch {
      return JobSource(Keyspace(state: stream.state), from: nil, to: nil, refusal: error)
    }
    let number = UInt32(partition)
    return JobSource(
      Keyspace(state: stream.state), from: StreamKey.bytes(partition: number, offset: offset),
      to: end.map { StreamKey.bytes(partition: number, offset: max($0, offset)) }
        ?? StreamKey.end(of: number))
  }

  func input(of store: Store, _ options: JobOptions) throws(StoreError) -> JobInput {
    if let refusal { throw refusal }
    try options.validate()
    return try JobInput(
      pin: SnapshotPin(store: store), state: store.state(of: keyspace), from: from, to: to,
      options: options)
  }

  /// The parts between keys that were chosen before.
  package func input(of store: Store, cutAt keys: [[UInt8]]) throws(StoreError) -> JobInput {
    if let refusal { throw refusal }
    return JobInput(
      pin: SnapshotPin(store: store), state: store.state(of: keyspace),
      bounds: [from] + keys + [to])
  }

  /// Keys that cut the source into parts of about as many bytes.
  package func cuts(in store: Store, partByteCount: Int) throws(StoreError) -> [[UInt8]] {
    if let refusal { throw refusal }
    return try store.engine.splitKeys(
      of: store.state(of: keyspace), from: from, to: to, partByteCount: partByteCount,
      limit: JobInput.limit)
  }
}

/// A source at a pinned moment, in parts that follow each other.
///
/// The parts are cut by keys over all shards together, not by shards: so the order of the input is
/// that of its keys, however many shards there are.
package struct JobInput: Sendable {
  let pin: SnapshotPin
  let state: KeyspaceState
  /// The bounds of part `i` are `bounds[i]` and `bounds[i + 1]`; nil is the end of all keys.
  private let bounds: [[UInt8]?]

  /// Parts at most.
  fileprivate static let limit = 1 << 16

  init(
    pin: SnapshotPin, state: KeyspaceState, from: [UInt8]?, to: [UInt8]?, options: JobOptions
  ) throws(StoreError) {
    self.pin = pin
    self.state = state
    let engine = pin.store.engine
    var keys: [[UInt8]] = []
    if let asked = options.splitByteCount {
      keys = try engine.splitKeys(
        of: state, from: from, to: to, partByteCount: asked, limit: JobInput.limit)
    } else {
      keys = try engine.splitKeys(
        of: state, from: from, to: to, partByteCount: 1 << 20, limit: JobInput.limit)
      // Some eight parts a worker, and none over 32 MiB.
      let stride = min(32, max(1, keys.count / (8 * options.workers)))
      keys = keys.indices.filter { $0 % stride == stride - 1 }.map { keys[$0] }
    }
    bounds = [from] + keys + [to]
  }

  fileprivate init(pin: SnapshotPin, state: KeyspaceState, bounds: [[UInt8]?]) {
    self.pin = pin
    self.state = state
    self.bounds = bounds
  }

  package var partCount: Int { bounds.count - 1 }

  /// Calls `body` with the records of a part, until it returns false.
  package func forEach(part: Int, _ body: (JobRecord) -> Bool) throws(StoreError) {
    var scan = try pin.store.engine.scan(
      state, at: pin.sequence, pinnedBy: pin, from: bounds[part], to: bounds[part + 1],
      reverse: false)
    let isStream = state.partitionCount != nil
    while true {
      if scan.isStale { scan = try scan.renewed() }
      guard try scan.advance() else { break }
      let goesOn =
        if isStream {
          try scan.withEvent(of: state) { key, value, _ in
            body(JobRecord(key: key, value: value, scan: scan, state: state))
          }
        } else {
          scan.withEntry { key, value in
            body(JobRecord(key: key, value: value, scan: scan, state: state))
          }
        }
      if !goesOn { return }
    }
  }
}
