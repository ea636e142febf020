// ManifestState — what a store consists of: the sum of all edits.
//
// Room:    Engine/Manifest.
// Format:  FORMAT.md section 6.3 states the rules that `apply` checks.

/// The tables of one tree.
struct TreeTables: Hashable, Sendable {
  /// Entries up to this sequence number are in the tables; a replay skips them.
  var flushedSequence: UInt64 = 0
  /// Level 0 newest first; every other level ascending by key, without overlap.
  var levels: [[TableMetadata]] = Array(repeating: [], count: Limits.levelCount)

  var isEmpty: Bool { levels.allSatisfy(\.isEmpty) }
}

/// The state that a manifest describes.
///
/// Invariants, checked by `apply`:
/// 1. Every tree belongs to a live keyspace and to a shard below the shard count.
/// 2. A file number stands in one place at most, and is below `nextFileNumber`.
/// 3. Below level 0 the tables of a level do not overlap.
struct ManifestState: Hashable, Sendable {
  /// The number of edits that led here, in this and all earlier manifests: readers lock it.
  var editNumber: UInt64 = 0
  var nextFileNumber: UInt64 = 1
  var lastSequence: UInt64 = 0
  var logFloor: UInt64 = 0
  var logFloorPosition: UInt64 = 0
  var syncedPosition: UInt64 = 0
  var nextKeyspaceID: UInt32 = 0
  var slots: SlotLayout?
  /// Nil where no shard ever was.
  var unsettled: UnsettledShards?
  var keyspaces: [UInt32: KeyspaceDescription] = [:]
  var trees: [TreeID: TreeTables] = [:]
  var tableCount = 0

  /// Every table, in an order that depends on the state alone.
  func forEachTable(_ body: (TreeID, Int, TableMetadata) -> Void) {
    for (tree, tables) in trees.sorted(by: { $0.key < $1.key }) {
      for (level, list) in tables.levels.enumerated() {
        for table in list { body(tree, level, table) }
      }
    }
  }

  /// The shards of which a table may hold keys that are not theirs; nil when there is none.
  var unsettledNow: UnsettledShards? {
    guard let unsettled, !unsettled.shards.isEmpty else { return nil }
    if unsettled.below == UnsettledShards.open { return unsettled }
    let isUnsettled = trees.contains { tree, tables in
      unsettled.shards.contains(tree.shard)
        && tables.levels.joined().contains { $0.fileNumber < unsettled.below }
    }
    return isUnsettled ? unsettled : nil
  }

  /// The edit that makes this state from nothing.
  func snapshot() -> VersionEdit {
    var edit = VersionEdit()
    edit.nextFileNumber = nextFileNumber
    edit.lastSequence = lastSequence
    edit.logFloor = logFloor
    edit.logFloorPosition = logFloorPosition
    edit.syncedPosition = syncedPosition
    edit.nextKeyspaceID = nextKeyspaceID
    edit.slots = slots
    edit.unsettled = unsettledNow
    edit.createdKeyspaces = keyspaces.sorted { $0.key < $1.key }
      .map { .init(id: $0, description: $1) }
    forEachTable { tree, level, table in
      edit.addedTables.append(.init(tree: tree, level: level, table: table))
    }
    for (tree, tables) in trees where tables.flushedSequence > 0 {
      edit.flushedSequences[tree] = tables.flushedSequence
    }
    return edit
  }

  /// Refuses a store whose numbers are so far used up that a writer could state one that no reader
  /// accepts.
  ///
  /// - Parameter logEnd: the log position at which a writer would go on.
  func requireRoom(behind logEnd: UInt64) throws(StoreError) {
    let limit = Limits.counterWhenOpened
    if nextFileNumber >= limit { throw .resourceExhausted("file numbers") }
    if editNumber >= limit { throw .resourceExhausted("numbers of the manifest's edits") }
    if max(logEnd, logFloorPosition, syncedPosition) >= limit {
      throw .resourceExhausted("log positions")
    }
  }

  /// Makes the change that `edit` describes.
  ///
  /// - Throws: a rule of the format that it breaks; the state is then of no use.
  mutating func apply(_ edit: VersionEdit) throws(DecodingFailure) {
    func require(_ condition: Bool, _ what: @autoclosure () -> String) throws(DecodingFailure) {
      if !condition { throw .invalid(what(), at: 0) }
    }
    if let number = edit.nextFileNumber {
      try require(number >= nextFileNumber && number < Limits.counter, "the file counter goes back")
      nextFileNumber = number
    }
    if let sequence = edit.lastSequence {
      try require(sequence <= Tag.maximumSequence, "sequence number \(sequence)")
      lastSequence = max(lastSequence, sequence)
    }
    if let floor = edit.logFloor {
      try require(floor >= logFloor, "the log's floor goes back")
      try require(
        floor < Limits.counter && edit.logFloorPosition ?? 0 < Limits.counter,
        "the log's floor is out of range")
      logFloor = floor
      logFloorPosition = max(logFloorPosition, edit.logFloorPosition ?? 0)
    }
    if let position = edit.syncedPosition {
      try require(position < Limits.counter, "log position \(position)")
      syncedPosition = max(syncedPosition, position)
    }
    if let id = edit.nextKeyspaceID {
      try require(id >= nextKeyspaceID, "the keyspace counter goes back")
      nextKeyspaceID = id
    }
    if let layout = edit.slots {
      try require(
        layout.shardCount >= max(1, slots?.shardCount ?? 0)
          && layout.shards.count == Limits.shardCount, "a slot layout")
      slots = layout
    }
    if let stated = edit.unsettled {
      try require(
        stated.shards.allSatisfy { $0 < slots?.shardCount ?? 0 }
          && (stated.below == UnsettledShards.open || stated.below <= nextFileNumber),
        "an unsettled shard")
      unsettled = stated
    }
    try applyKeyspaces(edit, require)
    try applyTables(edit, require)
  }

