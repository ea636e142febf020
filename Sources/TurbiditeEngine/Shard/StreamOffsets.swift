// StreamOffsets — which offset the next event of each partition gets.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// The next offsets; the leader's.
///
/// A frame is numbered before it is logged, and its numbers count only when it was: what a refused
/// frame had is given to the next, so that offsets are dense.
struct StreamOffsets {
  /// The partitions of one stream.
  ///
  /// Invariants:
  /// 1. `next` holds, of partitions that were looked up, one more than the offset of the last event
  ///    in the log; of others `unknown`.
  /// 2. `pending` holds what the frame at hand makes of that, of the partitions in `touched`; of
  ///    others `unknown`.
  fileprivate struct Counters {
    static let unknown = UInt64.max

    var next: [UInt64]
    var pending: [UInt64]
    var touched: [UInt32] = []

    init(partitionCount: Int) {
      next = Array(repeating: Self.unknown, count: partitionCount)
      pending = next
    }

    /// Looks up where the partition of the event at `place` ends, unless that is known.
    mutating func lookUp(_ place: BatchAppends.Place, _ engine: Engine) throws(StoreError) {
      let index = Int(place.partition)
      if next[index] == Self.unknown {
        next[index] = try engine.nextOffset(ofStream: place.stream, partition: place.partition)
      }
    }

    /// The offset of the event at `place`.
    mutating func offset(
      at place: BatchAppends.Place, _ engine: Engine
    ) throws(StoreError) -> UInt64 {
      let index = Int(place.partition)
      var offset = pending[index]
      if offset == Self.unknown {
        try lookUp(place, engine)
        offset = next[index]
        touched.append(place.partition)
      }
      guard offset < Limits.counter else { throw .resourceExhausted("offsets of a partition") }
      pending[index] = offset + 1
      return offset
    }

    mutating func accept() {
      for partition in touched { next[Int(partition)] = pending[Int(partition)] }
    }

    var ends: [(partition: UInt32, end: UInt64)] {
      touched.map { ($0, pending[Int($0)]) }
    }

    mutating func forgetPending() {
      for partition in touched { pending[Int(partition)] = Self.unknown }
      touched.removeAll(keepingCapacity: true)
    }
  }

  private var streams: [UInt32: Counters] = [:]
  /// The streams with events in the frame at hand.
  private var touched: Set<UInt32> = []

  /// Looks up where the partitions of a batch's events end, as far as that is not known.
  ///
  /// Before commits share a frame: where a partition cannot be read, only who appends to it fails.
  mutating func lookUp(_ batch: EncodedBatch, _ engine: Engine) throws(StoreError) {
    var last: BatchAppends.Place?
    for place in batch.places {
      if let last, last.stream == place.stream, last.partition == place.partition { continue }
      last = place
      if streams[place.stream] == nil {
        streams[place.stream] = try engine.counters(of: place.stream)
      }
      try streams[place.stream]?.lookUp(place, engine)
    }
  }

  /// Gives each event of `batches` its offset, and the time where it has none, in the bytes, too.
  mutating func number(_ batches: inout [EncodedBatch], _ engine: Engine) throws(StoreError) {
    forgetPending()
    let time = Int64(clamping: engine.environment.clock.wallMicroseconds())
    for index in batches.indices {
      guard let appends = batches[index].appends else { continue }
      let places = batches[index].places
      var offsets: [UInt64] = []
      offsets.reserveCapacity(places.count)
      var start = 0
      while start < places.count {
        // Most batches are of one stream.
        let stream = places[start].stream
        let end = places[start...].firstIndex { $0.stream != stream } ?? places.count
        defer { start = end }
        // In a group of many all were looked up: only its own batch fails for want of a stream.
        var counters: Counters
        if let known = streams.removeValue(forKey: stream) {
          counters = known
        } else {
          counters = try engine.counters(of: stream)
        }
        touched.insert(stream)
        defer { streams[stream] = counters }
        for place in places[start..<end] {
          offsets.append(try counters.offset(at: place, engine))
        }
      }
      batches[index].number(offsets, at: time)
      appends.record(offsets)
    }
  }

  /// Says that the frame which was numbered last is in the log.
  mutating func accept() {
    for stream in touched { streams[stream]?.accept() }
  }

  /// Tells those who wait that the events of that frame are visible.
  mutating func announce(in engine: Engine) {
    for stream in touched {
      guard let ends = streams[stream]?.ends else { continue }
      engine.keyspaces.withLock { $0[stream] }?.watch.announce(ends)
    }
    forgetPending()
  }

  private mutating func forgetPending() {
    for stream in touched { streams[stream]?.forgetPending() }
    touched.removeAll(keepingCapacity: true)
  }

  /// Forgets a stream that is dropped.
  mutating func forget(_ stream: UInt32) {
    streams[stream] = nil
    touched.remove(stream)
  }
}

extension Engine {
  /// Counters of a stream that nothing was appended to yet.
  ///
  /// - Throws: `notFound` where it was dropped while the commit was on its way.
  fileprivate func counters(of stream: UInt32) throws(StoreError) -> StreamOffsets.Counters {
    guard let partitionCount = keyspaces.withLock({ $0[stream]?.partitionCount }) else {
      throw .notFound("stream number \(stream)")
    }
    return StreamOffsets.Counters(partitionCount: partitionCount)
  }

  /// One more than the offset of a partition's last event, by what is in the store.
  ///
  /// By the leader: everything that was committed is visible, and nothing is added meanwhile.
  fileprivate func nextOffset(
    ofStream stream: UInt32, partition: UInt32
  ) throws(StoreError) -> UInt64 {
    guard let keyspace = keyspaces.withLock({ $0[stream] }) else {
      throw .notFound("stream number \(stream)")
    }
    return try offsets(of: keyspace, partition: partition, at: visibleSequence).upperBound
  }

  /// The offsets of a partition's events at one moment: from the first that is there to behind the
  /// last; where none is there, the next one's.
  ///
  /// What was trimmed is not passed over, whether a compaction has come by or not.
  package func offsets(
    of stream: KeyspaceState, partition: UInt32, at sequence: UInt64
  ) throws(StoreError) -> Range<UInt64> {
    try requireReadable(stream)
    let begin = try recordedStart(of: stream, partition: partition, at: sequence) ?? 0
    let start = StreamKey.bytes(partition: partition, offset: begin)
    let end = StreamKey.end(of: partition)
    let version = start.withView { self.version(for: $0, in: stream) }
    let cursor = try ScanCursor(version, at: sequence, access: .point, from: start, to: end)
    try end.withView { end throws(StoreError) in try cursor.seekBefore(end) }
    guard cursor.isValid, start.withView({ cursor.key.compare($0) >= 0 }) else {
      return begin..<begin
    }
    guard let last = StreamKey.read(cursor.key) else {
      throw .corrupt(
        Damage(
          file: "shards", offset: 0,
          finding: "stream \(stream.name), partition \(partition): a key that no event has"))
    }
    try start.withView { start throws(StoreError) in try cursor.seek(start) }
    guard cursor.isValid, let first = StreamKey.read(cursor.key), first.partition == partition
    else { throw .poisoned("a partition's last event is there and its first is not") }
    return first.offset..<last.offset + 1
  }
}
