// VersionEdit — one atomic change of what a store consists of.
//
// Room:    Engine/Manifest.
// Format:  FORMAT.md section 6.2: a list of fields, each a tag byte, a length and a payload.

/// A tree: the part of one keyspace that lies in one shard.
struct TreeID: Hashable, Comparable, Sendable {
  var keyspace: UInt32
  var shard: UInt32

  static func < (one: TreeID, other: TreeID) -> Bool {
    (one.keyspace, one.shard) < (other.keyspace, other.shard)
  }
}

/// What the manifest knows of one table.
struct TableMetadata: Hashable, Sendable {
  var fileNumber: UInt64
  var summary: TableSummary
}

/// What the manifest knows of a keyspace, apart from its tables.
struct KeyspaceDescription: Hashable, Sendable {
  var name: String
  var kind = KeyspaceKind.plain
  /// The stream in which the changes of the keyspace are recorded.
  var changes: UInt32?

  /// The keyspace that every store has.
  static let `default` = KeyspaceDescription(name: "")
}

/// Which shard holds each slot of the ring.
struct SlotLayout: Hashable, Sendable {
  /// The function that maps a key's partition part to a slot; 1 is the top 12 bits of XXH3-64.
  var hashFunction: UInt32
  var shardCount: UInt32
  /// The shard of each slot.
  var shards: [UInt16]

  /// The shard that holds `key`.
  func shard(of key: ByteView, _ partitioning: Partitioning) -> UInt32 {
    UInt32(shards[Int(partitioning.part(of: key).hash() >> 52)])
  }
}

/// Shards whose trees may hold keys of slots that are not theirs, since slots moved.
struct UnsettledShards: Hashable, Sendable {
  /// Ascending, none twice.
  var shards: [UInt32]
  /// Tables with smaller file numbers may hold such keys, no others.
  var below: UInt64

  /// Tables of any number may.
  static let open = UInt64.max
}

/// One change of the manifest's state; a whole state is the edit that makes it from nothing.
struct VersionEdit: Hashable, Sendable {
  struct TableChange: Hashable, Sendable {
    var tree: TreeID
    var level: Int
    var table: TableMetadata
  }

  struct TableRemoval: Hashable, Sendable {
    var tree: TreeID
    var level: Int
    var fileNumber: UInt64
  }

  struct Keyspace: Hashable, Sendable {
    var id: UInt32
    var description: KeyspaceDescription
  }

  struct Renaming: Hashable, Sendable {
    var id: UInt32
    var name: String
  }

  /// No file number from here on was given out when the edit was made.
  var nextFileNumber: UInt64?
  /// No sequence number above was given out to a commit that is in a table.
  var lastSequence: UInt64?
  /// The oldest segment that a replay needs, and its position.
  var logFloor: UInt64?
  var logFloorPosition: UInt64?
  /// Log frames below this were durable when the edit was made.
  var syncedPosition: UInt64?
  var nextKeyspaceID: UInt32?
  var slots: SlotLayout?
  var createdKeyspaces: [Keyspace] = []
  var droppedKeyspaces: [UInt32] = []
  var renamedKeyspaces: [Renaming] = []
  var removedTables: [TableRemoval] = []
  var addedTables: [TableChange] = []
  /// Entries of a tree up to this sequence number are in its tables.
  var flushedSequences: [TreeID: UInt64] = [:]
  /// In place of what was stated before; of no shards where all are settled.
  var unsettled: UnsettledShards?
}

/// The tags of an edit's fields.
///
/// Those from 128 on may be ignored by a reader that does not know them; of the others every one
/// must be understood.
private enum FieldTag {
  static let nextFileNumber: UInt8 = 1
  static let lastSequence: UInt8 = 2
  static let logFloor: UInt8 = 3
  static let syncedPosition: UInt8 = 4
  static let nextKeyspaceID: UInt8 = 5
  static let slots: UInt8 = 6
  static let createdKeyspace: UInt8 = 7
  static let droppedKeyspace: UInt8 = 8
  static let removedTable: UInt8 = 9
  static let addedTable: UInt8 = 10
  static let flushedSequence: UInt8 = 11
  static let recordedChanges: UInt8 = 12
  static let unsettledShards: UInt8 = 13
  static let renamedKeyspace: UInt8 = 14
  static let firstIgnorable: UInt8 = 128
}

