// SalvagedTable — the intact blocks of a table, and a walk over them.
//
// Room:    Engine/Repair.
// Format:  FORMAT.md section 3.

import TurbiditeSystem

/// What a survey of a table found.
struct SalvagedTable {
  /// Keys of which a lost place may have held deletions.
  struct Gap: Hashable {
    var after: [UInt8]?
    var before: [UInt8]?
    /// No newer version was there.
    var largestSequence: UInt64

    func mayHide(_ key: ByteView, _ tag: Tag) -> Bool {
      guard tag.sequence <= largestSequence else { return false }
      if let after, after.withView({ key.compare($0) < 0 }) { return false }
      if let before, before.withView({ key.compare($0) > 0 }) { return false }
      return true
    }
  }

  let path: String
  let tree: TreeID
  let fileNumber: UInt64
  private(set) var blocks: [BlockHandle] = []
  /// Empty when it is known that no deletion is lost.
  private(set) var gaps: [Gap] = []
  private(set) var losses: [RepairLoss] = []
  /// Damaged parts that hold no entries, and are made anew.
  private(set) var rebuilt: [RepairLoss] = []
  private(set) var tombstones = RangeTombstones.none
  /// What the table says of others, if that can be read.
  private(set) var replacement: TableReplacement?
  /// What the table says of its keyspace; nil where it cannot be read.
  private(set) var keyspaceKind: KeyspaceKind?
  private(set) var entryCount: UInt64 = 0
  /// Entries that are lost; nil when the count is lost as well.
  private(set) var lostEntryCount: UInt64?
  private(set) var largestSequence: UInt64 = 0
  /// 0 when nothing tells.
  private(set) var smallestSequence: UInt64 = 0
  /// Blocks whose first key may have newer versions in a lost block before.
  private(set) var continuedBlocks: Set<Int> = []
  private var deletionCount: UInt64 = 0
  /// The first and the last key of each of `blocks`.
  private var bounds: [(first: [UInt8], last: [UInt8])] = []
  private let file: (any File)?
  private let seed: ChecksumSeed
  private let largest: Int

  /// A table that is not there.
  init(missing path: String, _ tree: TreeID, _ number: UInt64, _ summary: TableSummary) {
    self.path = path
    self.tree = tree
    fileNumber = number
    file = nil
    seed = ChecksumSeed(store: StoreID(high: 0, low: 0), fileNumber: 0)
    largest = 0
    lostEntryCount = summary.entryCount
    largestSequence = summary.largestSequence
    smallestSequence = summary.smallestSequence
    if summary.deletionCount + summary.rangeTombstoneCount > 0 {
      gaps = [
        Gap(
          after: summary.smallestKey, before: summary.largestKey,
          largestSequence: summary.largestSequence)
      ]
    }
    losses = [
      RepairLoss(
        offset: 0, byteCount: summary.byteCount, finding: "the table is missing",
        after: summary.smallestKey, before: summary.largestKey)
    ]
  }

  /// Reads every block of the table.
  ///
  /// - Parameters:
  ///   - identity: whose it is: by the manifest, or by its own header.
  ///   - summary: what the manifest says of it.
  ///   - seen: told every sequence number.
  ///   - progress: told the bytes read; what it throws ends the survey.
  init(
    _ file: any File, identity: TableIdentity, summary: TableSummary?, seen: inout SequenceSet,
    progress: (UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    self.file = file
    path = file.path
    tree = TreeID(keyspace: identity.keyspace, shard: identity.shard)
    fileNumber = identity.fileNumber
    seed = ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber)
    let probe = try TableProbe(file, identity: identity, failure: nil)
    var known =
      summary
      ?? probe.properties.map { TableSummary($0, byteCount: 0, footerChecksum: 0) }
    largest =
      probe.properties.map { Int($0.largestBlockByteCount) } ?? TableFormat.largestBlockByteCount
    replacement = probe.properties?.replacement
    keyspaceKind = probe.properties?.keyspaceKind
    var ranges = probe.tombstones
    if let index = probe.index {
      try survey(file, index, &seen, progress)
    } else {
      let parts = try surveyWithoutIndex(file, known?.byteCount, &seen, progress)
      ranges = ranges ?? parts.tombstones
      replacement = replacement ?? parts.properties?.replacement
      keyspaceKind = keyspaceKind ?? parts.properties?.keyspaceKind
      known =
        known ?? parts.properties.map { TableSummary($0, byteCount: 0, footerChecksum: 0) }
    }
    tombstones = ranges ?? .none
    lostEntryCount = known.map { $0.entryCount - min($0.entryCount, entryCount) }
    if let known {
      largestSequence = max(largestSequence, known.largestSequence)
      smallestSequence = known.smallestSequence
    }
    for fragment in tombstones.fragments {
      for sequence in fragment.sequences { seen.insert(sequence) }
      largestSequence = max(largestSequence, fragment.sequences.first ?? 0)
    }
    judge(probe.findings, known, areRangesLost: ranges == nil, probe.footer?.tombstones.offset)
  }

