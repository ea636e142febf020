// StoreRepair — a new store out of what is intact of a damaged one.
//
// Room:    Engine/Repair. The damaged store is only read, and its LOCK only locked.
// Format:  FORMAT.md: what is built is a store like any other.
// Limits:  Memory for the manifest's state, the range tombstones, one table's index and filter, one
//          log segment, and 64 MiB of log entries.

package import TurbiditeSystem

/// One repair of one store.
///
/// What is saved: of every key the newest version in an intact block or frame, unless it is a
/// deletion. What a newer file lost may have been a deletion: then older versions of the keys there
/// are left out and counted, for nothing that was deleted may come back.
package struct StoreRepair {
  /// Told the bytes read so far and those there are; what it throws ends the repair.
  package typealias Progress = (UInt64, UInt64) throws(StoreError) -> Void

  private let fileSystem: any FileSystem
  private let name: String
  private let random: any RandomSource
  private let progress: Progress
  private var survey = RepairSurvey()
  private var readByteCount: UInt64 = 0
  private var totalByteCount: UInt64 = 0
  package private(set) var report = RepairReport()

  /// Keyspaces that a table may be of though nothing else tells of them.
  ///
  /// Numbers are given out in order, so few stores have one beyond; trying all takes milliseconds.
  private static let triedKeyspaceCount: UInt32 = 4096

  /// Keeps a writer that comes meanwhile from deleting what is being read.
  private var lock: ReaderLock?
  /// The layout of a store of so many shards, should the manifest not tell it.
  private let layout: (Int) -> ShardLayout

  /// - Parameter name: how errors call the store.
  package init(
    _ fileSystem: any FileSystem, name: String, random: any RandomSource,
    layout: @escaping (Int) -> ShardLayout, progress: @escaping Progress
  ) {
    self.fileSystem = fileSystem
    self.name = name
    self.random = random
    self.layout = layout
    self.progress = progress
  }

  // MARK: - The plan

  /// Reads everything and writes nothing; afterwards ``report`` says what a repair would save.
  ///
  /// A process that has the store open for writing is refused with ``StoreError/locked(path:)``.
  package mutating func plan() throws(StoreError) {
    let lock = try ReaderLock(fileSystem)
    if lock.isWriterLive { throw .locked(path: name) }
    self.lock = lock
    try readManifest()
    totalByteCount = try totalBytes()
    let files = try tableFiles()
    distrustTornManifest(files)
    if survey.store == nil { try findStore(files) }
    var keyspaces: Set<UInt32> = []
    var log = try salvagedLog().forEachEntry(
      progress: { count throws(StoreError) in try advance(count) },
      { (entry, _) throws(StoreError) in keyspaces.insert(entry.keyspace) })
    if survey.state == nil { noteKeyspaces(keyspaces) }
    let tables = survey.state == nil ? try claimedTables(files) : wantedTables(files)
    for loss in log.files.flatMap(\.losses) {
      if let sequences = loss.sequences { survey.sequences.watch(sequences) }
    }
    for table in tables { try salvageTable(table) }
    if survey.state == nil { leaveOutReplaced(files) }
    sortLayers()
    for index in log.files.indices { mendByTables(&log.files[index]) }
    report.files += log.files
    if let first = log.completeFrom { mendByLog(from: first) }
    report.shardCount = Int(survey.slots?.shardCount ?? 0)
    report.keyspaceNames = survey.keyspaces.values.map(\.name).sorted()
    if survey.state == nil {
      report.uncertainKeyspaceNames = report.keyspaceNames.filter { !$0.isEmpty }
    }
  }

  /// What the log lost is no loss where tables have it.
  private func mendByTables(_ file: inout RepairedFile) {
    for loss in file.losses {
      guard let sequences = loss.sequences, survey.sequences.holdsAll(sequences) else { continue }
      file.losses.removeAll { $0 == loss }
      file.rebuilt.append(loss)
      file.note = "what is lost here is in tables"
      if file.losses.isEmpty { file.fate = .whole }
    }
  }

  /// What tables lost is no loss where the log still has it: entries, and deletions too.
  private mutating func mendByLog(from first: UInt64) {
    for tree in survey.damagedTrees {
      for index in survey.tables[tree, default: []].indices {
        guard let table = survey.tables[tree]?[index], table.smallestSequence >= first else {
          continue
        }
        survey.tables[tree]?[index].mendByLog()
        for number in report.files.indices
        where report.files[number].path == table.path && !table.losses.isEmpty {
          report.files[number].fate = .whole
          report.files[number].rebuilt += report.files[number].losses
          report.files[number].losses = []
          report.files[number].lostEntryCount = 0
          report.files[number].note += "what is lost here is in the log"
        }
      }
    }
  }

  private mutating func advance(_ byteCount: UInt64) throws(StoreError) {
    readByteCount += byteCount
    try progress(readByteCount, totalByteCount)
  }

  private mutating func readManifest() throws(StoreError) {
    let names = try fileSystem.listFiles("")
    let manifests = names.compactMap { name -> UInt64? in
      if case .manifest(let number) = FileNames.kind(of: name) { return number }
      return nil
    }.sorted(by: >)
    if manifests.isEmpty, !names.contains(FileNames.shardsDirectory),
      try fileSystem.anyPart() == nil
    {
      throw .noStore(path: name, reason: "the directory holds no manifest, table or log segment")
    }
    if manifests.isEmpty { report.manifestTrouble = "there is no manifest" }
    for (index, number) in manifests.enumerated() {
      let path = FileNames.manifest(number)
      do throws(StoreError) {
        let contents = try ManifestContents(try fileSystem.openFile(path, .read))
        guard contents.number == number else {
          throw .corrupt(
            Damage(file: path, offset: 0, finding: "this is manifest \(contents.number)"))
        }
        survey.store = survey.store ?? contents.store
        survey.slots = survey.slots ?? contents.state.slots
        if index == 0 {
          survey.state = contents.state
          survey.isTorn = contents.tornByteCount > 0
        }
        if survey.nextKeyspaceID == nil {
          survey.keyspaces = contents.state.keyspaces
          survey.nextKeyspaceID = contents.state.nextKeyspaceID
        }
        report.files.append(
          RepairedFile(path: path, fate: index == 0 ? .whole : .unused))
      } catch {
        guard let loss = error.loss(of: path) else { throw error }
        // An older one is of no use beside the newest.
        let isUnused = index > 0 && survey.state != nil
        report.files.append(
          RepairedFile(path: path, fate: isUnused ? .unused : .lost, losses: isUnused ? [] : [loss])
        )
        if index == 0 { report.manifestTrouble = "\(path): \(loss.finding)" }
      }
    }
  }

  /// A table that the store should have, and the file that has it.
  private struct WantedTable {
    var path: String
    var identity: TableIdentity
    var summary: TableSummary?
  }

  /// The names in a directory; one that is none, or cannot be read, is a loss like that of a file.
  private mutating func list(_ directory: String) throws(StoreError) -> [String] {
    do throws(StoreError) { return try fileSystem.listFiles(directory) } catch {
      guard let loss = error.loss(of: directory) else { throw error }
      report.files.append(RepairedFile(path: directory, fate: .lost, losses: [loss]))
      return []
    }
  }

  /// Every file where a table would be.
  private mutating func tableFiles() throws(StoreError) -> [TableFile] {
    var found: [TableFile] = []
    var directoryCount = 0
    let shards =
      try fileSystem.listFiles("").contains(FileNames.shardsDirectory)
      ? try list(FileNames.shardsDirectory) : []
    for directory in shards {
      // Without the manifest the directories tell how many shards there are.
      guard let shard = Int(directory), shard >= 0, shard < Limits.shardCount else { continue }
      directoryCount = max(directoryCount, shard + 1)
      for file in try list("\(FileNames.shardsDirectory)/\(directory)") {
        let path = "\(FileNames.shardsDirectory)/\(directory)/\(file)"
        guard case .table(let shard, let number) = FileNames.kind(of: path) else { continue }
        found.append(try TableFile(path, shard: shard, number: number, in: fileSystem))
      }
    }
    if survey.slots == nil {
      let ring = layout(max(1, directoryCount))
      survey.slots = SlotLayout(
        hashFunction: 1, shardCount: UInt32(ring.shardCount), shards: ring.shards)
    }
    return found
  }

  /// A last record that is torn may have been whole once: what went with the tables that the state
  /// before it names is then known to nobody.
  private mutating func distrustTornManifest(_ files: [TableFile]) {
    guard survey.isTorn, let state = survey.state else { return }
    let numbers = Set(files.map(\.number))
    var isMissing = false
    state.forEachTable { _, _, table in
      if !numbers.contains(table.fileNumber) { isMissing = true }
    }
    guard isMissing else { return }
    survey.state = nil
    report.manifestTrouble =
      "its last record is damaged, and tables that the state before it names are gone"
  }

  /// The tables that the manifest names; other files are reported.
  ///
  /// A file under another table's name is found by what its header says.
  private mutating func wantedTables(_ files: [TableFile]) -> [WantedTable] {
    guard let state = survey.state, let store = survey.store else { return [] }
    var unused = Dictionary(uniqueKeysWithValues: files.map { ($0.path, $0) })
    var wanted: [WantedTable] = []
    func isOurs(_ file: TableFile, _ identity: TableIdentity) -> Bool {
      file.header.map { $0 == identity } ?? false
    }
    var missing: [(TreeID, TableMetadata)] = []
    state.forEachTable { tree, _, table in
      let identity = TableIdentity(
        store: store, fileNumber: table.fileNumber, keyspace: tree.keyspace, shard: tree.shard)
      let usual = FileNames.table(shard: tree.shard, table.fileNumber)
      let atItsPlace = unused[usual].flatMap {
        $0.header == nil || isOurs($0, identity) ? $0 : nil
      }
      guard let file = files.first(where: { isOurs($0, identity) }) ?? atItsPlace else {
        missing.append((tree, table))
        return
      }
      unused[file.path] = nil
      wanted.append(
        WantedTable(path: file.path, identity: identity, summary: table.summary))
    }
    for (tree, table) in missing {
      let path = FileNames.table(shard: tree.shard, table.fileNumber)
      let lost = SalvagedTable(missing: path, tree, table.fileNumber, table.summary)
      survey.damagedTrees.insert(tree)
      survey.tables[tree, default: []].append(lost)
      report.files.append(
        RepairedFile(
          path: path, fate: .lost, lostEntryCount: lost.lostEntryCount, losses: lost.losses))
    }
    for file in files where unused[file.path] != nil {
      reportUnused(file.path, "the manifest does not name it")
    }
    return wanted
  }

  /// Without a manifest: the tables that say that they are the store's; the others are reported, or
  /// kept as opaque.
  private mutating func claimedTables(
    _ files: [TableFile]
  ) throws(StoreError) -> [WantedTable] {
    let keyspaces = Set(files.compactMap(\.header?.keyspace)).union(survey.keyspaces.keys)
      .union(0..<Self.triedKeyspaceCount)
    var wanted: [WantedTable] = []
    for var file in files {
      if file.header == nil, let store = survey.store {
        try file.restoreHeader(in: fileSystem, store: store, keyspaces: keyspaces)
      }
      guard let header = file.header else {
        survey.opaqueTables.append(file)
        continue
      }
      guard header.store == survey.store ?? header.store,
        header.shard < survey.slots?.shardCount ?? 0, header.keyspace < .max
      else {
        reportLost(file, "it is a table of another store, or of a shard that is not there")
        continue
      }
      wanted.append(WantedTable(path: file.path, identity: header, summary: nil))
    }
    try leaveOutGone(&wanted)
    return wanted
  }

  private mutating func reportUnused(_ path: String, _ note: String) {
    report.files.append(RepairedFile(path: path, fate: .unused, note: note))
  }

  private mutating func reportLost(_ file: TableFile, _ finding: String) {
    let count = UInt64(TableFormat.headerByteCount)
    let loss = RepairLoss(offset: 0, byteCount: count, finding: finding)
    report.files.append(RepairedFile(path: file.path, fate: .lost, losses: [loss]))
  }

  /// Without a manifest the files say whose they are; the first that is intact is believed.
  private mutating func findStore(_ tables: [TableFile]) throws(StoreError) {
    if let header = tables.lazy.compactMap(\.header).first {
      survey.store = header.store
      return
    }
    for number in try LogRecovery.segmentNumbers(fileSystem) {
      let path = FileNames.logSegment(number)
      do throws(StoreError) {
        let reader = try LogSegmentReader(
          try fileSystem.openFile(path, .read), number: number, store: nil)
        if let header = reader.header {
          survey.store = header.store
          return
        }
      } catch {
        guard error.loss(of: path) != nil else { throw error }
      }
    }
  }

  private mutating func salvageTable(_ wanted: WantedTable) throws(StoreError) {
    let path = wanted.path
    var report = RepairedFile(path: path, fate: .whole)
    let usual = FileNames.table(shard: wanted.identity.shard, wanted.identity.fileNumber)
    if path != usual { report.note = "this is \(usual) under another name" }
    do throws(StoreError) {
      let file = try fileSystem.openFile(path, .read)
      var seen = survey.sequences
      let table = try SalvagedTable(
        file, identity: wanted.identity, summary: wanted.summary, seen: &seen
      ) { count throws(StoreError) in
        try advance(count)
      }
      survey.sequences = seen
      report.entryCount = table.entryCount
      report.losses = table.losses
      report.rebuilt = table.rebuilt
      report.lostEntryCount = table.lostEntryCount
      if !table.losses.isEmpty {
        report.fate = table.blocks.isEmpty ? .lost : .partly
        survey.damagedTrees.insert(table.tree)
      }
      survey.tables[table.tree, default: []].append(table)
    } catch {
      guard let loss = error.loss(of: path) else { throw error }
      report.fate = .lost
      report.losses.append(loss)
      report.lostEntryCount = wanted.summary?.entryCount
      let tree = TreeID(keyspace: wanted.identity.keyspace, shard: wanted.identity.shard)
      survey.damagedTrees.insert(tree)
      if let summary = wanted.summary {
        survey.tables[tree, default: []].append(
          SalvagedTable(missing: path, tree, wanted.identity.fileNumber, summary))
      }
    }
    self.report.files.append(report)
  }

  // MARK: - What counts without a manifest

  /// Leaves out the tables that others call gone, and those of keyspaces that were dropped.
  private mutating func leaveOutGone(_ tables: inout [WantedTable]) throws(StoreError) {
    for table in tables {
      do throws(StoreError) {
        survey.replacements.note(
          try TableReplacement.read(from: try fileSystem.openFile(table.path, .read)),
          of: table.identity.fileNumber)
      } catch {
        guard error.loss(of: table.path) != nil else { throw error }
      }
    }
    let gone = survey.replacements.gone
    for table in tables {
      guard let teller = gone[table.identity.fileNumber] else { continue }
      reportUnused(table.path, "table \(teller) says that it is replaced")
    }
    tables.removeAll { gone[$0.identity.fileNumber] != nil }
    for table in tables where survey.isDropped(table.identity.keyspace) {
      reportUnused(table.path, "its keyspace was dropped")
    }
    tables.removeAll { survey.isDropped($0.identity.keyspace) }
    noteKeyspaces(Set(tables.map(\.identity.keyspace)))
  }

  /// Gives keyspaces a name that are known by their number alone.
  private mutating func noteKeyspaces(_ found: Set<UInt32>) {
    for id in found where id < .max && survey.keyspaces[id] == nil && !survey.isDropped(id) {
      survey.keyspaces[id] = KeyspaceDescription(name: "keyspace-\(id)")
    }
  }

  /// Leaves out the tables that groups of others replace, as far as these are intact.
  private mutating func leaveOutReplaced(_ files: [TableFile]) {
    let tables = survey.tables.values.joined()
    survey.keyspaces.noteKinds(tables)
    for table in tables { survey.replacements.note(table.replacement, of: table.fileNumber) }
    var verdicts = survey.replacements.verdicts(
      intact: Set(tables.filter { $0.losses.isEmpty }.map(\.fileNumber)),
      present: Set(files.map(\.number)).union(files.compactMap(\.header?.fileNumber)))
    // Those of which only a search through the file told what they say.
    for (number, teller) in survey.replacements.gone {
      verdicts[number] = ReplacementSurvey.Verdict(reason: .replaced, by: teller)
    }
    for table in tables {
      guard let verdict = verdicts[table.fileNumber] else { continue }
      if verdict.reason == .doubtful { report.withheldEntryCount += table.entryCount }
      for index in report.files.indices where report.files[index].path == table.path {
        report.files[index] = RepairedFile(path: table.path, fate: .unused, note: verdict.note)
      }
    }
    for tree in survey.tables.keys {
      survey.tables[tree]?.removeAll { verdicts[$0.fileNumber] != nil }
    }
    for file in survey.opaqueTables {
      if let verdict = verdicts[file.number] {
        reportUnused(file.path, verdict.note)
        continue
      }
      survey.opaqueShards.insert(file.shard)
      reportLost(
        file,
        "nothing tells its keyspace: tables of its shard are left out, since it may have deleted"
          + " what they hold; a repair without this file saves that")
    }
  }

  /// Puts the newest layer of each tree first: by the manifest's levels, or else by what is newest
  /// in them.
  private mutating func sortLayers() {
    var ranks: [UInt64: Int] = [:]
    var count = 0
    survey.state?.forEachTable { tree, _, table in
      count += 1
      ranks[table.fileNumber] = count
    }
    for tree in survey.tables.keys {
      survey.tables[tree]?.sort { one, other in
        if let rank = ranks[one.fileNumber], let otherRank = ranks[other.fileNumber] {
          return rank < otherRank
        }
        return one.largestSequence > other.largestSequence
      }
    }
  }

  private func salvagedLog() throws(StoreError) -> SalvagedLog {
    let (store, state) = (survey.store ?? StoreID(high: 0, low: 0), survey.state)
    return try SalvagedLog(
      fileSystem, store: store, floor: state?.logFloor ?? 0,
      floorPosition: state?.logFloorPosition ?? 0, syncedPosition: state?.syncedPosition)
  }

  private func totalBytes() throws(StoreError) -> UInt64 {
    var total: UInt64 = 0
    for path in try StoreFileList.paths(of: fileSystem) {
      do throws(StoreError) { total += try fileSystem.openFile(path, .read).byteCount() } catch {
        // What cannot be opened is told of when its turn comes; here it is only not counted.
        guard error.loss(of: path) != nil else { throw error }
      }
    }
    return total
  }

  // MARK: - The new store

  /// Plans, and builds the repaired store as directory `name` of `parent`.
  ///
  /// It appears whole and durable by one rename, or not at all.
  package mutating func run(
    into name: String, of parent: any FileSystem
  ) throws(StoreError) {
    let place = try CheckpointPlace(name, in: parent, purpose: "repair")
    do throws(StoreError) { try plan() } catch {
      place.abandon()
      throw error
    }
    do throws(StoreError) {
      do throws(StoreError) { try build(in: place) } catch {
        // Without the manifest nothing told that shards had come and gone.
        guard case .configuration = error, survey.state == nil else { throw error }
        try place.clear()
        survey.joinShards()
        report.shardCount = 1
        report.withheldEntryCount = 0
        report.manifestTrouble =
          (report.manifestTrouble ?? "")
          + "; which shard held what is lost with it: there is one now,"
          + " and what was deleted since shards last changed may be back"
        try build(in: place)
      }
    } catch {
      place.abandon()
      throw error
    }
    do throws(StoreError) { try place.publish() } catch {
      if case .durabilityLost = error { throw error }
      place.abandon()
      throw error
    }
  }

  private mutating func build(in place: CheckpointPlace) throws(StoreError) {
    guard let slots = survey.slots else { preconditionFailure("a repair without a plan") }
    try place.makeDirectories()
    try place.makeDirectories(ofShards: slots.shardCount)
    let store = StoreID(high: random.next(), low: random.next())
    var writer = RepairWriter(
      place.fileSystem, store: store, slots: slots, keyspaces: survey.keyspaces)
    try loadLog(into: &writer)
    let trees = Set(survey.tables.keys).union(writer.trees).sorted()
    // How far a cursor may have come is known when its stream's events are written.
    let partitioning = Partitioning.firstBytes(StreamKey.partitionByteCount)
    let last = StreamKey.cursors.from.withView { slots.shard(of: $0, partitioning) }
    for tree in trees { try writer.noteStarts(of: tree, survey.tables[tree] ?? []) }
    for tree in trees where tree.shard != last { try write(tree, &writer) }
    for tree in trees where tree.shard == last { try write(tree, &writer) }
    try writer.finish()
    report.movedCursorCount = writer.movedCursorCount
    report.savedEntryCount = writer.entryCount
    report.savedByteCount = writer.byteCount
    try place.syncDirectories(shardCount: slots.shardCount)
  }

  private mutating func loadLog(into writer: inout RepairWriter) throws(StoreError) {
    let log = try salvagedLog()
    let (slots, keyspaces, state) = (survey.slots, survey.keyspaces, survey.state)
    let damaged = survey.damagedTrees
    guard let slots else { return }
    _ = try log.forEachEntry(
      progress: { count throws(StoreError) in try advance(count) },
      { entry, sequence throws(StoreError) in
        // Otherwise it was dropped.
        guard let keyspace = keyspaces[entry.keyspace] else { return }
        func isWanted(_ tree: TreeID) -> Bool {
          // What was flushed is in tables, and a copy is needed only where these are damaged.
          damaged.contains(tree) || sequence > state?.trees[tree]?.flushedSequence ?? 0
        }
        if entry.kind == .rangeDeletion {
          // One that was carried, too: what it deletes may have moved since.
          for shard in 0..<slots.shardCount {
            let tree = TreeID(keyspace: entry.keyspace, shard: shard)
            if isWanted(tree) { writer.deleteRange(entry.key, entry.value, sequence, of: tree) }
          }
          return
        }
        let shard = slots.shard(of: entry.key, keyspace.kind.partitioning)
        let tree = TreeID(keyspace: entry.keyspace, shard: shard)
        if isWanted(tree) { try writer.insert(entry, sequence, into: tree) }
      })
  }

  /// Merges everything that is known of a tree into tables of the last level.
  private mutating func write(
    _ tree: TreeID, _ writer: inout RepairWriter
  ) throws(StoreError) {
    let withheld = Counter()
    var sources = try writer.logSources(of: tree)
    var sets = writer.tombstones(of: tree)
    let tables = survey.tables[tree] ?? []
    // What the layers above may have deleted; without the manifest any table may be above.
    var above = survey.state == nil ? tables.flatMap(\.gaps) : []
    if survey.opaqueShards.contains(tree.shard) {
      above.append(SalvagedTable.Gap(largestSequence: .max))
    }
    for table in tables {
      let gaps = above
      sources.append(
        try table.makeCursor { key, tag, isContinued in
          guard isContinued || gaps.contains(where: { $0.mayHide(key, tag) }) else { return false }
          withheld.count += 1
          return true
        })
      sets.append(table.tombstones)
      if survey.state != nil { above += table.gaps }
    }
    guard !sources.isEmpty else { return }
    let filter = VersionFilter(
      snapshots: [],
      tombstones: planted(.repairIgnoresTombstones) ? .none : RangeTombstones.merged(sets),
      isBottommost: true)
    let isSettled = survey.state?.unsettledNow?.shards.contains(tree.shard) != true
    let merge = try MergingCursor(sources)
    try writer.write(tree, merge, filter, isSettled: isSettled) { count throws(StoreError) in
      try advance(count)
    }
    report.withheldEntryCount += withheld.count
  }

  /// Counts across closures that escape.
  private final class Counter { var count: UInt64 = 0 }
}