extension VersionEdit {
  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    func field(_ tag: UInt8, _ build: (inout [UInt8]) -> Void) {
      var payload: [UInt8] = []
      build(&payload)
      bytes.append(tag)
      bytes.append(lengthPrefixed: payload)
    }
    if let nextFileNumber { field(FieldTag.nextFileNumber) { $0.append(varint: nextFileNumber) } }
    if let lastSequence { field(FieldTag.lastSequence) { $0.append(varint: lastSequence) } }
    if let logFloor {
      field(FieldTag.logFloor) {
        $0.append(varint: logFloor)
        $0.append(varint: logFloorPosition ?? 0)
      }
    }
    if let syncedPosition { field(FieldTag.syncedPosition) { $0.append(varint: syncedPosition) } }
    if let nextKeyspaceID {
      field(FieldTag.nextKeyspaceID) { $0.append(varint: UInt64(nextKeyspaceID)) }
    }
    if let slots { field(FieldTag.slots) { slots.encode(into: &$0) } }
    for keyspace in createdKeyspaces {
      field(FieldTag.createdKeyspace) { keyspace.encode(into: &$0) }
    }
    for keyspace in createdKeyspaces {
      guard let changes = keyspace.description.changes else { continue }
      field(FieldTag.recordedChanges) {
        $0.append(varint: UInt64(keyspace.id))
        $0.append(varint: UInt64(changes))
      }
    }
    for id in droppedKeyspaces {
      field(FieldTag.droppedKeyspace) { $0.append(varint: UInt64(id)) }
    }
    for renaming in renamedKeyspaces {
      field(FieldTag.renamedKeyspace) {
        $0.append(varint: UInt64(renaming.id))
        $0.append(lengthPrefixed: Array(renaming.name.utf8))
      }
    }
    for removal in removedTables {
      field(FieldTag.removedTable) {
        $0.append(tree: removal.tree)
        $0.append(varint: removal.level)
        $0.append(varint: removal.fileNumber)
      }
    }
    for change in addedTables {
      field(FieldTag.addedTable) {
        $0.append(tree: change.tree)
        $0.append(varint: change.level)
        change.table.encode(into: &$0)
      }
    }
    for (tree, sequence) in flushedSequences.sorted(by: { $0.key < $1.key }) {
      field(FieldTag.flushedSequence) {
        $0.append(tree: tree)
        $0.append(varint: sequence)
      }
    }
    if let unsettled { field(FieldTag.unsettledShards) { unsettled.encode(into: &$0) } }
    return bytes
  }

  /// Decodes an edit.
  ///
  /// Every count is bounded by the bytes at hand.
  init(decoding bytes: ByteView) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    var changes: [UInt32: UInt32] = [:]
    while !reader.isAtEnd {
      let start = reader.offset
      let tag = try reader.byte()
      var field = ByteReader(try reader.lengthPrefixed())
      switch tag {
      case FieldTag.nextFileNumber: nextFileNumber = try field.varint()
      case FieldTag.lastSequence: lastSequence = try field.varint()
      case FieldTag.logFloor:
        logFloor = try field.varint()
        logFloorPosition = try field.varint()
      case FieldTag.syncedPosition: syncedPosition = try field.varint()
      case FieldTag.nextKeyspaceID:
        nextKeyspaceID = UInt32(try field.count("keyspace", atMost: Int(UInt32.max)))
      case FieldTag.slots: slots = try SlotLayout(decoding: &field)
      case FieldTag.createdKeyspace:
        createdKeyspaces.append(try Keyspace(decoding: &field))
      case FieldTag.recordedChanges:
        let id = UInt32(try field.count("keyspace", atMost: Int(UInt32.max)))
        changes[id] = UInt32(try field.count("keyspace", atMost: Int(UInt32.max)))
      case FieldTag.droppedKeyspace:
        droppedKeyspaces.append(UInt32(try field.count("keyspace", atMost: Int(UInt32.max))))
      case FieldTag.renamedKeyspace:
        let id = UInt32(try field.count("keyspace", atMost: Int(UInt32.max)))
        renamedKeyspaces.append(.init(id: id, name: try field.keyspaceName()))
      case FieldTag.removedTable:
        removedTables.append(
          .init(
            tree: try field.tree(), level: try field.level(), fileNumber: try field.varint()))
      case FieldTag.addedTable:
        addedTables.append(
          .init(
            tree: try field.tree(), level: try field.level(),
            table: try TableMetadata(decoding: &field)))
      case FieldTag.flushedSequence:
        flushedSequences[try field.tree()] = try field.varint()
      case FieldTag.unsettledShards: unsettled = try UnsettledShards(decoding: &field)
      default:
        guard tag >= FieldTag.firstIgnorable else {
          throw .invalid("unknown field \(tag)", at: start)
        }
        continue
      }
      guard field.isAtEnd else { throw .invalid("field \(tag) is too long", at: start) }
    }
    for index in createdKeyspaces.indices {
      let stream = changes.removeValue(forKey: createdKeyspaces[index].id)
      createdKeyspaces[index].description.changes = stream
    }
    if let id = changes.keys.min() {
      throw .invalid("changes of keyspace \(id), which is not created", at: 0)
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(tree: TreeID) {
    append(varint: UInt64(tree.keyspace))
    append(varint: UInt64(tree.shard))
  }
}

