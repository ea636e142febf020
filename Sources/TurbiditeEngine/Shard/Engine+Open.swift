// Engine+Open — from a directory to an open store.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 7: what is read in which order, and what is durable before what.

import Synchronization
import TurbiditeSystem

extension Engine {
  /// Opens the store in the root of the environment's file system.
  ///
  /// Nothing is written or deleted before the manifest and the log have been found whole.
  ///
  /// - Parameter layout: where the slots of a new store lie; an existing store has its own.
  /// - Parameter name: how errors call the store, for example its path.
  package static func open(
    _ environment: EngineEnvironment, mode: EngineMode, options: EngineOptions,
    layout: () -> ShardLayout, name: String
  ) throws(StoreError) -> Engine {
    let opener = Opener(
      environment: environment, mode: mode, options: options, name: name,
      reserve: Reserve(environment.fileSystem, environment.scheduler))
    let engine = try opener.open(layout)
    if let refusal = engine.reserve.refusal { engine.beginPause(refusal) }
    return engine
  }
}

/// One attempt to open a store.
private struct Opener {
  let environment: EngineEnvironment
  let mode: EngineMode
  let options: EngineOptions
  let name: String
  let reserve: Reserve

  private var fileSystem: any FileSystem { environment.fileSystem }

  func open(_ layout: () -> ShardLayout) throws(StoreError) -> Engine {
    switch mode {
    case .readOnly: return try openForReading()
    case .existing: _ = try fileSystem.newestManifest(of: name)
    case .create:
      if try !fileSystem.manifestNumbers().isEmpty { throw .storeExists(path: name) }
      try requireEmpty()
    case .openOrCreate:
      if try fileSystem.manifestNumbers().isEmpty { try requireEmpty() }
    }
    let lock = try takeLock()
    // Another process may have created the store between the look and the lock.
    let manifests = try fileSystem.manifestNumbers()
    if manifests.isEmpty { return try create(layout(), lock) }
    try reserve.findOut()
    return try openForWriting(lock, manifests)
  }

  // MARK: - Creating

  /// Only what an interrupted creation leaves may be there: a mistyped path must not become a
  /// store.
  private func requireEmpty() throws(StoreError) {
    try fileSystem.requireNoParts()
    for name in try fileSystem.listFiles("") {
      switch FileNames.kind(of: name) {
      case .lock, .temporary: continue
      default:
        if name == FileNames.logDirectory || name == FileNames.shardsDirectory {
          if try isEmptyTree(name) { continue }
        }
        throw .noStore(
          path: self.name, reason: "the directory holds no manifest, but holds \(name)")
      }
    }
  }

  private func isEmptyTree(_ directory: String) throws(StoreError) -> Bool {
    for name in try fileSystem.listFiles(directory) {
      guard directory == FileNames.shardsDirectory else { return false }
      if !(try fileSystem.listFiles("\(directory)/\(name)").isEmpty) { return false }
    }
    return true
  }

  private func create(_ layout: ShardLayout, _ lock: any File) throws(StoreError) -> Engine {
    let store = StoreID(high: environment.random.next(), low: environment.random.next())
    try fileSystem.makeDirectoriesIfAbsent(
      [FileNames.logDirectory, FileNames.shardsDirectory], in: "")
    try fileSystem.makeDirectoriesIfAbsent(
      (0..<UInt32(layout.shardCount)).map(FileNames.shardDirectory),
      in: FileNames.shardsDirectory)
    if !planted(.skipCreationSync) { try fileSystem.syncNames(FileNames.shardsDirectory) }
    try fileSystem.syncNames("")
    var state = ManifestState()
    var edit = VersionEdit()
    edit.nextFileNumber = 2
    edit.nextKeyspaceID = 1
    edit.createdKeyspaces = [.init(id: 0, description: .default)]
    edit.slots = SlotLayout(
      hashFunction: 1, shardCount: UInt32(layout.shardCount), shards: layout.shards)
    do throws(DecodingFailure) { try state.apply(edit) } catch {
      throw .configuration(error.finding)
    }
    state.editNumber = 1
    return try start(
      store: store, state: state, log: RecoveredLog(), recovery: nil, lock: lock,
      report: RecoveryReport(), oldManifests: [])
  }

  // MARK: - Opening for writing

