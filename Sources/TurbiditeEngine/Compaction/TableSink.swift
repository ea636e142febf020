// TableSink — writes a sorted sequence of entries as one or more tables.
//
// Room:    Engine/Compaction. A flush and a compaction differ only in what they read.

import TurbiditeSystem

/// What a sink needs to make a table.
struct TableSinkContext {
  var fileSystem: any FileSystem
  var store: StoreID
  var tree: TreeID
  var options: TableOptions
  /// A table ends when it holds about this many bytes on disk.
  var tableByteCount: UInt64
  /// A table of less is not ended for the sake of a partition.
  var smallestByteCount: UInt64
  /// Gives out file numbers that were never used.
  var nextNumber: @Sendable () -> UInt64
  var rarePaths: RarePaths
  /// Nil where no table was ever replaced.
  var gone: GoneTables?
}

/// Cuts its input into tables between user keys, and spreads range tombstones over them.
///
/// Invariants:
/// 1. All versions of a user key go to one table, so that the tables of a level never share a key.
/// 2. The tables' ranges, tombstones included, do not overlap: each tombstone is cut where the next
///    table begins.
/// 3. Of a stream with few partitions, range tombstones between the events of two tables are tables
///    of their own, one for each partition: so no table of events that are kept overlaps those that
///    they delete, and a retention has nothing rewritten.
struct TableSink: ~Copyable {
  private let context: TableSinkContext
  private let tombstones: RangeTombstones
  private var writer: TableWriter?
  private var writerNumber: UInt64 = 0
  private let isStream: Bool
  private let partsTombstones: Bool
  /// Where the next table's share of the tombstones begins; nil for the first table.
  private var lowerBound: [UInt8]?
  /// The last table is written.
  private var isWhole = false
  private(set) var tables: [TableMetadata] = []
  /// Every file this sink has created, finished or not.
  private(set) var createdNumbers: [UInt64] = []
  /// What the tables are the merge of; nil in a flush.
  private let inputs: [UInt64]?
  private let gone: [UInt64]

  /// - Parameter inputs: the numbers of the tables that a compaction replaces.
  init(_ context: TableSinkContext, tombstones: RangeTombstones, replacing inputs: [UInt64]? = nil)
  {
    self.context = context
    self.tombstones = tombstones
    let partitionCount = context.options.keyspaceKind.partitionCount ?? .max
    isStream = context.options.keyspaceKind.partitionCount != nil
    partsTombstones = !tombstones.isEmpty && partitionCount <= Self.partedCount
    self.inputs = inputs?.sorted()
    gone = context.gone?.numbers(of: context.tree.shard) ?? []
  }

  mutating func add(_ key: ByteView, _ tag: Tag, _ value: ByteView) throws(StoreError) {
    if isAtEnd(key) { try finishTable(before: key.bytes()) }
    if writer == nil {
      if partsTombstones { try writeTombstones(before: key.bytes()) }
      try beginTable()
    }
    try writer?.add(key, tag, value)
  }

  /// A stream of more partitions has tables of several of them, which are merged as any others.
  private static let partedCount = 64

  /// A writer holds eight bytes of memory a key until it makes the filter: of records of a few
  /// bytes, 16 MiB of table hold millions.
  private static let largestEntryCount = 1 << 20

  /// Whether the table being written ends before `key`.
  ///
  /// Changes nothing, but is `mutating`, as is what it asks of the writer: a value that is only
  /// looked at is copied first, sink and writer 1.3 KB an entry (seen in the compiled code).
  @inline(__always)
  private mutating func isAtEnd(_ key: ByteView) -> Bool {
    guard let (last, byteCount, entryCount) = writer?.standing() else { return false }
    let isFull =
      byteCount >= context.tableByteCount || entryCount >= Self.largestEntryCount
      || context.rarePaths.takes(.endTable)
    guard isFull || isStream && Self.isParted(last, key, byteCount, context.smallestByteCount)
    else { return false }
    return planted(.splitVersionsOfKey) || !last.isEqual(to: key)
  }

  /// Whether a stream's table ends for the sake of a partition.
  ///
  /// A stream's partitions, and what is no partition's, have tables of their own, as far as that
  /// does not make very small ones: their keys only grow, so such a table overlaps none that comes
  /// later, and moves from level to level without being written again.
  @inline(__always)
  private static func isParted(
    _ last: ByteView, _ key: ByteView, _ byteCount: UInt64, _ smallestByteCount: UInt64
  ) -> Bool {
    guard StreamKey.isParted(last, key) else { return false }
    return byteCount >= smallestByteCount
      || (StreamKey.read(last) != nil && StreamKey.read(key) == nil)
  }

