// Engine+Retention — where a stream's partitions begin, and where a moment lies in them.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 5.2: the keys that say where a partition begins.
// Source:  Segments that go as a whole, by the largest timestamp in them, are Kafka's.

import TurbiditeSystem

/// What may go of a stream.
package struct RetentionLimits: Hashable, Sendable {
  /// Tables whose events are all older go; microseconds since 1970-01-01 UTC.
  package var cutoff: Int64?
  /// The oldest tables go until the others take no more.
  package var byteCount: UInt64?
  /// No event from these offsets on goes, of the partitions that are named; nil protects nothing.
  package var unread: [UInt32: UInt64]?

  package init(cutoff: Int64?, byteCount: UInt64?, unread: [UInt32: UInt64]?) {
    self.cutoff = cutoff
    self.byteCount = byteCount
    self.unread = unread
  }
}

extension Engine {
  /// Forgets the events of partitions before the offsets given.
  ///
  /// Those of up to 256 partitions go in one commit: others commit in between, and a memtable gets
  /// at most twice the range tombstones at which it ends. Where a later commit fails, what went
  /// before stays gone.
  ///
  /// Writes a few bytes, whatever goes: a range tombstone, and a key that says where the partition
  /// begins, so that one which is empty now does not give its offsets again. Files go when a
  /// compaction comes by. Where the offset is beyond the last event, all that is there now goes.
  ///
  /// - Returns: for each partition that lost something the range of offsets that is gone.
  package func trim(
    _ stream: KeyspaceState, to starts: [UInt32: UInt64], synced: Bool
  ) throws(StoreError) -> [UInt32: Range<UInt64>] {
    var gone: [UInt32: Range<UInt64>] = [:]
    var batch = EncodedBatch()
    // Others may trim meanwhile: what is replaced is smaller than what replaces it, as both were at
    // one moment, so whatever they write the largest of all stays, and that counts.
    let moment = pinSnapshot()
    defer { unpinSnapshot(moment) }
    for (partition, wanted) in starts.sorted(by: { $0.key < $1.key }) {
      let held = try offsets(of: stream, partition: partition, at: moment)
      let start = min(wanted, held.upperBound)
      guard start > held.lowerBound else { continue }
      let recorded = try recordedStart(of: stream, partition: partition, at: moment)
      assert(recorded ?? 0 < start)
      batch.trim(stream: stream.id, partition: partition, to: start, replacing: recorded)
      gone[partition] = held.lowerBound..<start
      if gone.count.isMultiple(of: Engine.memtableTombstoneCount) {
        try commit(&batch, synced: synced)
        batch.removeAll()
      }
    }
    if batch.entryCount > 0 { try commit(&batch, synced: synced) }
    return gone
  }

  /// The largest offset at which `partition` was ever made to begin; nil where it never was.
  func recordedStart(
    of stream: KeyspaceState, partition: UInt32, at sequence: UInt64
  ) throws(StoreError) -> UInt64? {
    let start = StreamKey.start(of: partition, at: 0)
    let end = StreamKey.endOfStarts(of: partition)
    let version = end.withView { self.version(for: $0, in: stream) }
    let cursor = try ScanCursor(version, at: sequence, access: .point, from: start, to: end)
    try end.withView { end throws(StoreError) in try cursor.seekBefore(end) }
    guard cursor.isValid, let found = StreamKey.readStart(cursor.key),
      found.partition == partition
    else { return nil }
    return found.offset
  }

  /// Where partitions would begin if all went that may: whole tables, and of a partition no event
  /// that lies in another.
  package func starts(
    of stream: KeyspaceState, within limits: RetentionLimits
  ) throws(StoreError) -> [UInt32: UInt64] {
    try requireReadable(stream)
    // What moved to another shard must not count twice.
    if limits.byteCount != nil { try settle() }
    // First the moment, then the versions: every event of that moment is in them. What comes later
    // has larger offsets than any start that is returned.
    let moment = pinSnapshot()
    defer { unpinSnapshot(moment) }
    let versions = views(of: stream, from: nil, to: nil).map(\.version)
    let tables = versions.flatMap { $0.levels.joined() }
      .filter { StreamKey.read($0.smallestKey) != nil }
      .sorted { $0.metadata.summary.largestSequence < $1.metadata.summary.largestSequence }
    var excess = UInt64(0)
    if let most = limits.byteCount {
      let held = tables.reduce(UInt64(0)) { $0 + $1.metadata.summary.byteCount }
      excess = held > most ? held - most : 0
    }
    var goes: [UInt32: UInt64] = [:]
    var stays: [UInt32: UInt64] = [:]
    for table in tables {
      let summary = table.metadata.summary
      let isOld = limits.cutoff.map { summary.largestTimestamp ?? .max < $0 } ?? false
      if isOld || excess > 0 {
        excess -= min(excess, summary.byteCount)
        try firstOffsets(in: table, into: &goes)
      } else {
        try firstOffsets(in: table, into: &stays)
      }
    }
    for version in versions { try firstOffsets(in: version.memtables, into: &stays) }
    var starts: [UInt32: UInt64] = [:]
    for partition in goes.keys {
      let held = try offsets(of: stream, partition: partition, at: moment)
      var start = min(stays[partition] ?? held.upperBound, held.upperBound)
      if let unread = limits.unread { start = min(start, unread[partition] ?? start) }
      if start > held.lowerBound { starts[partition] = start }
    }
    return starts
  }

