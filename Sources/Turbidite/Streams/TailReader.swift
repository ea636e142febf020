// TailReader — what is new in some partitions since they were last looked at.
//
// Room:    Turbidite/Streams.

internal import TurbiditeEngine

/// Where a tail begins in each of its partitions.
public enum TailStart: Hashable, Sendable {
  /// At the first event there is.
  case start
  /// Behind the last event there is when the walk begins.
  case end
  /// At an offset of each partition; at the first event in those that are not named.
  case offsets([Int: UInt64])
  /// At the first event of each partition with a timestamp of at least so many microseconds since
  /// 1970-01-01 UTC.
  case time(Int64)
}

/// Reads partitions to their ends, again and again, a batch at a time.
///
/// Safe to share: a tail's iterator has one batch in the making at a time, and awaits it; the
/// blocking form belongs to one thread at a time.
final class TailReader: @unchecked Sendable {
  private let store: Store
  private let stream: EventStream
  private let partitions: [Int]
  private let start: TailStart
  /// The moment that ``TailStart/end`` means; let go once it was looked up.
  private var pin: SnapshotPin?
  /// The next offset wanted of each partition; none before the first batch.
  private var next: [UInt64] = []
  /// Where each partition ended when it was last looked up.
  private var ends: [UInt64] = []
  /// The place in `partitions` that is read first, so that a busy partition keeps none waiting.
  private var turn = 0

  /// A batch ends with the event that reaches one of these.
  private static let batchCount = 256
  private static let batchByteCount = 64 << 10

  init(_ store: Store, _ stream: EventStream, partitions: [Int]?, from start: TailStart) {
    self.store = store
    self.stream = stream
    self.partitions = partitions ?? Array(0..<stream.partitionCount)
    self.start = start
    pin = SnapshotPin(store: store)
  }

  /// The next offset wanted of each partition that was looked at.
  var reached: [Int: UInt64] {
    Dictionary(uniqueKeysWithValues: zip(partitions, next))
  }

  /// What tells of news.
  var watch: StreamWatch { stream.state.watch }

  /// The next events, in their order within each partition; none when all partitions are read.
  func read() throws(StoreError) -> [Event] {
    // Also where nothing is to be read: who waits learns so that there will be no more.
    try store.engine.requireReadable(stream.state)
    if let pin {
      try begin(pin)
      self.pin = nil
    }
    // The announced ends are those of commits that are visible by now.
    for (index, end) in watch.ends(of: partitions).enumerated() {
      ends[index] = max(ends[index], end)
    }
    var events: [Event] = []
    var byteCount = 0
    for step in partitions.indices {
      let index = (turn + step) % partitions.count
      guard next[index] < ends[index] else { continue }
      let scan = try EventScan(
        pin: SnapshotPin(store: store), stream: stream, partition: partitions[index],
        from: next[index], upTo: ends[index], limit: nil)
      while let event = try scan.next() {
        next[index] = event.position.offset + 1
        byteCount += event.value.count + (event.key?.count ?? 0) + 64
        events.append(event)
        if events.count >= Self.batchCount || byteCount >= Self.batchByteCount {
          turn = index + 1
          return events
        }
      }
      // Nothing is left of what lay there.
      next[index] = ends[index]
    }
    return events
  }

  private func begin(_ pin: SnapshotPin) throws(StoreError) {
    next = []
    ends = []
    for partition in partitions {
      try stream.requirePartition(partition)
      let offsets = try store.engine.offsets(
        of: stream.state, partition: UInt32(partition), at: pin.sequence)
      ends.append(offsets.upperBound)
      switch start {
      case .start: next.append(offsets.lowerBound)
      case .end: next.append(offsets.upperBound)
      case .offsets(let wanted): next.append(wanted[partition] ?? offsets.lowerBound)
      case .time(let timestamp):
        next.append(
          try store.engine.offset(
            of: stream.state, partition: UInt32(partition), from: timestamp, at: pin.sequence))
      }
    }
  }
}
