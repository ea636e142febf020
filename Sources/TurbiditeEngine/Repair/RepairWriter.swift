// RepairWriter — the tables and the manifest of the store that a repair makes.
//
// Room:    Engine/Repair.

import TurbiditeSystem

/// Collects what the log holds, and writes each tree as tables of the last level.
struct RepairWriter {
  /// Entries of the log wait in memory up to this; then they are sorted into tables of their own,
  /// which are merged and removed.
  private static let memoryByteCount = 64 << 20
  private static let tableByteCount: UInt64 = 16 << 20

  private let fileSystem: any FileSystem
  private let store: StoreID
  private let slots: SlotLayout
  private let keyspaces: [UInt32: KeyspaceDescription]
  private let pool = ChunkPool()
  private let numbers = Numbers()
  private var memtables: [TreeID: Memtable] = [:]
  private var spilled: [TreeID: [TableMetadata]] = [:]
  private var deletions: [TreeID: [(start: [UInt8], end: [UInt8], sequence: UInt64)]] = [:]
  private var edit = VersionEdit()
  private var largestSequence: UInt64 = 0
  private var pendingByteCount = 0
  /// Where streams' partitions begin.
  private var starts: [UInt32: [UInt32: UInt64]] = [:]
  /// The next offsets of streams' partitions, by what was written.
  private var ends: [UInt32: [UInt32: UInt64]] = [:]
  private(set) var movedCursorCount = 0
  private(set) var entryCount: UInt64 = 0
  private(set) var byteCount: UInt64 = 0

  /// File numbers, from 1 on.
  ///
  /// One thread uses them.
  private final class Numbers: @unchecked Sendable {
    // Unchecked: a repair is the business of one thread; the sink's closure must be sendable.
    private(set) var next: UInt64 = 1

    func take() -> UInt64 {
      defer { next += 1 }
      return next
    }
  }

  init(
    _ fileSystem: any FileSystem, store: StoreID, slots: SlotLayout,
    keyspaces: [UInt32: KeyspaceDescription]
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.slots = slots
    self.keyspaces = keyspaces
  }

  /// The trees of which the log holds anything.
  var trees: Set<TreeID> { Set(memtables.keys).union(spilled.keys) }

  // MARK: - From the log

  mutating func insert(
    _ entry: LogEntry, _ sequence: UInt64, into tree: TreeID
  ) throws(StoreError) {
    let memtable = memtables[tree] ?? Memtable(pool: pool)
    memtables[tree] = memtable
    let isNew = try memtable.insert(
      entry.key, Tag(sequence: sequence, kind: entry.kind), entry.value)
    note(sequence)
    if isNew { pendingByteCount += entry.key.count + entry.value.count + 64 }
    if pendingByteCount > Self.memoryByteCount { try spill() }
  }

  /// - Parameter end: empty for a range without an end.
  mutating func deleteRange(
    _ start: ByteView, _ end: ByteView, _ sequence: UInt64, of tree: TreeID
  ) {
    // Behind every key there can be.
    let last = end.isEmpty ? [UInt8](repeating: 0xff, count: Limits.keyByteCount + 1) : end.bytes()
    guard start.bytes().precedes(last) else { return }
    deletions[tree, default: []].append((start.bytes(), last, sequence))
    note(sequence)
  }

  func tombstones(of tree: TreeID) -> [RangeTombstones] {
    (deletions[tree]).map { [RangeTombstones(tombstones: $0)] } ?? []
  }

  /// Cursors over what the log holds of a tree.
  func logSources(of tree: TreeID) throws(StoreError) -> [EntryCursor] {
    var sources: [EntryCursor] = []
    if let memtable = memtables[tree] { sources.append(memtable.makeCursor()) }
    for table in spilled[tree] ?? [] {
      let reader = try TableReader(
        file: try fileSystem.openFile(
          FileNames.table(shard: tree.shard, table.fileNumber), .read),
        identity: TableIdentity(
          store: store, fileNumber: table.fileNumber, keyspace: tree.keyspace, shard: tree.shard),
        expecting: TableExpectation(
          byteCount: table.summary.byteCount, footerChecksum: table.summary.footerChecksum),
        cache: BlockCache(capacityByteCount: 0))
      sources.append(try reader.makeCursor(access: .sweep))
    }
    return sources
  }

  private mutating func spill() throws(StoreError) {
    for (tree, memtable) in memtables.sorted(by: { $0.key < $1.key }) {
      var sink = makeSink(tree, tableByteCount: .max)
      let cursor = memtable.makeCursor()
      try cursor.seekToFirst()
      while cursor.isValid {
        try sink.add(cursor.key, cursor.tag, cursor.value)
        try cursor.next()
      }
      try sink.finish()
      spilled[tree, default: []] += sink.tables
    }
    memtables = [:]
    pendingByteCount = 0
  }

  // MARK: - Writing

