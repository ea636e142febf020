// TableProperties — what a table holds, counted when it was written.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.7.

/// Counts and bounds of a table.
struct TableProperties: Sendable, Hashable {
  /// Entries: values and point tombstones.
  var entryCount: UInt64 = 0
  /// Point tombstones.
  var deletionCount: UInt64 = 0
  /// Pairs of a range and a sequence number, after overlaps are cut at each other's ends.
  var rangeTombstoneCount: UInt64 = 0
  /// Entries that follow a newer version of the same key in this table.
  var shadowedCount: UInt64 = 0
  /// Over entries and range tombstones.
  var smallestSequence: UInt64 = .max
  var largestSequence: UInt64 = 0
  /// Bytes of keys and values, uncompressed, without range tombstones.
  var rawByteCount: UInt64 = 0
  var dataBlockCount: UInt64 = 0
  /// Bounds what a reader allocates for one block.
  var largestBlockByteCount: UInt64 = 0
  /// The last bound is the end of a range tombstone, which it does not delete.
  var largestIsExclusive = false
  /// Over entries and range tombstones.
  var smallestKey: [UInt8] = []
  var largestKey: [UInt8] = []
  /// Nil in a table that says nothing of others: of a flush, as a rule.
  var replacement: TableReplacement?
  /// That of the keyspace.
  var keyspaceKind = KeyspaceKind.plain
  /// The largest timestamp of an event, the least number where there is none; nil in a table that
  /// is no stream's.
  var largestTimestamp: Int64?

  /// The optional features of a table with these properties.
  var optionalFeatures: UInt32 {
    (replacement == nil ? 0 : TableFormat.replacementFeature)
      | (keyspaceKind == .plain ? 0 : TableFormat.keyspaceKindFeature)
      | (largestTimestamp == nil ? 0 : TableFormat.timestampFeature)
  }

  /// The properties block's payload.
  func payload() -> [UInt8] {
    var payload: [UInt8] = []
    for value in [
      entryCount, deletionCount, rangeTombstoneCount, shadowedCount, smallestSequence,
      largestSequence, rawByteCount, dataBlockCount, largestBlockByteCount,
    ] {
      payload.append(littleEndian: value)
    }
    payload.append(largestIsExclusive ? 1 : 0)
    payload.append(lengthPrefixed: smallestKey)
    payload.append(lengthPrefixed: largestKey)
    replacement?.append(to: &payload)
    keyspaceKind.append(to: &payload)
    if let largestTimestamp { payload.append(littleEndian: largestTimestamp) }
    return payload
  }

  /// Decodes a payload.
  ///
  /// - Parameter optionalFeatures: those of the header, which say what follows; nil when it cannot
  ///   be read: then whatever follows is passed over.
  static func decode(
    _ payload: ByteView, optionalFeatures: UInt32?
  ) throws(DecodingFailure) -> TableProperties {
    var reader = ByteReader(payload)
    var properties = TableProperties()
    properties.entryCount = try reader.integer(UInt64.self)
    properties.deletionCount = try reader.integer(UInt64.self)
    properties.rangeTombstoneCount = try reader.integer(UInt64.self)
    properties.shadowedCount = try reader.integer(UInt64.self)
    properties.smallestSequence = try reader.integer(UInt64.self)
    properties.largestSequence = try reader.integer(UInt64.self)
    properties.rawByteCount = try reader.integer(UInt64.self)
    properties.dataBlockCount = try reader.integer(UInt64.self)
    properties.largestBlockByteCount = try reader.integer(UInt64.self)
    let flag = try reader.byte()
    guard flag <= 1 else { throw .invalid("bound flag \(flag)", at: reader.offset) }
    properties.largestIsExclusive = flag == 1
    properties.smallestKey = try key(&reader)
    properties.largestKey = try key(&reader)
    if let optionalFeatures, optionalFeatures & TableFormat.replacementFeature != 0 {
      properties.replacement = try TableReplacement.decode(&reader)
    }
    if let optionalFeatures, optionalFeatures & TableFormat.keyspaceKindFeature != 0 {
      properties.keyspaceKind = try KeyspaceKind.decode(&reader)
    }
    if let optionalFeatures, optionalFeatures & TableFormat.timestampFeature != 0 {
      properties.largestTimestamp = try reader.integer(Int64.self)
    }
    // Features unknown here may have added fields.
    let mayExtend = optionalFeatures.map { $0 & ~TableFormat.optionalFeatures != 0 } ?? true
    guard reader.isAtEnd || mayExtend else {
      throw .invalid("bytes after the last property", at: reader.offset)
    }
    try properties.check()
    return properties
  }

