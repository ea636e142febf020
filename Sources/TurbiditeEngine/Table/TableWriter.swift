// TableWriter — sorted entries in, one finished and synced table out.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.
// Limits:  One thread. Eight bytes of memory a distinct key until the filter is made.

import TurbiditeSystem

/// Writes one table.
///
/// A value without copies, not an object: each change of an object's fields is checked for
/// exclusive access while the program runs, which took more of a flush than LZ4 did.
///
/// Invariants:
/// 1. Entries are added in strictly ascending internal key order.
/// 2. `last` and `lastTag` are those of the entry added last; the block `unindexed` ends so.
/// 3. After an error the writer is of no use, and the file is the caller's to remove.
struct TableWriter: ~Copyable {
  private let file: any File
  private let identity: TableIdentity
  private let options: TableOptions
  private var output: BlockOutput
  private var block = BlockBuilder()
  private var index = IndexBuilder()
  private var filter: FilterBuilder
  private var properties = TableProperties()
  private var tombstones = RangeTombstones.none
  private var last = ScratchBytes()
  private var lastTag = Tag(rawValue: 0)
  /// A block that was written, and waits for the next key to choose its separator.
  private var unindexed: BlockHandle?
  private var raw = ScratchBytes()
  private var headerChecksum: UInt64 = 0
  /// Of the file, without the filter and the block at hand.
  private var settledByteCount: UInt64 = 0
  private var isFinished = false

