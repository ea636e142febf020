// StoreVerifier+Tables — the tables that the manifest names, held against it.
//
// Room:    Engine/Verify.
// Format:  FORMAT.md sections 3 and 6.3.

import TurbiditeSystem

extension StoreVerifier {
  mutating func verifyTables(_ found: FoundManifest, _ report: Report) throws(StoreError) {
    guard found.isWhole, let state = found.state, let store = found.store else {
      return try verifyTablesAlone(found, report)
    }
    for (tree, tables) in state.trees.sorted(by: { $0.key < $1.key }) {
      for table in tables.levels.joined() {
        let place = TablePlace(
          path: FileNames.table(shard: tree.shard, table.fileNumber),
          identity: TableIdentity(
            store: store, fileNumber: table.fileNumber, keyspace: tree.keyspace,
            shard: tree.shard),
          table: table, keyspaceName: found.keyspaceName(tree.keyspace))
        try verify(place, state, report)
      }
    }
  }

  /// Without the whole manifest every table in the directory may be the store's, and speaks for
  /// itself; what an edit before the damage says of it still holds, as tables never change.
  private mutating func verifyTablesAlone(
    _ found: FoundManifest, _ report: Report
  ) throws(StoreError) {
    var known: [String: (tree: TreeID, table: TableMetadata)] = [:]
    found.state?.forEachTable { tree, _, table in
      known[FileNames.table(shard: tree.shard, table.fileNumber)] = (tree, table)
    }
    for shard in try directory(FileNames.shardsDirectory) ?? [] {
      let parent = "\(FileNames.shardsDirectory)/\(shard)"
      for name in try directory(parent) ?? [] {
        let path = "\(parent)/\(name)"
        guard case .table = FileNames.kind(of: path) else { continue }
        let entry = known[path]
        try verify(
          TablePlace(
            path: path, table: entry?.table,
            keyspaceName: entry.map { found.keyspaceName($0.tree.keyspace) } ?? ""),
          nil, report)
      }
    }
  }

  /// A table, and what is known of it beforehand.
  struct TablePlace {
    var path: String
    var identity: TableIdentity?
    var table: TableMetadata?
    var keyspaceName: String

    var keys: StoreFinding.Keys? {
      table.map {
        .init(
          keyspace: keyspaceName, first: $0.summary.smallestKey, last: $0.summary.largestKey)
      }
    }
  }

  mutating func verify(
    _ place: TablePlace, _ state: ManifestState?, _ report: Report
  ) throws(StoreError) {
    count.tableCount += 1
    let bytesBefore = count.byteCount
    let file: any File
    do throws(SystemError) { file = try fileSystem.open(place.path, .read) } catch {
      let failure = StoreError(error)
      guard error.isAbsent || error.isNotDirectory || failure.finding(of: place.path) != nil
      else { throw failure }
      let text = error.isAbsent ? "the table is missing" : "cannot be read: \(failure)"
      try tell(
        StoreFinding(
          .damage, place.path, byteCount: place.table?.summary.byteCount, text, keys: place.keys),
        report)
      return try countFile(place.table?.summary.byteCount ?? 0, report)
    }
    if let reader = try open(file, place, report) {
      try compare(reader, place, state, report)
      if isDeep { try verifyBlocks(of: reader, place, state, report) }
    }
    count.byteCount = bytesBefore
    try countFile(try file.byteCount(), report)
  }

  /// Opens a table; tells what keeps it from being opened.
  private mutating func open(
    _ file: any File, _ place: TablePlace, _ report: Report
  ) throws(StoreError) -> TableReader? {
    let expecting = place.table?.summary.expectation
    do throws(StoreError) {
      return try TableReader(
        file: file, identity: try identity(of: file, place), expecting: expecting,
        cache: BlockCache(capacityByteCount: 0))
    } catch {
      switch error {
      case .unsupportedFormat, .configuration:
        try tell(StoreFinding(.damage, place.path, "\(error)", keys: place.keys), report)
      default:
        guard let failure = error.finding(at: 0, of: file) else { throw error }
        let probe = try TableProbe(file, identity: place.identity, failure: failure)
        for finding in probe.findings {
          try tell(
            StoreFinding(
              .damage, place.path, at: finding.damage.offset, byteCount: finding.byteCount,
              finding.damage.finding, keys: place.keys),
            report)
        }
      }
      return nil
    }
  }

  private func identity(
    of file: any File, _ place: TablePlace
  ) throws(StoreError) -> TableIdentity {
    if let identity = place.identity { return identity }
    return try TableReader.readIdentity(file).identity
  }

  /// What the manifest says of the table must be what the table says of itself.
  private mutating func compare(
    _ reader: TableReader, _ place: TablePlace, _ state: ManifestState?, _ report: Report
  ) throws(StoreError) {
    guard let table = place.table, let state else { return }
    let found = TableSummary(
      reader.properties, byteCount: reader.expectation.byteCount,
      footerChecksum: reader.expectation.footerChecksum)
    if found != table.summary {
      try tell(
        StoreFinding(
          .damage, place.path,
          "the table's counts and bounds are not those that the manifest states", keys: place.keys),
        report)
    }
    if table.summary.largestSequence > state.lastSequence {
      try tell(
        StoreFinding(
          .damage, place.path,
          "the table holds sequence number \(table.summary.largestSequence), the manifest knows"
            + " none above \(state.lastSequence)", keys: place.keys),
        report)
    }
  }

  // MARK: - Deep

  private mutating func verifyBlocks(
    of reader: TableReader, _ place: TablePlace, _ state: ManifestState?, _ report: Report
  ) throws(StoreError) {
    let (shard, number) = (reader.identity.shard, reader.identity.fileNumber)
    let isSettled = state?.unsettledNow.map { unsettled in
      !unsettled.shards.contains(shard) || number >= unsettled.below
    }
    let shards = isSettled ?? true ? state?.slots?.shards ?? [] : []
    let bytesBefore = count.byteCount
    var verifier = self
    var told = false
    try reader.verifyBlocks(
      owns: { hash in shards.isEmpty || UInt32(shards[Int(hash >> 52)]) == shard },
      progress: { position throws(StoreError) in
        verifier.count.byteCount = bytesBefore + position
        try report(.progress(verifier.count))
      },
      onDamage: { damage, number throws(StoreError) in
        told = true
        if planted(.verifyOverlooksBlocks) { return }
        try verifier.tell(
          StoreVerifier.finding(damage, block: number, of: reader, place), report)
      })
    self = verifier
    if !told { count.entryCount += reader.properties.entryCount }
  }

  private static func finding(
    _ damage: Damage, block: Int?, of reader: TableReader, _ place: TablePlace
  ) -> StoreFinding {
    guard let block else {
      return StoreFinding(
        .damage, place.path, at: damage.offset, damage.finding, keys: place.keys)
    }
    let handle = reader.index.handle(block)
    let first =
      block == 0 ? reader.properties.smallestKey : reader.index.separatorKey(block - 1)
    return StoreFinding(
      .damage, place.path, at: handle.offset, byteCount: handle.byteCount,
      "block \(block): \(damage.finding)",
      keys: .init(
        keyspace: place.keyspaceName, first: first, last: reader.index.separatorKey(block)))
  }
}