extension ByteReader {
  fileprivate mutating func tree() throws(DecodingFailure) -> TreeID {
    TreeID(
      keyspace: UInt32(try count("keyspace", atMost: Int(UInt32.max))),
      shard: UInt32(try count("shard", atMost: Limits.shardCount - 1)))
  }

  fileprivate mutating func keyspaceName() throws(DecodingFailure) -> String {
    let start = offset
    let bytes = try lengthPrefixed()
    guard bytes.count <= Limits.keyspaceNameByteCount,
      let text = String(validating: bytes.bytes(), as: UTF8.self)
    else { throw .invalid("a keyspace's name", at: start) }
    return text
  }

  fileprivate mutating func level() throws(DecodingFailure) -> Int {
    try count("level", atMost: Limits.levelCount - 1)
  }
}

extension VersionEdit.Keyspace {
  fileprivate func encode(into bytes: inout [UInt8]) {
    bytes.append(varint: UInt64(id))
    bytes.append(lengthPrefixed: Array(description.name.utf8))
    description.kind.append(to: &bytes)
  }

  fileprivate init(decoding field: inout ByteReader) throws(DecodingFailure) {
    id = UInt32(try field.count("keyspace", atMost: Int(UInt32.max)))
    description = KeyspaceDescription(name: try field.keyspaceName())
    if field.isAtEnd { return }
    description.kind = try KeyspaceKind.decode(&field)
  }
}

extension SlotLayout {
  fileprivate func encode(into bytes: inout [UInt8]) {
    bytes.append(varint: UInt64(hashFunction))
    bytes.append(varint: UInt64(shardCount))
    bytes.append(varint: shards.count)
    for shard in shards { bytes.append(littleEndian: shard) }
  }

  fileprivate init(decoding field: inout ByteReader) throws(DecodingFailure) {
    hashFunction = UInt32(try field.count("hash function", atMost: Int(UInt32.max)))
    shardCount = UInt32(try field.count("shard count", atMost: Limits.shardCount))
    let start = field.offset
    let count = try field.count("slot count", atMost: Limits.shardCount)
    shards = []
    for _ in 0..<count {
      let shard = try field.integer(UInt16.self)
      guard UInt32(shard) < shardCount else { throw .invalid("a slot's shard", at: start) }
      shards.append(shard)
    }
  }
}