  private mutating func applyKeyspaces(
    _ edit: VersionEdit,
    _ require: (Bool, @autoclosure () -> String) throws(DecodingFailure) -> Void
  ) throws(DecodingFailure) {
    for keyspace in edit.createdKeyspaces {
      try require(
        keyspace.id < nextKeyspaceID && keyspaces[keyspace.id] == nil
          && !keyspaces.values.contains { $0.name == keyspace.description.name },
        "keyspace \(keyspace.id) is created twice")
      keyspaces[keyspace.id] = keyspace.description
    }
    for keyspace in edit.createdKeyspaces {
      guard let changes = keyspace.description.changes else { continue }
      try require(
        keyspaces[changes]?.kind.partitionCount != nil
          && keyspace.description.kind.partitionCount == nil,
        "changes of keyspace \(keyspace.id) are recorded in no stream")
    }
    for id in edit.droppedKeyspaces {
      try require(keyspaces.removeValue(forKey: id) != nil, "keyspace \(id) is dropped unmade")
      try require(
        !keyspaces.values.contains { $0.changes == id },
        "stream \(id) is dropped while changes are recorded in it")
      for tree in trees.keys where tree.keyspace == id {
        tableCount -= trees[tree]?.levels.reduce(0) { $0 + $1.count } ?? 0
        trees[tree] = nil
      }
    }
    for renaming in edit.renamedKeyspaces {
      try require(
        keyspaces[renaming.id]?.name.isEmpty == false && !renaming.name.isEmpty
          && !keyspaces.values.contains { $0.name == renaming.name },
        "keyspace \(renaming.id) is renamed to \(renaming.name)")
      keyspaces[renaming.id]?.name = renaming.name
    }
  }

  private mutating func applyTables(
    _ edit: VersionEdit,
    _ require: (Bool, @autoclosure () -> String) throws(DecodingFailure) -> Void
  ) throws(DecodingFailure) {
    for removal in edit.removedTables {
      let index = trees[removal.tree]?.levels[removal.level].firstIndex {
        $0.fileNumber == removal.fileNumber
      }
      guard let index else {
        throw .invalid("table \(removal.fileNumber) is removed unmade", at: 0)
      }
      trees[removal.tree]?.levels[removal.level].remove(at: index)
      tableCount -= 1
    }
    for change in edit.addedTables {
      try require(
        keyspaces[change.tree.keyspace] != nil
          && change.tree.shard < slots?.shardCount ?? 0
          && change.table.fileNumber < nextFileNumber,
        "table \(change.table.fileNumber) belongs nowhere")
      trees[change.tree, default: TreeTables()].insert(change.table, at: change.level)
      tableCount += 1
    }
    try require(tableCount <= Limits.tableCount, "\(tableCount) tables")
    for tree in Set(edit.addedTables.map(\.tree)) {
      let disjoint = trees[tree]?.lowerLevelsAreDisjoint ?? true
      try require(disjoint, "the tables of a level overlap")
    }
    for (tree, sequence) in edit.flushedSequences where keyspaces[tree.keyspace] != nil {
      try require(
        tree.shard < slots?.shardCount ?? 0 && sequence <= Tag.maximumSequence,
        "a flushed sequence number")
      let old = trees[tree]?.flushedSequence ?? 0
      trees[tree, default: TreeTables()].flushedSequence = max(old, sequence)
    }
  }
}

extension TreeTables {
  /// Puts a table in its place.
  mutating func insert(_ table: TableMetadata, at level: Int) {
    let list = levels[level]
    let index: Int
    if level == 0 {
      index =
        list.firstIndex {
          ($0.summary.largestSequence, $0.fileNumber)
            < (table.summary.largestSequence, table.fileNumber)
        } ?? list.count
    } else {
      index = list.firstIndex { table.isBefore($0) } ?? list.count
    }
    levels[level].insert(table, at: index)
  }

  var lowerLevelsAreDisjoint: Bool {
    for list in levels.dropFirst() {
      for (one, other) in zip(list, list.dropFirst()) where !one.endsBefore(other) { return false }
    }
    return true
  }
}

extension TableMetadata {
  /// Whether this table's smallest key comes before the other's.
  func isBefore(_ other: TableMetadata) -> Bool {
    summary.smallestKey.lexicographicallyPrecedes(other.summary.smallestKey)
  }

  /// Whether every key of this table comes before every key of the other.
  func endsBefore(_ other: TableMetadata) -> Bool {
    if summary.largestKey.lexicographicallyPrecedes(other.summary.smallestKey) { return true }
    return summary.largestIsExclusive && summary.largestKey == other.summary.smallestKey
  }

  /// Whether the tables share a key.
  func overlaps(_ other: TableMetadata) -> Bool {
    !endsBefore(other) && !other.endsBefore(self)
  }
}

extension [TableMetadata] {
  /// Whether no two of the tables share a key.
  var areDisjoint: Bool {
    let sorted = sorted { $0.isBefore($1) }
    return zip(sorted, sorted.dropFirst()).allSatisfy { $0.endsBefore($1) }
  }
}