  /// Tells what is lost from what only has to be made anew, and where deletions may be lost.
  private mutating func judge(
    _ findings: [TableProbe.Finding], _ known: TableSummary?, areRangesLost: Bool,
    _ rangesOffset: UInt64?
  ) {
    if lostEntryCount == 0 {
      rebuilt += losses
      losses = []
    }
    let areAllRangesThere = !areRangesLost || known?.rangeTombstoneCount == 0
    for finding in findings {
      let found = RepairLoss(
        offset: finding.damage.offset, byteCount: finding.byteCount,
        finding: finding.damage.finding)
      let isOfRanges = finding.damage.offset == rangesOffset
      if isOfRanges && !areAllRangesThere { losses.append(found) } else { rebuilt.append(found) }
    }
    if !areAllRangesThere && losses.isEmpty {
      losses.append(
        RepairLoss(
          offset: 0, byteCount: nil, finding: "range deletions of the table may be lost",
          after: known?.smallestKey, before: known?.largestKey))
    }
    let lostDeletionCount = known.map { $0.deletionCount - min($0.deletionCount, deletionCount) }
    let limit = known?.largestSequence ?? .max
    if areAllRangesThere && (losses.isEmpty || lostDeletionCount == 0) {
      continuedBlocks = []
      return
    }
    if !areAllRangesThere {
      gaps.append(
        Gap(after: known?.smallestKey, before: known?.largestKey, largestSequence: limit))
    }
    guard lostDeletionCount != 0 else {
      continuedBlocks = []
      return
    }
    for loss in losses where loss.after != nil || loss.before != nil {
      // What was lost lay within the table's bounds, whatever is known of its neighbours.
      var (after, before) = (loss.after ?? [], loss.before)
      if let smallest = known?.smallestKey, after.precedes(smallest) { after = smallest }
      if let largest = known?.largestKey, before.map(largest.precedes) ?? true { before = largest }
      gaps.append(Gap(after: after, before: before, largestSequence: limit))
    }
  }

  /// The log has all that the table held: nothing of it is lost.
  mutating func mendByLog() {
    gaps = []
    continuedBlocks = []
    lostEntryCount = 0
  }

  /// A cursor over what is intact; it goes forward only.
  ///
  /// - Parameter isWithheld: tells entries to pass over; an entry is continued when a lost block
  ///   right before may have held newer versions of its key.
  func makeCursor(
    withholding isWithheld: @escaping (ByteView, Tag, _ isContinued: Bool) -> Bool
  ) throws(StoreError) -> EntryCursor {
    SalvageCursor(self, isWithheld)
  }

  /// Calls `body` with the intact entries from `key` on.
  func forEachEntry(
    from key: [UInt8], _ body: (ByteView, Tag) -> Void
  ) throws(StoreError) {
    guard let last = bounds.last?.last, !last.precedes(key) else { return }
    let cursor = SalvageCursor(self) { found, _, _ in key.withView { found.compare($0) < 0 } }
    try cursor.seekToFirst()
    while cursor.isValid {
      body(cursor.key, cursor.tag)
      try cursor.next()
    }
  }

  /// Whether newer versions of the key may have been in a lost block right before `block`.
  fileprivate func mayContinue(_ block: Int, _ key: ByteView) -> Bool {
    guard continuedBlocks.contains(block) else { return false }
    return bounds[block].first.withView { key.compare($0) == 0 }
  }

  fileprivate func open(_ handle: BlockHandle) throws(StoreError) -> Block {
    guard let file else { preconditionFailure("a missing table has no blocks") }
    let bytes = try readAvailable(file, at: handle.offset, count: Int(handle.byteCount))
    let checked = try checkBlock(bytes, at: handle, seed: seed, largest: largest, in: file)
    return try Block(checked, BlockKey(0, handle.offset), path: path)
  }

  // MARK: - Survey