  /// Writes what `filter` keeps of `cursor`, which goes over all of a tree.
  ///
  /// - Parameter isSettled: whether all of it should be the tree's shard's; what is not is left out
  ///   otherwise.
  mutating func write(
    _ tree: TreeID, _ cursor: EntryCursor, _ filter: consuming VersionFilter, isSettled: Bool,
    progress: (UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    guard let kind = keyspaces[tree.keyspace]?.kind else {
      preconditionFailure("a tree of no keyspace")
    }
    let partitioning = kind.partitioning
    var sink = makeSink(tree, tableByteCount: Self.tableByteCount)
    var pending: UInt64 = 0
    try cursor.seekToFirst()
    while cursor.isValid {
      note(cursor.tag.sequence)
      pending += UInt64(cursor.key.count + cursor.value.count)
      // Of deletions and old versions as well: they tell as much of the layout.
      let slot = slots.shard(of: cursor.key, partitioning)
      guard slot == tree.shard || !isSettled else {
        throw .configuration(
          "a key of shard \(tree.shard) belongs to shard \(slot) in the layout: the manifest that"
            + " knew the layout is lost, and it was not the usual one")
      }
      if slot == tree.shard, try filter.judge(cursor.key, cursor.tag) == .keep,
        !isTrimmed(cursor.key, tree.keyspace)
      {
        if kind.partitionCount == nil {
          try sink.add(cursor.key, cursor.tag, cursor.value)
        } else {
          try add(cursor, of: tree.keyspace, to: &sink)
        }
        entryCount += 1
      }
      if pending > 1 << 20 {
        try progress(pending)
        pending = 0
      }
      try cursor.next()
    }
    try sink.finish()
    for table in sink.tables {
      edit.addedTables.append(.init(tree: tree, level: Limits.levelCount - 1, table: table))
      byteCount += table.summary.byteCount
    }
    memtables[tree] = nil
    for table in spilled.removeValue(forKey: tree) ?? [] {
      try fileSystem.removeFile(FileNames.table(shard: tree.shard, table.fileNumber))
    }
  }

  /// Looks for what says where a stream's partitions begin: of any age, as they only move on.
  mutating func noteStarts(of tree: TreeID, _ tables: [SalvagedTable]) throws(StoreError) {
    guard keyspaces[tree.keyspace]?.kind.partitionCount != nil else { return }
    let first = StreamKey.start(of: 0, at: 0)
    for source in try logSources(of: tree) {
      try first.withView { first throws(StoreError) in
        try source.seek(first, Tag(rawValue: .max))
      }
      while source.isValid {
        noteStart(source.key, source.tag, of: tree.keyspace)
        try source.next()
      }
    }
    for table in tables {
      try table.forEachEntry(from: first) { noteStart($0, $1, of: tree.keyspace) }
    }
  }

  /// Notes where a partition begins, if the entry says so.
  private mutating func noteStart(_ key: ByteView, _ tag: Tag, of stream: UInt32) {
    guard tag.isValue, let start = StreamKey.readStart(key) else { return }
    let known = starts[stream]?[start.partition] ?? 0
    starts[stream, default: [:]][start.partition] = max(known, start.offset)
  }

  /// Whether an event lies before its partition's beginning: the range tombstone over it may be
  /// lost, with the file that said so.
  private func isTrimmed(_ key: ByteView, _ stream: UInt32) -> Bool {
    guard let starts = starts[stream], let event = StreamKey.read(key) else { return false }
    return event.offset < starts[event.partition] ?? 0
  }

  /// Adds an entry of a stream: a cursor at the partition's end at most.
  ///
  /// Where a partition's last events are lost, new ones get their offsets: a cursor that had passed
  /// those would miss these.
  private mutating func add(
    _ entry: EntryCursor, of stream: UInt32, to sink: inout TableSink
  ) throws(StoreError) {
    if let event = StreamKey.read(entry.key) {
      ends[stream, default: [:]][event.partition] = event.offset + 1
    } else if let start = StreamKey.readStart(entry.key) {
      let end = ends[stream]?[start.partition] ?? 0
      ends[stream, default: [:]][start.partition] = max(end, start.offset)
    } else if let cursor = StreamKey.readCursor(entry.key), entry.value.count == 8 {
      let end = ends[stream]?[cursor.partition] ?? 0
      if entry.value.load(0, as: UInt64.self) > end {
        movedCursorCount += 1
        var bytes: [UInt8] = []
        bytes.append(littleEndian: end)
        return try bytes.withView { place throws(StoreError) in
          try sink.add(entry.key, entry.tag, place)
        }
      }
    }
    try sink.add(entry.key, entry.tag, entry.value)
  }

  /// Writes the manifest.
  mutating func finish() throws(StoreError) {
    assert(spilled.isEmpty)
    edit.slots = slots
    edit.createdKeyspaces = keyspaces.sorted { $0.key < $1.key }
      .map { .init(id: $0, description: $1) }
    edit.nextKeyspaceID = (keyspaces.keys.max() ?? 0) + 1
    edit.lastSequence = largestSequence
    let number = numbers.take()
    edit.nextFileNumber = numbers.next
    var state = ManifestState()
    do throws(DecodingFailure) { try state.apply(edit) } catch {
      throw .poisoned("the repaired store's manifest \(error.finding)")
    }
    state.editNumber = 1
    _ = try ManifestLog(fileSystem: fileSystem, store: store, number: number, state: state)
  }

  private mutating func note(_ sequence: UInt64) {
    largestSequence = max(largestSequence, sequence)
  }

  private func makeSink(_ tree: TreeID, tableByteCount: UInt64) -> TableSink {
    let numbers = numbers
    var options = TableOptions()
    options.keyspaceKind = keyspaces[tree.keyspace]?.kind ?? .plain
    return TableSink(
      TableSinkContext(
        fileSystem: fileSystem, store: store, tree: tree, options: options,
        tableByteCount: tableByteCount, smallestByteCount: tableByteCount / 64,
        nextNumber: { numbers.take() }, rarePaths: .never, gone: nil),
      tombstones: .none)
  }
}
