// StreamOffsets — which offset the next event of each partition gets.
//
// Room:    Engine/Shard.

import Synchronization

/// The next offsets; the leader's.
///
/// A frame is numbered before it is logged, and its numbers count only when it was: what a refused
/// frame had is given to the next, so that offsets are dense.
///
/// Invariant: `next` holds, of partitions that this process has appended to, one more than the
/// offset of the last event in the log.
struct StreamOffsets {
  private struct Partition: Hashable {
    var stream: UInt32
    var number: UInt32
  }

  private var next: [Partition: UInt64] = [:]
  /// What the frame at hand adds to `next` when it is in the log.
  private var pending: [Partition: UInt64] = [:]

  /// Gives each event of `batches` its offset, in the bytes as well.
  mutating func number(_ batches: inout [EncodedBatch], _ engine: Engine) throws(StoreError) {
    pending.removeAll(keepingCapacity: true)
    for index in batches.indices {
      guard let appends = batches[index].appends else { continue }
      var offsets: [UInt64] = []
      offsets.reserveCapacity(appends.places.count)
      for place in appends.places {
        let partition = Partition(stream: place.stream, number: place.partition)
        let offset: UInt64
        if let known = pending[partition] ?? next[partition] {
          offset = known
        } else {
          offset = try engine.nextOffset(ofStream: place.stream, partition: place.partition)
        }
        guard offset < Limits.counter else { throw .resourceExhausted("offsets of a partition") }
        batches[index].setOffset(offset, at: place.position)
        pending[partition] = offset + 1
        offsets.append(offset)
      }
      appends.record(offsets)
    }
  }

  /// Says that the frame which was numbered last is in the log.
  mutating func accept() {
    for (partition, offset) in pending { next[partition] = offset }
  }

  /// Tells those who wait that the events of that frame are visible.
  mutating func announce(in engine: Engine) {
    var ends: [UInt32: [(partition: UInt32, end: UInt64)]] = [:]
    for (partition, end) in pending {
      ends[partition.stream, default: []].append((partition.number, end))
    }
    pending.removeAll(keepingCapacity: true)
    for (stream, ends) in ends {
      engine.keyspaces.withLock { $0[stream] }?.watch.announce(ends)
    }
  }

  /// Forgets a stream that is dropped.
  mutating func forget(_ stream: UInt32) {
    next = next.filter { $0.key.stream != stream }
  }
}

extension Engine {
  /// One more than the offset of a partition's last event, by what is in the store.
  ///
  /// By the leader: everything that was committed is visible, and nothing is added meanwhile.
  fileprivate func nextOffset(
    ofStream stream: UInt32, partition: UInt32
  ) throws(StoreError) -> UInt64 {
    // A stream that was dropped while the commit was on its way: it goes where the stream went.
    guard let keyspace = keyspaces.withLock({ $0[stream] }) else { return 0 }
    return try offsets(of: keyspace, partition: partition, at: visibleSequence).upperBound
  }

  /// Throws when the store is closed, or the stream dropped.
  package func requireReadable(_ stream: KeyspaceState) throws(StoreError) {
    try requireOpen()
    if stream.isDropped { throw .notFound("stream \(stream.name)") }
  }

  /// The offsets of a partition's events at one moment: from the first that is there to behind the
  /// last; where none is there, the next one's.
  package func offsets(
    of stream: KeyspaceState, partition: UInt32, at sequence: UInt64
  ) throws(StoreError) -> Range<UInt64> {
    try requireReadable(stream)
    let start = StreamKey.bytes(partition: partition, offset: 0)
    let end = StreamKey.end(of: partition)
    let shard = start.withView { self.shard(of: $0, in: stream) }
    let cursor = try ScanCursor([stream.trees[shard].version], at: sequence, access: .point)
    try end.withView { end throws(StoreError) in try cursor.seekBefore(end) }
    guard cursor.isValid, let last = StreamKey.read(cursor.key), last.partition == partition else {
      let start = try recordedStart(of: stream, partition: partition, at: sequence) ?? 0
      return start..<start
    }
    try start.withView { start throws(StoreError) in try cursor.seek(start) }
    guard cursor.isValid, let first = StreamKey.read(cursor.key), first.partition == partition
    else { throw .poisoned("a partition's last event is there and its first is not") }
    return first.offset..<last.offset + 1
  }
}
