// TableReader+Verify — reads all of a table and holds it against itself.
//
// Room:    Engine/Table.

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
    try fresh.verifyBlocks(progress)
    try progress(expectation.byteCount)
  }

  private func verifyBlocks(
    _ progress: (UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    var counted = TableProperties()
    counted.dataBlockCount = UInt64(index.count)
    counted.rangeTombstoneCount = properties.rangeTombstoneCount
    for fragment in rangeTombstones.fragments {
      for sequence in fragment.sequences { counted.include(sequence: sequence) }
    }
    var readAhead = ReadAhead()
    var group = try EntryGroup()
    var previousKey = try KeyArena()
    var largest = 0
    for number in 0..<index.count {
      let block = try readAhead.block(number, of: self)
      largest = max(largest, block.payload.count)
      for groupIndex in 0..<block.restartCount {
        try group.decode(block, group: groupIndex)
        for entryIndex in 0..<group.count {
          let entry = group[entryIndex]
          let key = group.key(entry)
          try checkPlace(key, entry.tag, in: block, number)
          let isNew = counted.entryCount == 0 || !key.isEqual(to: previousKey.view)
          if isNew && !filter.mayContain(key.hash()) {
            throw block.corrupt("the filter denies a key", at: 0)
          }
          if counted.entryCount == 0 { counted.smallestKey = key.bytes() }
          counted.include(entry, isNewKey: isNew)
          try previousKey.replace(with: key)
        }
      }
      try progress(index.handle(number).end)
    }
    counted.largestBlockByteCount = UInt64(largest)
    counted.largestKey = previousKey.view.bytes()
    try compare(counted)
  }

  /// An entry must lie between the separators around its block; the separators ascend, so this
  /// proves the order from block to block.
  private func checkPlace(
    _ key: ByteView, _ tag: Tag, in block: Block, _ number: Int
  ) throws(StoreError) {
    let isAfter = number == 0 || index.orderOfSeparator(number - 1, key, tag) < 0
    guard isAfter, index.orderOfSeparator(number, key, tag) >= 0 else {
      throw block.corrupt("a key lies outside the index's separators", at: 0)
    }
  }

  private func compare(_ counted: TableProperties) throws(StoreError) {
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
    guard expected == properties else {
      throw damage(
        file, expectation.byteCount - UInt64(TableFormat.footerByteCount),
        "the properties are \(properties), counted are \(expected)")
    }
  }
}

extension TableProperties {
  fileprivate mutating func include(sequence: UInt64) {
    smallestSequence = min(smallestSequence, sequence)
    largestSequence = max(largestSequence, sequence)
  }

  fileprivate mutating func include(_ entry: EntryGroup.Entry, isNewKey: Bool) {
    entryCount += 1
    if entry.tag.isDeletion { deletionCount += 1 }
    if !isNewKey { shadowedCount += 1 }
    rawByteCount &+= UInt64(entry.keyCount &+ entry.valueCount)
    include(sequence: entry.tag.sequence)
  }
}

extension [UInt8] {
  /// Bytewise order.
  func precedes(_ other: [UInt8]) -> Bool {
    withView { mine in other.withView { mine.compare($0) < 0 } }
  }
}