  private func takeLock() throws(StoreError) -> any File {
    let lock = try fileSystem.openFile(FileNames.lock, .readWrite)
    do throws(SystemError) {
      let isTaken = try lock.tryLock(
        .exclusive, from: LockBytes.writer, to: LockBytes.writer + 1)
      guard isTaken || planted(.openWithoutLock)
      else { throw SystemError(operation: "lock", path: FileNames.lock, code: 0) }
    } catch {
      if error.code == 0 { throw .locked(path: name) }
      throw StoreError(error)
    }
    return lock
  }

  private func readManifest(_ number: UInt64) throws(StoreError) -> ManifestContents {
    let path = FileNames.manifest(number)
    let contents = try ManifestContents(try fileSystem.openFile(path, .read))
    guard contents.number == number else {
      throw .corrupt(
        Damage(file: path, offset: 0, finding: "this is manifest \(contents.number)"))
    }
    if let slots = contents.state.slots, slots.hashFunction != 1 {
      throw .configuration("\(path) asks for hash function \(slots.hashFunction)")
    }
    return contents
  }

  private func openForWriting(
    _ lock: any File, _ manifests: [UInt64]
  ) throws(StoreError) -> Engine {
    let chosen = planted(.openOldestManifest) ? manifests.first : manifests.last
    guard let newest = chosen else { preconditionFailure("no manifest to open") }
    let contents = try readManifest(newest)
    try requireTables(contents.state)
    let recovery = LogRecovery(
      fileSystem: fileSystem, store: contents.store, floor: contents.state.logFloor,
      floorPosition: contents.state.logFloorPosition,
      syncedPosition: contents.state.syncedPosition)
    let log = try recovery.recover()
    var report = RecoveryReport()
    report.frameCount = log.frameCount
    report.tornByteCount = log.tornByteCount
    report.tornManifestByteCount = contents.tornByteCount
    return try start(
      store: contents.store, state: contents.state, log: log, recovery: recovery, lock: lock,
      report: report, oldManifests: manifests)
  }

  /// Every table that the manifest names must be there: a missing one is lost data.
  private func requireTables(_ state: ManifestState) throws(StoreError) {
    var missing: String?
    var present: [UInt32: Set<String>] = [:]
    for shard in 0..<(state.slots?.shardCount ?? 0) {
      do throws(SystemError) {
        present[shard] = Set(try fileSystem.list(FileNames.shardDirectory(shard)))
      } catch {
        if !error.isAbsent { throw StoreError(error) }
      }
    }
    state.forEachTable { tree, _, table in
      let path = FileNames.table(shard: tree.shard, table.fileNumber)
      let name = path.split(separator: "/").last.map(String.init) ?? path
      if present[tree.shard]?.contains(name) != true { missing = missing ?? path }
    }
    if let missing {
      throw .corrupt(Damage(file: missing, offset: 0, finding: "the table is missing"))
    }
  }

  /// Puts the engine together and makes durable what it stands on, in this order: a manifest with
  /// the whole state; the log's tail, written anew.
  ///
  /// Only then is anything served or deleted.
  private func start(
    store: StoreID, state: ManifestState, log: RecoveredLog, recovery: LogRecovery?,
    lock: any File, report: RecoveryReport, oldManifests: [UInt64]
  ) throws(StoreError) -> Engine {
    var state = state
    let files = try FileInventory(fileSystem, shardCount: state.slots?.shardCount ?? 0)
    // A number that any file bears is taken, whatever the manifest says: an edit that was lost may
    // have given it out (RocksDB issues 7607 and 7621).
    if !planted(.reuseFileNumber) {
      state.nextFileNumber = max(state.nextFileNumber, files.largestNumber + 1)
    }
    // What moved when the store was left is not on its way any more.
    if state.unsettled?.below == UnsettledShards.open {
      state.unsettled?.below = state.nextFileNumber
    }
    try state.requireRoom(behind: log.endPosition)
    // The log position may not fall behind what the manifest knows to have been durable.
    let manifest = ManifestOwner(state: state, nextNumber: state.nextFileNumber)
    let writer = LogWriter(
      fileSystem: fileSystem, store: store, segmentByteCount: options.logSegmentByteCount,
      compresses: options.compresses, log: log, rarePaths: environment.rarePaths,
      nextNumber: { manifest.nextNumber() })
    let parts = try assemble(
      store: store, state: state, manifest: manifest, recovered: log, log: writer, lock: lock,
      report: report)
    let engine = Engine(environment: environment, options: options, parts: parts)
    do throws(StoreError) {
      for number in oldManifests where planted(.deleteOldManifestFirst) {
        try fileSystem.removeFile(FileNames.manifest(number))
      }
      try usingReserve { () throws(StoreError) in
        try manifest.withGate(environment.scheduler) { held throws(StoreError) in
          try engine.replaceManifest(&held)
        }
      }
      noteOrphans(files, engine)
      if let recovery {
        try usingReserve { () throws(StoreError) in
          try writer.rewriteTail(of: log, with: recovery)
        }
        let count = try Replay(engine: engine, state: state).run(recovery, log)
        engine.recoveredEntryCount.store(count, ordering: .relaxed)
      }
      engine.prepareReserve()
    } catch {
      // Gives the lock and the files back: jobs that wait hold on to the engine.
      if !planted(.keepLockAfterFailedOpen) { engine.abandon() }
      throw error
    }
    removeOrphans(files, engine, oldManifests)
    engine.jobs.serve(engine)
    environment.scheduler.start(engine.jobs)
    for tree in engine.occupiedTrees { engine.considerWork(tree) }
    engine.jobs.wakeUp(
      at: environment.clock.monotonicNanoseconds() + Engine.settlingNanoseconds)
    return engine
  }