  /// The offset of the first event of a partition that is not before `timestamp`; behind the last
  /// event where there is none.
  ///
  /// Tables whose events are all before it are passed over. Of the others, and of what is in
  /// memory, events are read from the first on.
  package func offset(
    of stream: KeyspaceState, partition: UInt32, from timestamp: Int64, at sequence: UInt64
  ) throws(StoreError) -> UInt64 {
    let held = try offsets(of: stream, partition: partition, at: sequence)
    let start = StreamKey.bytes(partition: partition, offset: 0)
    let end = StreamKey.end(of: partition)
    let version = start.withView { self.version(for: $0, in: stream) }
    var candidates: [UInt32: UInt64] = [:]
    try firstOffsets(in: version.memtables, into: &candidates)
    for table in version.levels.joined() {
      guard table.metadata.summary.largestTimestamp ?? .max >= timestamp,
        start.withView({ !table.ends(before: $0) }),
        end.withView({ table.smallestKey.compare($0) < 0 })
      else { continue }
      try firstOffsets(in: table, into: &candidates, only: partition)
    }
    guard let first = candidates[partition] else { return held.upperBound }
    let from = StreamKey.bytes(partition: partition, offset: max(first, held.lowerBound))
    let cursor = try ScanCursor(version, at: sequence, access: .scan, from: from, to: end)
    try from.withView { from throws(StoreError) in try cursor.seek(from) }
    while cursor.isValid, let key = StreamKey.read(cursor.key), key.partition == partition {
      if EventContent.timestamp(of: cursor.value) ?? .max >= timestamp { return key.offset }
      try cursor.next()
    }
    return held.upperBound
  }

  /// Notes the first event of each partition in a table, unless an earlier one is known.
  ///
  /// A seek for each of the partitions; none for a table that begins within the only one.
  private func firstOffsets(
    in table: TableHandle, into offsets: inout [UInt32: UInt64], only partition: UInt32? = nil
  ) throws(StoreError) {
    // A range tombstone of an earlier retention begins before the first event that is left.
    if table.metadata.summary.rangeTombstoneCount == 0,
      let first = StreamKey.read(table.smallestKey)
    {
      note(first, in: &offsets)
      if !StreamKey.isParted(table.smallestKey, table.largestKey) { return }
    }
    try firstOffsets(in: RunCursor([table], access: .point), into: &offsets, only: partition)
  }

  private func firstOffsets(
    in memtables: [LoggedMemtable], into offsets: inout [UInt32: UInt64]
  ) throws(StoreError) {
    for memtable in memtables {
      try firstOffsets(in: memtable.memtable.makeCursor(), into: &offsets, only: nil)
    }
  }

  private func firstOffsets(
    in cursor: EntryCursor, into offsets: inout [UInt32: UInt64], only partition: UInt32?
  ) throws(StoreError) {
    let start = StreamKey.bytes(partition: partition ?? 0, offset: 0)
    try start.withView { start throws(StoreError) in
      try cursor.seek(start, .newest(at: Tag.maximumSequence))
    }
    while cursor.isValid, let first = StreamKey.read(cursor.key) {
      note(first, in: &offsets)
      if partition != nil { return }
      let end = StreamKey.end(of: first.partition)
      try end.withView { end throws(StoreError) in
        try cursor.seek(end, .newest(at: Tag.maximumSequence))
      }
    }
  }

  private func note(
    _ event: (partition: UInt32, offset: UInt64), in offsets: inout [UInt32: UInt64]
  ) {
    offsets[event.partition] = min(offsets[event.partition] ?? .max, event.offset)
  }
}
