// ScanCursor — what one reader sees of a keyspace, in key order, either way.
//
// Room:    Engine/Shard.

import TurbiditeSystem

/// What a tree holds at one moment, and which of it is its shard's; nil means all.
struct TreeView {
  var version: TreeVersion
  var ownership: KeyOwnership?
}

/// The keys and values that are visible at one sequence number, over all shards of a keyspace.
///
/// All sources of all shards are merged at once: a key lies in one shard only, or else the others
/// leave theirs out; and a range tombstone, whatever shard it lies in, is one of the keyspace's. So
/// neither needs to know where it came from.
///
/// `key` and `value` are valid until the cursor moves. Not thread-safe.
final class ScanCursor: EntryKeeper {
  private(set) var isValid = false
  private(set) var key = ByteView.empty
  private(set) var value = ByteView.empty
  /// Entries that the last move passed over: older versions, and what is deleted.
  private(set) var passedCount = 0

  private let views: [TreeView]
  private let sequence: UInt64
  private let merge: EntryCursor
  private let tombstones: RangeTombstones
  /// Where the caller stops looking: what is deleted beyond is not passed over.
  private let from: [UInt8]?
  private let to: [UInt8]?
  /// Going forward: older versions of the kept key are to be skipped.
  ///
  /// Going backward, the current entry is kept, as the merge stands before it.
  private var skips = false
  private var isForward = true

  /// What one tree holds.
  ///
  /// For who asks only for keys that are the shard's.
  convenience init(
    _ version: TreeVersion, at sequence: UInt64, access: BlockAccess, from: [UInt8], to: [UInt8]
  ) throws(StoreError) {
    try self.init(
      [TreeView(version: version, ownership: nil)], at: sequence, access: access, from: from,
      to: to)
  }

  /// - Parameter from: no key before it is wanted.
  /// - Parameter to: nor this one, or a key behind it. The cursor may stand at keys that are not
  ///   wanted, deleted ones too, or end there.
  init(
    _ views: [TreeView], at sequence: UInt64, access: BlockAccess, from: [UInt8]?, to: [UInt8]?
  ) throws(StoreError) {
    self.views = views
    self.sequence = sequence
    self.from = from
    self.to = to
    var sources: [EntryCursor] = []
    var sets: [RangeTombstones] = []
    for view in views {
      let version = view.version
      func add(_ source: EntryCursor) {
        sources.append(KeyOwnership.filter(source, view.ownership))
      }
      func add(_ memtable: Memtable) {
        let set = memtable.rangeTombstones
        if !set.isEmpty { sets.append(set.visible(at: sequence, from: from, to: to)) }
        add(memtable.makeCursor())
      }
      if let active = version.active { add(active.memtable) }
      for frozen in version.frozen { add(frozen.memtable) }
      // A table that the range does not meet is not even opened: its damage is none of the range's.
      for table in version.levels[0]
      where table.metadata.summary.entryCount > 0 && table.meets(from: from, to: to) {
        add(try table.open().makeCursor(access: access))
      }
      for run in version.runs {
        let range = TreeVersion.indices(of: run, from: from, to: to)
        if !range.isEmpty { add(RunCursor(run, within: range, access: access)) }
      }
      for table in version.tombstoned where table.meets(from: from, to: to) {
        sets.append(try table.open().rangeTombstones.visible(at: sequence, from: from, to: to))
      }
    }
    tombstones = sets.isEmpty ? .none : RangeTombstones.merged(sets)
    // Never nil: an optional would be copied, and so counted, for each entry.
    merge =
      sources.isEmpty
      ? EmptyCursor() : sources.count == 1 ? sources[0] : try MergingCursor(sources)
  }

  /// Whether it reads memtables, which it so keeps.
  var holdsMemtables: Bool {
    views.contains { $0.version.active != nil || !$0.version.frozen.isEmpty }
  }

  func seekToFirst() throws(StoreError) {
    try start(forward: true)
    try merge.seekToFirst()
    try settleForward()
  }

  func seekToLast() throws(StoreError) {
    try start(forward: false)
    try merge.seekToLast()
    try settleBackward()
  }

  /// Moves to the first visible key at or behind `target`.
  func seek(_ target: ByteView) throws(StoreError) {
    try start(forward: true)
    try merge.seek(target, .newest(at: sequence))
    try settleForward()
  }

  /// Moves to the last visible key before `target`.
  func seekBefore(_ target: ByteView) throws(StoreError) {
    try start(forward: false)
    try merge.seekBefore(target, Tag(rawValue: .max))
    try settleBackward()
  }

  /// Precondition: `isValid`, and the cursor goes forward.
  func next() throws(StoreError) {
    precondition(isValid)
    precondition(isForward)
    isValid = false
    try skip(key)
    try merge.next()
    try settleForward()
  }

  /// Precondition: `isValid`, and the cursor goes backward.
  func previous() throws(StoreError) {
    precondition(isValid)
    precondition(!isForward)
    isValid = false
    try settleBackward()
  }

  private func start(forward: Bool) throws(StoreError) {
    isValid = false
    isForward = forward
    skips = false
  }

  /// From where the merge stands to the first entry that this reader sees.
  private func settleForward() throws(StoreError) {
    passedCount = 0
    while merge.isValid {
      if merge.tag.sequence <= sequence && !(skips && isSkipped(merge.key)) {
        if merge.tag.isValue && !isCovered(merge.key, merge.tag) {
          key = merge.key
          value = merge.value
          isValid = true
          return
        }
        try skip(merge.key)
      }
      try merge.next()
      passedCount &+= 1
      if let to, merge.isValid, to.withView({ merge.key.compare($0) >= 0 }) { return }
    }
  }

  @inline(__always)
  private func isSkipped(_ candidate: ByteView) -> Bool {
    candidate.isEqual(to: keptKey)
  }

  /// Has the older versions of `key` passed over.
  @inline(__always)
  private func skip(_ key: ByteView) throws(StoreError) {
    skips = true
    try keep(key: key)
  }

  private func isCovered(_ key: ByteView, _ tag: Tag) -> Bool {
    guard !tombstones.isEmpty else { return false }
    guard let newest = tombstones.newestCovering(key, at: sequence) else { return false }
    return newest > tag.sequence
  }

  /// Going backward, the versions of a key come oldest first: the last visible one counts.
  private func settleBackward() throws(StoreError) {
    passedCount = 0
    while merge.isValid {
      try keep(key: merge.key)
      let current = keptKey
      var isLive = false
      while merge.isValid, merge.key.isEqual(to: current) {
        if merge.tag.sequence <= sequence {
          isLive = merge.tag.isValue && !isCovered(current, merge.tag)
          if isLive {
            try keep(value: merge.value)
            value = keptValue
          }
        }
        try merge.previous()
        passedCount &+= 1
      }
      if isLive {
        key = current
        isValid = true
        return
      }
      if let from, merge.isValid, from.withView({ merge.key.compare($0) < 0 }) { return }
    }
  }
}