  /// Runs `body`, and once more with the reserve when there is no room: who cannot open a store
  /// cannot delete from it.
  private func usingReserve(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    do throws(StoreError) { try body() } catch {
      guard case .outOfSpace = error, try reserve.release(after: error) else { throw error }
      try body()
    }
  }

  private func assemble(
    store: StoreID, state: ManifestState, manifest: ManifestOwner, recovered: RecoveredLog,
    log: LogWriter?, lock: (any File)?, report: RecoveryReport
  ) throws(StoreError) -> EngineParts {
    guard let slots = state.slots else { preconditionFailure("a state without slots") }
    let jobs = JobQueue(clock: environment.clock, compactionLimit: options.compactionCount)
    let obsolete = ObsoleteFiles()
    let scheduler = environment.scheduler
    let refill: @Sendable (ChunkPool) -> Void = { chunks in
      jobs.add(SpareChunkJob(chunks))
      scheduler.workIsReady()
    }
    // A store that is only read has no threads of its own.
    let budget = MemoryBudget(
      byteCount: options.memoryBudgetByteCount,
      whenFreed: { scheduler.progressWasMade() },
      whenShort: mode == .readOnly ? nil : refill)
    let tables = TableCache(
      fileSystem: fileSystem, store: store, budget: budget,
      maximumOpenCount: options.maximumOpenTableCount, rarePaths: environment.rarePaths,
      onObsolete: { file in
        obsolete.add(file)
        jobs.wakeUp(at: 0)
        scheduler.workIsReady()
      })
    var keyspaces: [UInt32: KeyspaceState] = [:]
    // A stream is older than the keyspace whose changes it records.
    for (id, description) in state.keyspaces.sorted(by: { $0.key < $1.key }) {
      var trees: [Tree] = []
      for shard in 0..<slots.shardCount {
        let tree = TreeID(keyspace: id, shard: shard)
        var levels = TreeVersion.emptyLevels
        for (level, list) in (state.trees[tree]?.levels ?? []).enumerated() {
          for table in list {
            levels[level].append(try TableHandle(table, tree: tree, tables: tables))
          }
        }
        trees.append(Tree(id: tree, description.kind.partitioning, levels: levels))
      }
      keyspaces[id] = KeyspaceState(
        id: id, description, trees: trees, environment,
        changes: description.changes.flatMap { keyspaces[$0] })
    }
    return EngineParts(
      store: store,
      routing: Routing(
        slots: slots.shards, treeCount: Int(slots.shardCount), unsettled: state.unsettledNow),
      budget: budget, tables: tables, jobs: jobs, obsolete: obsolete,
      log: log, manifest: manifest, lockFile: lock, reserve: reserve, recovery: report,
      recoveredLog: (
        recovered.parts.reduce(0) { $0 + $1.endPosition - $1.basePosition }, recovered.parts.count
      ),
      keyspaces: keyspaces,
      lastSequence: planted(.reuseSequenceNumbers)
        ? state.lastSequence : max(state.lastSequence, recovered.lastSequence))
  }

  /// Lets every table that is written from now on say that tables which nothing refers to are none
  /// of the store's: they may outlive it, and a repair without a manifest may meet them.
  private func noteOrphans(_ files: FileInventory, _ engine: Engine) {
    var live: Set<UInt64> = []
    for tree in engine.occupiedTrees {
      for table in tree.version.levels.joined() { live.insert(table.metadata.fileNumber) }
    }
    for (path, _) in files.tablesAndSegments {
      guard case .table(let shard, let number) = FileNames.kind(of: path), !live.contains(number)
      else { continue }
      engine.tables.gone.add(number, shard: shard)
    }
  }

