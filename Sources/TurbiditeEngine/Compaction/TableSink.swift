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
  /// Gives out file numbers that were never used.
  var nextNumber: @Sendable () -> UInt64
  var rarePaths: RarePaths
}

/// Cuts its input into tables between user keys, and spreads range tombstones over them.
///
/// Invariants:
/// 1. All versions of a user key go to one table, so that the tables of a level never share a key.
/// 2. The tables' ranges, tombstones included, do not overlap: each tombstone is cut where the next
///    table begins.
struct TableSink {
  private let context: TableSinkContext
  private let tombstones: RangeTombstones
  private var writer: TableWriter?
  private var writerNumber: UInt64 = 0
  /// Where the current table's share of the tombstones begins; nil for the first table.
  private var lowerBound: [UInt8]?
  private var lastKey: [UInt8] = []
  private(set) var tables: [TableMetadata] = []
  /// Every file this sink has created, finished or not.
  private(set) var createdNumbers: [UInt64] = []

  init(_ context: TableSinkContext, tombstones: RangeTombstones) {
    self.context = context
    self.tombstones = tombstones
  }

  mutating func add(_ key: ByteView, _ tag: Tag, _ value: ByteView) throws(StoreError) {
    if let writer,
      writer.byteCountEstimate >= context.tableByteCount || context.rarePaths.takes(.endTable),
      !lastKey.withView({ $0.isEqual(to: key) })
    {
      try finishTable(before: key.bytes())
    }
    if writer == nil { try beginTable() }
    try writer?.add(key, tag, value)
    lastKey.removeAll(keepingCapacity: true)
    lastKey.append(key)
  }

  /// Ends the last table.
  ///
  /// It holds what is left of the tombstones, even without an entry.
  mutating func finish() throws(StoreError) {
    if writer == nil, !tombstones.clipped(from: lowerBound, to: nil).isEmpty { try beginTable() }
    if writer != nil { try finishTable(before: nil) }
    if !tables.isEmpty { try context.fileSystem.syncNames(directory) }
  }

  private var directory: String { FileNames.shardDirectory(context.tree.shard) }

  private mutating func beginTable() throws(StoreError) {
    writerNumber = context.nextNumber()
    let path = FileNames.table(shard: context.tree.shard, writerNumber)
    let file = try context.fileSystem.openFile(path, .create)
    createdNumbers.append(writerNumber)
    writer = TableWriter(
      file: file,
      identity: TableIdentity(
        store: context.store, fileNumber: writerNumber, keyspace: context.tree.keyspace,
        shard: context.tree.shard),
      options: context.options)
  }

  private mutating func finishTable(before next: [UInt8]?) throws(StoreError) {
    guard let writer else { return }
    let share = tombstones.clipped(from: lowerBound, to: next)
    if !share.isEmpty { writer.addRangeTombstones(share) }
    let summary = try writer.finish()
    tables.append(TableMetadata(fileNumber: writerNumber, summary: summary))
    lowerBound = next
    self.writer = nil
  }

  /// Removes what was created; the caller publishes nothing of it.
  mutating func discard() throws(StoreError) {
    writer = nil
    let numbers = createdNumbers
    createdNumbers = []
    tables = []
    for number in numbers {
      try context.fileSystem.removeFile(FileNames.table(shard: context.tree.shard, number))
    }
  }
}