  /// Writes a table into `file`, which must be empty.
  ///
  /// Nothing is written before the first block is full.
  ///
  /// - Parameter replacement: what the table says of others; whether it is the last of its group is
  ///   told to ``finish(isLast:)``.
  init(
    file: any File, identity: TableIdentity, options: TableOptions,
    replacement: TableReplacement? = nil
  ) {
    precondition(options.blockByteCount >= 1)
    precondition(options.blockByteCount <= TableFormat.largestBlockByteCount / 2)
    precondition(options.filterBitsPerKey >= 0)
    precondition(options.filterBitsPerKey <= 64)
    self.file = file
    self.identity = identity
    self.options = options
    output = BlockOutput(
      file: file, seed: ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber))
    // Events are looked for by their order, never by a key that may be absent.
    let isStream = options.keyspaceKind.partitionCount != nil
    filter = FilterBuilder(bitsPerKey: isStream ? 0 : options.filterBitsPerKey)
    properties.replacement = replacement
    properties.keyspaceKind = options.keyspaceKind
    if options.keyspaceKind.partitionCount != nil { properties.largestTimestamp = .min }
  }

  /// Where the writer stands.
  ///
  /// `mutating` so that it is asked in its place and not in a copy; it changes nothing.
  ///
  /// - Returns: the key of the entry added last, valid until the next one; the size that the file
  ///   would have if finished now, within a few percent; the entries added so far.
  @inline(__always)
  mutating func standing() -> (last: ByteView, byteCount: UInt64, entryCount: UInt64) {
    let openByteCount = block.byteCountEstimate &+ filter.byteCountEstimate
    return (last.view, settledByteCount &+ UInt64(openByteCount), properties.entryCount)
  }

  private mutating func settle() {
    let rest =
      index.byteCountEstimate + TableFormat.footerByteCount + 4 * TableFormat.trailerByteCount
    settledByteCount = output.offset + UInt64(rest)
  }

  /// Adds an entry.
  ///
  /// It must follow all that were added before.
  ///
  /// - Precondition: the key and value are within the format's limits; a tombstone has no value;
  ///   the tag is a value's or a deletion's; the entry is after the last one.
  mutating func add(_ key: ByteView, _ tag: Tag, _ value: ByteView) throws(StoreError) {
    precondition(!isFinished)
    precondition(key.count <= TableFormat.largestKeyByteCount)
    precondition(value.count <= TableFormat.largestValueByteCount)
    precondition(tag.isValue || (tag.isDeletion && value.isEmpty))
    let previous = last.view
    let shared = previous.sharedPrefixCount(key)
    var isNewKey = true
    if properties.entryCount == 0 {
      try begin()
      properties.smallestKey = key.bytes()
    } else if shared < key.count || shared < previous.count {
      precondition(
        shared == previous.count || (shared < key.count && key[shared] > previous[shared]),
        "entries are added in order")
    } else {
      precondition(tag.rawValue < lastTag.rawValue, "versions are added newest first")
      isNewKey = false
    }
    if let handle = unindexed {
      index.add(handle, previous, lastTag, before: key)
      unindexed = nil
    } else if !block.isEmpty,
      block.byteCountEstimate + key.count - shared + value.count > options.blockByteCount
    {
      let handle = try writeBlock()
      index.add(handle, previous, lastTag, before: key)
    }
    try block.add(key, sharing: shared, tag, value)
    if isNewKey && filter.bitsPerKey > 0 { try filter.add(key.hash()) }
    count(key, tag, value, isNewKey: isNewKey)
    try last.replace(with: key)
    lastTag = tag
    if block.byteCountEstimate >= options.blockByteCount { unindexed = try writeBlock() }
  }

  /// Adds the table's range tombstones: all of them, once, before ``finish(isLast:)``.
  mutating func addRangeTombstones(_ set: RangeTombstones) {
    precondition(!isFinished)
    precondition(tombstones.isEmpty, "range tombstones are added once")
    tombstones = set
  }

  /// Writes what is left and syncs the file.
  ///
  /// When this returns, the file's bytes are durable; its name is when its directory is synced.
  ///
  /// - Parameter isLast: the compaction writes no table after this one.
  /// - Parameter syncs: false where nobody reads the table after a crash.
  /// - Precondition: at least one entry or range tombstone was added.
  mutating func finish(
    isLast: Bool = true, syncs: Bool = true
  ) throws(StoreError) -> TableSummary {
    precondition(!isFinished)
    precondition(properties.entryCount > 0 || !tombstones.isEmpty, "a table holds something")
    isFinished = true
    if properties.entryCount > 0 {
      if !block.isEmpty { unindexed = try writeBlock() }
      if let handle = unindexed { index.add(handle, last.view, lastTag, before: nil) }
      properties.largestKey = last.view.bytes()
    } else {
      try begin()
    }
    properties.dataBlockCount = UInt64(index.count)
    properties.replacement?.isLast = isLast
    coverTombstones()
    try filter.write(into: &raw)
    let filterHandle = try writePart(raw.view, "filter")
    let tombstoneHandle = try writePart(
      TombstoneBlock.payload(tombstones), "range tombstones",
      limit: TombstoneBlock.largestByteCount)
    let indexHandle = try writePart(index.payload(), "index")
    let propertiesHandle = try writePart(properties.payload(), "properties")
    let footer = TableFooter(
      filter: filterHandle, tombstones: tombstoneHandle, index: indexHandle,
      properties: propertiesHandle,
      fileByteCount: output.offset + UInt64(TableFormat.footerByteCount),
      headerChecksum: headerChecksum)
    let (bytes, checksum) = footer.encoded(output.seed)
    try output.append(bytes)
    try output.flush()
    do throws(SystemError) { if syncs, !planted(.skipTableSync) { try file.sync() } } catch {
      throw StoreError(sync: error)
    }
    return TableSummary(properties, byteCount: output.offset, footerChecksum: checksum)
  }

  private mutating func begin() throws(StoreError) {
    var header = TableHeader(identity: identity)
    header.optionalFeatures = properties.optionalFeatures
    let (bytes, checksum) = header.encoded()
    headerChecksum = checksum
    try output.append(bytes)
    settle()
  }

  @inline(__always)
  private mutating func count(_ key: ByteView, _ tag: Tag, _ value: ByteView, isNewKey: Bool) {
    properties.entryCount += 1
    if tag.isDeletion { properties.deletionCount += 1 }
    if !isNewKey { properties.shadowedCount += 1 }
    properties.rawByteCount += UInt64(key.count + value.count)
    properties.smallestSequence = min(properties.smallestSequence, tag.sequence)
    properties.largestSequence = max(properties.largestSequence, tag.sequence)
    if let largest = properties.largestTimestamp,
      let timestamp = EventContent.timestamp(key, tag, value)
    {
      properties.largestTimestamp = max(largest, timestamp)
    }
  }

  private mutating func writeBlock() throws(StoreError) -> BlockHandle {
    try block.finish(into: &raw)
    properties.largestBlockByteCount = max(
      properties.largestBlockByteCount, UInt64(raw.count))
    let handle = try output.appendBlock(raw.view, compresses: options.compresses)
    settle()
    return handle
  }

  /// Widens bounds and sequences to the range tombstones.
  private mutating func coverTombstones() {
    guard let first = tombstones.fragments.first, let last = tombstones.fragments.last else {
      return
    }
    let extent = TombstoneBlock.extent(tombstones)
    properties.rangeTombstoneCount = extent.count
    properties.smallestSequence = min(properties.smallestSequence, extent.smallestSequence)
    properties.largestSequence = max(properties.largestSequence, extent.largestSequence)
    let hasEntries = properties.entryCount > 0
    if !hasEntries || first.start.precedes(properties.smallestKey) {
      properties.smallestKey = first.start
    }
    if !hasEntries || properties.largestKey.precedes(last.end) {
      properties.largestKey = last.end
      properties.largestIsExclusive = true
    }
  }

  private mutating func writePart(
    _ payload: [UInt8], _ what: String, limit: Int = TableFormat.largestMetadataByteCount
  ) throws(StoreError) -> BlockHandle {
    try payload.withView { payload throws(StoreError) in
      try writePart(payload, what, limit: limit)
    }
  }

  private mutating func writePart(
    _ payload: ByteView, _ what: String, limit: Int = TableFormat.largestMetadataByteCount
  ) throws(StoreError) -> BlockHandle {
    guard payload.count <= limit else {
      throw .resourceExhausted(
        "the \(what) of \(file.path) would take \(payload.count) bytes, over \(limit)")
    }
    return try output.appendBlock(payload, compresses: false)
  }
}