  /// Removes files of ours that nothing refers to.
  ///
  /// They go through the same check as in a running engine: a reader in another process may still
  /// use them. One that cannot be removed does no harm, and is tried again.
  private func removeOrphans(
    _ files: FileInventory, _ engine: Engine, _ oldManifests: [UInt64]
  ) {
    let edit = engine.manifest.editNumber + 1
    for number in oldManifests {
      engine.obsolete.add(
        ObsoleteFile(path: FileNames.manifest(number), fileNumber: number, removedBy: edit))
    }
    for path in files.temporaries {
      engine.obsolete.add(ObsoleteFile(path: path, fileNumber: 0, removedBy: edit))
    }
    var live: Set<String> = []
    for tree in engine.occupiedTrees {
      for table in tree.version.levels.joined() { live.insert(table.path) }
    }
    if let log = engine.log {
      for number in log.segmentNumbers { live.insert(FileNames.logSegment(number)) }
    }
    for (path, number) in files.tablesAndSegments where !live.contains(path) {
      engine.obsolete.add(ObsoleteFile(path: path, fileNumber: number, removedBy: edit))
      engine.orphanCount.add(1, ordering: .relaxed)
    }
    engine.deleteObsolete()
  }

  // MARK: - Opening for reading

  /// Opens one consistent state beside a writer that may be at work, and writes nothing.
  private func openForReading() throws(StoreError) -> Engine {
    let lock = try lockFileForReading()
    var failure: StoreError?
    // What looks like damage may be the writer in the middle of a change: look again, a few times.
    for _ in 0..<8 {
      do throws(StoreError) {
        return try readOnce(lock)
      } catch {
        failure = error
        switch error {
        case .corrupt, .io: continue
        default: throw error
        }
      }
    }
    throw failure ?? .noStore(path: name, reason: "the store could not be read")
  }

  /// Without a LOCK file there is no writer, and nothing to lock.
  private func lockFileForReading() throws(StoreError) -> (any File)? {
    do throws(SystemError) { return try fileSystem.open(FileNames.lock, .read) } catch {
      if error.isAbsent { return nil }
      throw StoreError(error)
    }
  }

  private func readOnce(_ lock: (any File)?) throws(StoreError) -> Engine {
    do throws(SystemError) {
      // While this is held nothing is deleted; it is given back once the state's own lock is taken.
      while let lock,
        try !lock.tryLock(.shared, from: LockBytes.opening, to: LockBytes.opening + 1)
      {
        environment.clock.sleep(nanoseconds: 1_000_000)
      }
    } catch {
      throw StoreError(error)
    }
    defer { unlockOpening(lock) }
    let contents = try readManifest(try fileSystem.newestManifest(of: name))
    let state = contents.state
    do throws(SystemError) {
      let edit = LockBytes.firstEdit + state.editNumber
      if let lock { _ = try lock.tryLock(.shared, from: edit, to: edit + 1) }
    } catch {
      throw StoreError(error)
    }
    let recovery = LogRecovery(
      fileSystem: fileSystem, store: contents.store, floor: state.logFloor,
      floorPosition: state.logFloorPosition, syncedPosition: state.syncedPosition)
    let log = try recovery.recover()
    try requireTables(state)
    var report = RecoveryReport()
    report.frameCount = log.frameCount
    report.tornByteCount = log.tornByteCount
    report.tornManifestByteCount = contents.tornByteCount
    let parts = try assemble(
      store: contents.store, state: state,
      manifest: ManifestOwner(state: state, nextNumber: state.nextFileNumber), recovered: log,
      log: nil, lock: lock, report: report)
    let engine = Engine(environment: environment, options: options, parts: parts)
    let count = try Replay(engine: engine, state: state).run(recovery, log)
    engine.recoveredEntryCount.store(count, ordering: .relaxed)
    return engine
  }

  private func unlockOpening(_ lock: (any File)?) {
    do throws(SystemError) {
      try lock?.unlock(from: LockBytes.opening, to: LockBytes.opening + 1)
    } catch {
      // The lock goes with the file at the latest, and only delays deletions until then.
    }
  }
}