  private static func key(_ reader: inout ByteReader) throws(DecodingFailure) -> [UInt8] {
    let at = reader.offset
    let view = try reader.lengthPrefixed()
    guard view.count <= TableFormat.largestKeyByteCount else {
      throw .invalid("a bound of \(view.count) bytes", at: at)
    }
    return view.bytes()
  }

  /// What must hold whatever the table holds.
  private func check() throws(DecodingFailure) {
    let order = smallestKey.withView { smallest in
      largestKey.withView { smallest.compare($0) }
    }
    guard order < 0 || (order == 0 && !largestIsExclusive) else {
      throw .invalid("the bounds do not ascend", at: 0)
    }
    guard smallestSequence <= largestSequence, largestSequence <= Tag.maximumSequence else {
      throw .invalid("sequences \(smallestSequence) to \(largestSequence)", at: 0)
    }
    for figure in [entryCount, rangeTombstoneCount, rawByteCount]
    where figure >= Limits.tableFigure { throw .invalid("a figure of \(figure)", at: 0) }
    guard deletionCount <= entryCount, shadowedCount <= entryCount,
      dataBlockCount <= entryCount, (entryCount == 0) == (dataBlockCount == 0),
      entryCount > 0 || rangeTombstoneCount > 0,
      rangeTombstoneCount > 0 || !largestIsExclusive
    else { throw .invalid("the counts contradict each other", at: 0) }
    guard largestBlockByteCount <= UInt64(TableFormat.largestBlockByteCount) else {
      throw .invalid("blocks of up to \(largestBlockByteCount) bytes", at: 0)
    }
  }
}

/// What a writer tells the manifest of the table it finished.
struct TableSummary: Sendable, Hashable {
  /// The whole file.
  var byteCount: UInt64
  /// Stands, through the checksums below it, for every byte of the file.
  var footerChecksum: UInt64
  /// Entries: values and point tombstones.
  var entryCount: UInt64
  /// Point tombstones.
  var deletionCount: UInt64
  /// Pairs of a range and a sequence number.
  var rangeTombstoneCount: UInt64
  /// Entries that follow a newer version of the same key in this table.
  var shadowedCount: UInt64
  var smallestSequence: UInt64
  var largestSequence: UInt64
  /// Bytes of keys and values, uncompressed.
  var rawByteCount: UInt64
  /// Bounds over entries and range tombstones.
  var smallestKey: [UInt8]
  var largestKey: [UInt8]
  /// The largest bound is a range tombstone's end, beyond the last key.
  var largestIsExclusive: Bool
  /// As in the properties.
  var largestTimestamp: Int64?

  init(_ properties: TableProperties, byteCount: UInt64, footerChecksum: UInt64) {
    self.byteCount = byteCount
    self.footerChecksum = footerChecksum
    entryCount = properties.entryCount
    deletionCount = properties.deletionCount
    rangeTombstoneCount = properties.rangeTombstoneCount
    shadowedCount = properties.shadowedCount
    smallestSequence = properties.smallestSequence
    largestSequence = properties.largestSequence
    rawByteCount = properties.rawByteCount
    smallestKey = properties.smallestKey
    largestKey = properties.largestKey
    largestIsExclusive = properties.largestIsExclusive
    largestTimestamp = properties.largestTimestamp
  }

  /// What a reader of the table must find.
  var expectation: TableExpectation {
    TableExpectation(byteCount: byteCount, footerChecksum: footerChecksum)
  }
}
