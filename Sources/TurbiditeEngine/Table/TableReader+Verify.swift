// TableReader+Verify — reads all of a table and holds it against itself.
//
// Room:    Engine/Table.

import TurbiditeSystem

extension TableReader {
  /// Checks every byte and every count: each block's checksum and decoding, the order of all
  /// entries, that the filter knows each key, and that the properties are what was counted.
  ///
  /// The header, footer and parts around the blocks are read again from the disk.
  ///
  /// - Parameter progress: told the bytes of the file seen so far, once a block; what it throws
  ///   ends the check.
  /// - Throws: `corrupt` with the first finding, or what reading or `progress` throws.
  func verify(
    progress: (UInt64) throws(StoreError) -> Void = { _ throws(StoreError) in }
  ) throws(StoreError) {
    let fresh = try TableReader(
      file: file, identity: identity, expecting: expectation,
      cache: BlockCache(capacityByteCount: 0))
    try fresh.verifyBlocks(progress: progress) { finding, _ throws(StoreError) in
      throw .corrupt(finding)
    }
    try progress(expectation.byteCount)
  }

  /// Checks every block and every entry, and goes on behind a bad one.
  ///
  /// - Parameters:
  ///   - owns: whether a key whose partition part has this hash belongs to the table's shard.
  ///   - onDamage: told each finding, with the number of the block, or nil for the whole table.
  /// - Throws: what `progress` and `onDamage` throw, and what no damage to the file explains.
  func verifyBlocks(
    owns: (UInt64) -> Bool = { _ in true }, progress: (UInt64) throws(StoreError) -> Void,
    onDamage: (Damage, Int?) throws(StoreError) -> Void
  ) throws(StoreError) {
    var tally = Tally(self)
    var isWhole = true
    for number in 0..<index.count {
      var found: Damage?
      do throws(StoreError) { try checkBlock(number, &tally, owns) } catch {
        guard let finding = error.finding(at: index.handle(number).offset, of: file) else {
          throw error
        }
        found = finding
      }
      if let found {
        isWhole = false
        try onDamage(found, number)
      }
      try progress(index.handle(number).end)
    }
    // What bad blocks held is not known, so the counts prove nothing then.
    guard isWhole, let finding = disagreement(with: tally) else { return }
    try onDamage(finding, nil)
  }

  /// What was counted so far, and where.
  private struct Tally: ~Copyable {
    var counted = TableProperties()
    var readAhead = ReadAhead(access: .sweep)
    var previousKey = ScratchBytes()
    var largestBlockByteCount = 0

    init(_ reader: TableReader) {
      counted.dataBlockCount = UInt64(reader.index.count)
      counted.rangeTombstoneCount = reader.properties.rangeTombstoneCount
      // What it says of other tables, and of its keyspace, nothing in it proves.
      counted.replacement = reader.properties.replacement
      counted.keyspaceKind = reader.properties.keyspaceKind
      if reader.properties.largestTimestamp != nil { counted.largestTimestamp = .min }
      for fragment in reader.rangeTombstones.fragments {
        for sequence in fragment.sequences { counted.include(sequence: sequence) }
      }
    }
  }

  private func checkBlock(
    _ number: Int, _ tally: inout Tally, _ owns: (UInt64) -> Bool
  ) throws(StoreError) {
    let block = try readForCheck(number, &tally.readAhead)
    tally.largestBlockByteCount = max(tally.largestBlockByteCount, block.rawByteCount)
    for entry in 0..<block.count {
      let key = block.key(entry)
      let isNew = tally.counted.entryCount == 0 || !key.isEqual(to: tally.previousKey.view)
      if isNew {
        let hash = key.hash()
        if !filter.mayContain(hash) {
          throw damage(file, block.offset, "the filter denies a key")
        }
        let partitioning = properties.keyspaceKind.partitioning
        if !owns(partitioning.shardHash(of: key, hash: hash)) {
          throw damage(file, block.offset, "a key belongs to another shard")
        }
      }
      if tally.counted.entryCount == 0 { tally.counted.smallestKey = key.bytes() }
      tally.counted.include(block, entry, isNewKey: isNew)
      try tally.previousKey.replace(with: key)
    }
  }

  /// A disk that cannot read one sector fails the reading ahead of all blocks around it; so each is
  /// tried alone.
  private func readForCheck(
    _ number: Int, _ readAhead: inout ReadAhead
  ) throws(StoreError) -> Block {
    do throws(StoreError) { return try readAhead.block(number, of: self) } catch {
      guard case .io = error else { throw error }
      readAhead = ReadAhead(access: .sweep)
    }
    let handle = index.handle(number)
    return try makeBlock(
      try readAvailable(file, at: handle.offset, count: Int(handle.byteCount)), number,
      isKept: false)
  }

  private func disagreement(with tally: borrowing Tally) -> Damage? {
    var counted = tally.counted
    counted.largestBlockByteCount = UInt64(tally.largestBlockByteCount)
    counted.largestKey = tally.previousKey.view.bytes()
    var expected = counted
    // Bounds also cover the range tombstones.
    var smallest = rangeTombstones.fragments.first?.start
    var largest = rangeTombstones.fragments.last?.end
    expected.largestIsExclusive = false
    if counted.entryCount > 0 {
      if let start = smallest, !start.precedes(counted.smallestKey) { smallest = nil }
      if let end = largest, !counted.largestKey.precedes(end) { largest = nil }
    }
    if let smallest { expected.smallestKey = smallest }
    if let largest {
      expected.largestKey = largest
      expected.largestIsExclusive = true
    }
    if expected == properties { return nil }
    return Damage(
      file: file.path, offset: expectation.byteCount - UInt64(TableFormat.footerByteCount),
      finding: "the properties are \(properties), counted are \(expected)")
  }
}

extension TableProperties {
  fileprivate mutating func include(sequence: UInt64) {
    smallestSequence = min(smallestSequence, sequence)
    largestSequence = max(largestSequence, sequence)
  }

  fileprivate mutating func include(_ block: Block, _ entry: Int, isNewKey: Bool) {
    entryCount += 1
    if block.tag(entry).isDeletion { deletionCount += 1 }
    if !isNewKey { shadowedCount += 1 }
    rawByteCount &+= UInt64(block.key(entry).count &+ block.value(entry).count)
    include(sequence: block.tag(entry).sequence)
    if let largest = largestTimestamp,
      let timestamp = EventContent.timestamp(block.key(entry), block.tag(entry), block.value(entry))
    {
      largestTimestamp = max(largest, timestamp)
    }
  }
}

extension StoreError {
  /// The error as a finding about bytes of a file: damage, or what the disk will not read; nil when
  /// it says nothing of the file.
  func finding(at offset: UInt64, of file: any File) -> Damage? {
    switch self {
    case .corrupt(let damage): return damage
    case .io(let operation, _, let code):
      return Damage(
        file: file.path, offset: offset,
        finding: "cannot be read: \(operation): \(systemMessage(code))")
    default: return nil
    }
  }
}

extension [UInt8] {
  /// Bytewise order.
  func precedes(_ other: [UInt8]) -> Bool {
    withView { mine in other.withView { mine.compare($0) < 0 } }
  }
}