/// Everything in a store's directory, by name.
struct FileInventory {
  private(set) var temporaries: [String] = []
  private(set) var tablesAndSegments: [(path: String, number: UInt64)] = []
  private(set) var largestNumber: UInt64 = 0

  init(_ fileSystem: any FileSystem, shardCount: UInt32) throws(StoreError) {
    for name in try fileSystem.listFiles("") { note(name) }
    for name in try fileSystem.listFiles(FileNames.logDirectory) {
      note("\(FileNames.logDirectory)/\(name)")
    }
    for shard in 0..<shardCount {
      let directory = FileNames.shardDirectory(shard)
      for name in try fileSystem.listFiles(directory) { note("\(directory)/\(name)") }
    }
  }

  private mutating func note(_ path: String) {
    switch FileNames.kind(of: path) {
    case .lock, .reserve, .unknown: break
    case .temporary:
      temporaries.append(path)
      // Its number is taken, too: the manifest that this opening writes must not meet it.
      switch FileNames.kind(of: String(path.dropLast(FileNames.temporarySuffix.count))) {
      case .manifest(let number), .logSegment(let number), .table(_, let number):
        largestNumber = max(largestNumber, number)
      case .lock, .reserve, .temporary, .unknown: break
      }
    case .manifest(let number): largestNumber = max(largestNumber, number)
    case .logSegment(let number), .table(_, let number):
      largestNumber = max(largestNumber, number)
      tablesAndSegments.append((path, number))
    }
  }
}

/// Puts what the log holds into memtables.
private struct Replay {
  let engine: Engine
  let state: ManifestState

  /// - Returns: the entries that were inserted.
  func run(_ recovery: LogRecovery, _ log: RecoveredLog) throws(StoreError) -> Int {
    var count = 0
    var inserter = EntryInserter()
    var stage = ReplayStage()
    let keyspaces = engine.keyspaces.withLock { $0 }
    engine.log?.replays(from: log.parts.first?.number)
    try recovery.replay(log) { entry, sequence, number throws(StoreError) in
      if inserter.segment != number {
        engine.log?.replays(from: number)
        count += try stage.settle()
        try settle(inserter)
        inserter = EntryInserter()
        inserter.beginGroup(segment: number)
      }
      guard let keyspace = keyspaces[entry.keyspace] else {
        // A keyspace that was dropped; one that was never made is damage.
        if entry.keyspace < state.nextKeyspaceID { return }
        throw .corrupt(
          Damage(
            file: FileNames.logSegment(number), offset: 0,
            finding: "an entry of keyspace \(entry.keyspace), which does not exist"))
      }
      // Where a range ends that has no end is told by the last key before it.
      if stage.isFull || entry.kind == .rangeDeletion { count += try stage.settle() }
      if entry.kind == .rangeDeletion { count += 1 }
      try inserter.replay(entry, sequence, in: keyspace, state, engine, &stage)
    }
    engine.log?.replays(from: nil)
    count += try stage.settle()
    try settle(inserter)
    return count
  }

  /// Accounts for what a segment has brought, and flushes when memory is short.
  private func settle(_ inserter: EntryInserter) throws(StoreError) {
    let full = inserter.endGroup(now: 0, engine.options)
    if !engine.isReadOnly {
      for tree in full { engine.freeze(tree) }
    }
    // No scheduler runs yet: the flushes that were queued are run here.
    while !engine.isReadOnly, engine.budget.memtableByteCount > engine.budget.memtableShare {
      guard case .ran = engine.jobs.runStep(choose: { _ in 0 }) else { break }
    }
  }
}

extension EntryInserter {
  /// Inserts an entry of the log into the trees whose tables do not have it.
  fileprivate mutating func replay(
    _ entry: LogEntry, _ sequence: UInt64, in keyspace: KeyspaceState, _ state: ManifestState,
    _ engine: Engine, _ stage: inout ReplayStage
  ) throws(StoreError) {
    func isFlushed(_ tree: Tree) -> Bool {
      sequence <= state.trees[tree.id]?.flushedSequence ?? 0
    }
    if entry.kind == .rangeDeletion {
      for tree in keyspace.trees
      where !isFlushed(tree) && entry.carriedShard ?? tree.id.shard == tree.id.shard {
        try insertRange(entry, sequence, into: tree, engine)
      }
      return
    }
    let tree = keyspace.tree(engine.shard(of: entry.key, in: keyspace))
    if !isFlushed(tree) { try stage.add(entry, sequence, to: memtable(of: tree, engine)) }
  }
}
