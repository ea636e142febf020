// VersionFilter — which versions of a key a flush or compaction must keep.
//
// Room:    Engine/Compaction.
// Source:  The rule for snapshots is LevelDB's (db_impl.cc, DoCompactionWork) for any number of
//          snapshots; range tombstones follow RocksDB's "DeleteRange" (Ameri et al., 2018).

/// Decides entry by entry, in internal key order, what survives.
///
/// The snapshots cut the sequence numbers into stripes: two versions in one stripe look the same to
/// every reader, so only the newer one is needed.
struct VersionFilter: ~Copyable {
  /// What becomes of an entry.
  enum Verdict {
    case keep
    case drop
  }

  /// Sequence numbers that readers hold, ascending.
  let snapshots: [UInt64]
  /// Range tombstones of all inputs.
  let tombstones: RangeTombstones
  /// No older version of any key in range lies outside the inputs: tombstones that no snapshot
  /// needs can go.
  let isBottommost: Bool

  private var previousKey = ScratchBytes()
  private var previousSequence: UInt64 = 0
  private var hasPrevious = false

  init(snapshots: [UInt64], tombstones: RangeTombstones, isBottommost: Bool) {
    self.snapshots = snapshots
    self.tombstones = tombstones
    self.isBottommost = isBottommost
  }

  mutating func judge(_ key: ByteView, _ tag: Tag) throws(StoreError) -> Verdict {
    let sequence = tag.sequence
    let isSameKey = hasPrevious && previousKey.view.isEqual(to: key)
    defer { previousSequence = sequence }
    if isSameKey {
      if !isSeparated(sequence, from: previousSequence) { return .drop }
    } else {
      try previousKey.replace(with: key)
      hasPrevious = true
    }
    if !tombstones.isEmpty, let newest = newestInStripe(covering: key, of: sequence),
      newest > sequence
    {
      return .drop
    }
    if isBottommost, tag.isDeletion, isBelowAllSnapshots(sequence) { return .drop }
    return .keep
  }

  /// Whether every entry of a table is certain to be dropped, so that it need not be read: one
  /// range tombstone after the other deletes all between its bounds.
  func dropsAll(of table: TableSummary) -> Bool {
    guard !tombstones.isEmpty, table.rangeTombstoneCount == 0 else { return false }
    let stripe = firstSnapshot(atOrAbove: table.smallestSequence)
    guard stripe == firstSnapshot(atOrAbove: table.largestSequence) else { return false }
    return tombstones.cover(
      from: table.smallestKey, through: table.largestKey, at: stripe ?? Tag.maximumSequence,
      after: table.largestSequence)
  }

  /// The range tombstones that must be kept: one a stripe, and none at the bottom that no snapshot
  /// needs.
  func survivingTombstones() -> RangeTombstones {
    var kept: [(start: [UInt8], end: [UInt8], sequence: UInt64)] = []
    for fragment in tombstones.fragments {
      var newer: UInt64?
      for sequence in fragment.sequences {
        if let newer, !isSeparated(sequence, from: newer) { continue }
        newer = sequence
        let isLast = isBottommost || planted(.dropRangeTombstonesEarly)
        if isLast && isBelowAllSnapshots(sequence) { continue }
        kept.append((fragment.start, fragment.end, sequence))
      }
    }
    return kept.isEmpty ? .none : RangeTombstones(tombstones: kept)
  }

  /// Whether some snapshot sees the older but not the newer of two sequence numbers.
  private func isSeparated(_ older: UInt64, from newer: UInt64) -> Bool {
    guard let snapshot = firstSnapshot(atOrAbove: older) else { return false }
    return planted(.snapshotSeparatesTooLittle) ? snapshot + 1 < newer : snapshot < newer
  }

  private func isBelowAllSnapshots(_ sequence: UInt64) -> Bool {
    snapshots.first.map { sequence <= $0 } ?? true
  }

  /// The newest tombstone over `key` that every reader who sees `sequence` sees, too.
  private func newestInStripe(covering key: ByteView, of sequence: UInt64) -> UInt64? {
    tombstones.newestCovering(key, at: firstSnapshot(atOrAbove: sequence) ?? Tag.maximumSequence)
  }

  private func firstSnapshot(atOrAbove sequence: UInt64) -> UInt64? {
    var low = 0
    var high = snapshots.count
    while low < high {
      let middle = (low + high) / 2
      if snapshots[middle] < sequence { low = middle + 1 } else { high = middle }
    }
    return low < snapshots.count ? snapshots[low] : nil
  }
}