extension UnsettledShards {
  fileprivate func encode(into bytes: inout [UInt8]) {
    bytes.append(varint: below == Self.open ? 0 : below)
    for shard in shards { bytes.append(varint: UInt64(shard)) }
  }

  fileprivate init(decoding field: inout ByteReader) throws(DecodingFailure) {
    let first = field.offset
    let number = try field.varint()
    guard number < Limits.counter else { throw .invalid("a file number", at: first) }
    below = number == 0 ? Self.open : number
    shards = []
    while !field.isAtEnd {
      let start = field.offset
      let shard = UInt32(try field.count("shard", atMost: Limits.shardCount - 1))
      guard shards.last ?? 0 < shard || shards.isEmpty else {
        throw .invalid("the shards do not ascend", at: start)
      }
      shards.append(shard)
    }
  }
}

extension TableMetadata {
  fileprivate func encode(into bytes: inout [UInt8]) {
    bytes.append(varint: fileNumber)
    bytes.append(varint: summary.byteCount)
    bytes.append(littleEndian: summary.footerChecksum)
    bytes.append(varint: summary.entryCount)
    bytes.append(varint: summary.deletionCount)
    bytes.append(varint: summary.rangeTombstoneCount)
    bytes.append(varint: summary.shadowedCount)
    bytes.append(varint: summary.rawByteCount)
    bytes.append(varint: summary.smallestSequence)
    bytes.append(varint: summary.largestSequence)
    bytes.append(lengthPrefixed: summary.smallestKey)
    bytes.append(lengthPrefixed: summary.largestKey)
    bytes.append(summary.largestIsExclusive ? 1 : 0)
    if let timestamp = summary.largestTimestamp { bytes.append(littleEndian: timestamp) }
  }

  fileprivate init(decoding field: inout ByteReader) throws(DecodingFailure) {
    fileNumber = try field.varint()
    let byteCount = try field.varint()
    let footerChecksum = try field.integer(UInt64.self)
    let entryCount = try field.varint()
    let deletionCount = try field.varint()
    let rangeTombstoneCount = try field.varint()
    let shadowedCount = try field.varint()
    let rawByteCount = try field.varint()
    let smallestSequence = try field.varint()
    let largestSequence = try field.varint()
    let start = field.offset
    let smallestKey = try field.lengthPrefixed()
    let largestKey = try field.lengthPrefixed()
    let flag = try field.byte()
    for figure in [byteCount, entryCount, rangeTombstoneCount, rawByteCount]
    where figure >= Limits.tableFigure { throw .invalid("a figure of a table", at: start) }
    guard deletionCount <= entryCount, shadowedCount <= entryCount else {
      throw .invalid("a table's counts", at: start)
    }
    // A range tombstone may end just behind the longest key.
    guard smallestKey.count <= Limits.keyByteCount, largestKey.count <= Limits.keyByteCount + 1,
      flag <= 1, smallestSequence <= largestSequence, largestSequence <= Tag.maximumSequence,
      smallestKey.compare(largestKey) <= 0
    else { throw .invalid("a table's bounds", at: start) }
    var properties = TableProperties()
    properties.entryCount = entryCount
    properties.deletionCount = deletionCount
    properties.rangeTombstoneCount = rangeTombstoneCount
    properties.shadowedCount = shadowedCount
    properties.rawByteCount = rawByteCount
    properties.smallestSequence = smallestSequence
    properties.largestSequence = largestSequence
    properties.smallestKey = smallestKey.bytes()
    properties.largestKey = largestKey.bytes()
    properties.largestIsExclusive = flag == 1
    if !field.isAtEnd { properties.largestTimestamp = try field.integer(Int64.self) }
    summary = TableSummary(
      properties, byteCount: byteCount, footerChecksum: footerChecksum)
  }
}