  /// Ends the last table.
  ///
  /// It holds what is left of the tombstones, even without an entry.
  mutating func finish() throws(StoreError) {
    if writer != nil { try finishTable(before: nil) }
    try writeTombstones(before: nil)
    guard !tables.isEmpty, !planted(.skipTableDirectorySync) else { return }
    guard let gone = context.gone else { return try context.fileSystem.syncNames(directory) }
    try gone.syncing(context.tree.shard) { () throws(StoreError) in
      try context.fileSystem.syncNames(directory)
    }
  }

  private var directory: String { FileNames.shardDirectory(context.tree.shard) }

  private mutating func beginTable() throws(StoreError) {
    writerNumber = context.nextNumber()
    let path = FileNames.table(shard: context.tree.shard, writerNumber)
    let file = try context.fileSystem.openFile(path, .create)
    createdNumbers.append(writerNumber)
    var replacement: TableReplacement?
    if inputs != nil || !gone.isEmpty {
      replacement = TableReplacement(
        group: createdNumbers[0], ordinal: UInt64(tables.count),
        inputs: planted(.forgetReplaced) ? [] : inputs ?? [], gone: gone)
    }
    writer = TableWriter(
      file: file,
      identity: TableIdentity(
        store: context.store, fileNumber: writerNumber, keyspace: context.tree.keyspace,
        shard: context.tree.shard),
      options: context.options, replacement: replacement)
  }

  /// Ends the table being written, with the tombstones up to its end.
  private mutating func finishTable(before next: [UInt8]?) throws(StoreError) {
    let end = tableEnd(before: next)
    let share =
      planted(.unclippedRangeTombstones)
      ? tombstones : tombstones.clipped(from: lowerBound, to: end)
    if !share.isEmpty { writer?.addRangeTombstones(share) }
    try close(at: end, before: next)
  }

  /// Where the table being written ends, before `next`: at the end of its last partition, if
  /// tombstones of other partitions are not to be in it.
  private mutating func tableEnd(before next: [UInt8]?) -> [UInt8]? {
    guard partsTombstones, let last = writer?.standing().last, let last = StreamKey.read(last)
    else { return next }
    let end = StreamKey.end(of: last.partition)
    guard let next, next.withView({ next in end.withView { next.compare($0) < 0 } }) else {
      return end
    }
    return next
  }

  /// Writes the tombstones that are left before `next` as tables without entries.
  private mutating func writeTombstones(before next: [UInt8]?) throws(StoreError) {
    while !isWhole {
      let left = tombstones.clipped(from: lowerBound, to: next)
      guard let first = left.fragments.first else { break }
      var end = next
      if partsTombstones {
        end =
          left.fragments.first { fragment in
            first.start.withView { one in fragment.start.withView { StreamKey.isParted(one, $0) } }
          }?.start ?? next
      }
      try beginTable()
      writer?.addRangeTombstones(tombstones.clipped(from: lowerBound, to: end))
      try close(at: end, before: next)
    }
    lowerBound = next
  }

  /// Ends the table being written at `end`, where `next` is the next entry's key.
  private mutating func close(at end: [UInt8]?, before next: [UInt8]?) throws(StoreError) {
    let isLast = next == nil && (end == nil || tombstones.clipped(from: end, to: nil).isEmpty)
    guard let summary = try writer?.finish(isLast: isLast) else { return }
    tables.append(TableMetadata(fileNumber: writerNumber, summary: summary))
    lowerBound = end
    isWhole = isLast
    writer = nil
  }

  /// Removes what was created; the caller publishes nothing of it.
  mutating func discard() throws(StoreError) {
    writer = nil
    let numbers = createdNumbers
    createdNumbers = []
    tables = []
    let shard = context.tree.shard
    // A file that stays, or that a power failure brings back, is a whole table of no state.
    for number in numbers { context.gone?.add(number, shard: shard) }
    for number in numbers {
      try context.fileSystem.removeFile(FileNames.table(shard: shard, number))
      context.gone?.wasRemoved(number, shard: shard)
    }
  }
}