  private mutating func survey(
    _ file: any File, _ index: TableIndex, _ seen: inout SequenceSet,
    _ progress: (UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    var last: [UInt8] = []
    for number in 0..<index.count {
      let handle = index.handle(number)
      do throws(StoreError) {
        let (first, end) = try check(handle, after: last, &seen)
        // Versions of one key are parted by a separator that is the key itself.
        if number > 0, let loss = losses.last, loss.offset == index.handle(number - 1).offset,
          index.separatorKey(number - 1) == first
        {
          continuedBlocks.insert(blocks.count)
        }
        last = end
        blocks.append(handle)
        bounds.append((first, end))
      } catch {
        guard let finding = error.finding(at: handle.offset, of: file) else { throw error }
        losses.append(
          RepairLoss(
            offset: handle.offset, byteCount: handle.byteCount, finding: finding.finding,
            after: last, before: index.separatorKey(number)))
      }
      try progress(handle.byteCount)
    }
  }

  /// The parts that blocks turned out to be that hold no entries.
  private struct Parts {
    var tombstones: RangeTombstones?
    var properties: TableProperties?

    /// All entries lie before these parts.
    var isAny: Bool { tombstones != nil || properties != nil }
  }

  private mutating func surveyWithoutIndex(
    _ file: any File, _ expectedByteCount: UInt64?, _ seen: inout SequenceSet,
    _ progress: (UInt64) throws(StoreError) -> Void
  ) throws(StoreError) -> Parts {
    // A table is much smaller; what lies beyond stays a loss.
    let size = min(try file.byteCount(), 2 << 30)
    let buffer = try file.readBuffer(at: 0, count: Int(size))
    defer { withExtendedLifetime(buffer) {} }
    var parts = Parts()
    var end = UInt64(TableFormat.headerByteCount)
    var last: [UInt8] = []
    for handle in BlockSearch.blocks(in: buffer.view, seed: seed) {
      let hole = end..<handle.offset
      do throws(StoreError) {
        let (first, final) = try check(handle, after: last, &seen)
        if !hole.isEmpty {
          addHole(hole, after: last, before: first)
          continuedBlocks.insert(blocks.count)
        }
        last = final
        blocks.append(handle)
        bounds.append((first, final))
      } catch {
        guard error.finding(at: handle.offset, of: file) != nil else { throw error }
        if !hole.isEmpty { addHole(hole, after: last, before: nil, isBehindEntries: parts.isAny) }
        identify(handle, buffer.view, &parts)
      }
      end = handle.end
      try progress(handle.byteCount)
    }
    let total = max(size, expectedByteCount ?? 0)
    if total > end {
      addHole(end..<total, after: last, before: nil, isBehindEntries: parts.isAny)
    }
    return parts
  }

  /// A whole block that holds no entries is one of the four parts.
  private func identify(_ handle: BlockHandle, _ bytes: ByteView, _ parts: inout Parts) {
    let payload = bytes.slice(
      Int(handle.offset), Int(handle.byteCount) - TableFormat.trailerByteCount)
    if parts.tombstones == nil {
      do throws(DecodingFailure) {
        parts.tombstones = try TombstoneBlock.decode(payload).set
        return
      } catch {
        // It is another part.
      }
    }
    for features in 0...TableFormat.optionalFeatures where parts.properties == nil {
      do throws(DecodingFailure) {
        parts.properties = try TableProperties.decode(payload, optionalFeatures: features)
      } catch {
        // The filter, or the index without its place.
      }
    }
  }

  private mutating func addHole(
    _ hole: Range<UInt64>, after: [UInt8], before: [UInt8]?, isBehindEntries: Bool = false
  ) {
    let loss = RepairLoss(
      offset: hole.lowerBound, byteCount: hole.upperBound - hole.lowerBound,
      finding: "no intact block is found here", after: after, before: before)
    if isBehindEntries { rebuilt.append(loss) } else { losses.append(loss) }
  }

  /// Decodes all of a block and counts it.
  ///
  /// - Returns: its first and its last key.
  private mutating func check(
    _ handle: BlockHandle, after last: [UInt8], _ seen: inout SequenceSet
  ) throws(StoreError) -> (first: [UInt8], last: [UInt8]) {
    let block = try open(handle)
    let first = block.key(0).bytes()
    if first.precedes(last) {
      throw .corrupt(Damage(file: path, offset: handle.offset, finding: "keys do not ascend"))
    }
    for entry in 0..<block.count {
      let tag = block.tag(entry)
      largestSequence = max(largestSequence, tag.sequence)
      seen.insert(tag.sequence)
      if tag.isDeletion { deletionCount += 1 }
    }
    entryCount += UInt64(block.count)
    return (first, block.key(block.count - 1).bytes())
  }
}

/// Walks the intact blocks of a table.
private final class SalvageCursor: EntryCursor {
  private let table: SalvagedTable
  private let isWithheld: (ByteView, Tag, Bool) -> Bool
  private var block: Block?
  private var blockIndex = 0
  private var entryIndex = 0

  init(
    _ table: SalvagedTable, _ isWithheld: @escaping (ByteView, Tag, Bool) -> Bool
  ) {
    self.table = table
    self.isWithheld = isWithheld
  }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    (blockIndex, entryIndex) = (0, 0)
    block = nil
    try settle()
  }

  override func next() throws(StoreError) {
    entryIndex += 1
    try settle()
  }

  /// Stands on the next entry that is not withheld, from the current place on.
  private func settle() throws(StoreError) {
    isValid = false
    while blockIndex < table.blocks.count {
      let block: Block
      if let current = self.block {
        block = current
      } else {
        block = try table.open(table.blocks[blockIndex])
        self.block = block
        entryIndex = 0
      }
      while entryIndex < block.count {
        key = block.key(entryIndex)
        tag = block.tag(entryIndex)
        if isWithheld(key, tag, table.mayContinue(blockIndex, key)) {
          entryIndex += 1
          continue
        }
        value = block.value(entryIndex)
        isValid = true
        return
      }
      self.block = nil
      blockIndex += 1
    }
  }
}

extension [UInt32: KeyspaceDescription] {
  /// Takes over what tables say of their keyspaces.
  mutating func noteKinds(_ tables: some Sequence<SalvagedTable>) {
    for table in tables {
      if let kind = table.keyspaceKind { self[table.tree.keyspace]?.kind = kind }
    }
  }
}
