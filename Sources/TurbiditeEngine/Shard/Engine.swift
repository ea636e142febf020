// Engine — one log, one manifest, many trees.
//
// Room:    Engine/Shard. The facade that the module above calls, once an operation.

import Synchronization
package import TurbiditeSystem

/// An open store.
///
/// Who owns what:
/// - the leader of the commit queue: the log's end, the active memtables, the sequence counter;
/// - the holder of the manifest gate: the manifest and its state;
/// - each tree's lock: its current version;
/// - the background queue: which jobs exist.
/// Readers own nothing: they take a version and a sequence number.
package final class Engine: Sendable {
  let environment: EngineEnvironment
  let options: EngineOptions
  package let store: StoreID
  package var clock: any TimeSource { environment.clock }
  package let isReadOnly: Bool
  /// Where keys are.
  let routing: Published<Routing>
  let resharding = Mutex(ReshardingState())

  let budget: MemoryBudget
  let tables: TableCache
  let pins = SnapshotPins()
  let commits = CommitQueue()
  /// Leads commits whose callers must not block: a thread of its own, as those of the environment
  /// may all be waiting for the lead.
  let leader = IOThreads(count: 1)
  /// The leader's; made anew when a keyspace is dropped.
  let inserter = LeaderOwned(EntryInserter())
  /// The leader's.
  let writerPace = LeaderOwned(WriterPace())
  /// The leader's.
  let streamOffsets = LeaderOwned(StreamOffsets())
  let producerNumbers = LeaderOwned(ProducerNumbers())
  let jobs: JobQueue
  /// A `LogSyncJob` waits for its turn, and will sync whatever is written until then.
  let isLogSyncQueued = Atomic<Bool>(false)
  let obsolete: ObsoleteFiles
  /// Nil when the store is read-only.
  let log: LogWriter?
  let manifest: ManifestOwner
  let reserve: Reserve
  /// Callers who are making room: meanwhile the reserve is not taken back.
  let reserveUserCount = Atomic<Int>(0)
  /// Held while the engine is open for writing: the file whose lock excludes other writers.
  let lockFile: (any File)?
  /// What recovery found; its counts of entries and orphans stand beside it.
  let recoveryReport: RecoveryReport
  let recoveredEntryCount = Atomic<Int>(0)
  let orphanCount = Atomic<Int>(0)

  let keyspaces: Mutex<[UInt32: KeyspaceState]>
  /// The trees with a memtable: all that a flush, a log floor or a budget must look at.
  let dirtyTrees = Mutex<[TreeID: Tree]>([:])
  let pressure = PressureGauge()
  let gathering = SyncGathering()
  /// How often a memtable became a table: scans that hold memtables look for others then.
  let flushCount = Atomic<UInt64>(0)
  let health = Mutex(EngineHealth())
  /// Set while writes are refused for want of space, so that a commit that succeeds need not ask.
  let isPaused = Atomic<Bool>(false)
  /// What other processes are told, by a byte of LOCK.
  let announced = Mutex<StatusByte?>(nil)
  /// Set once the store is closed or refuses writes, so that the way of an operation through a
  /// healthy store takes no lock.
  private let isImpaired = Atomic<Bool>(false)
  /// The store is closed, and its lock given back.
  let isGivenBack = Atomic<Bool>(false)
  /// That of the process that opened the store.
  private let forkCount = ForkCount.current
  private let visible: Atomic<UInt64>
  /// The last sequence number given out; written by the leader.
  let lastSequence: Atomic<UInt64>

  init(
    environment: EngineEnvironment, options: EngineOptions, parts: EngineParts
  ) {
    self.environment = environment
    self.options = options
    store = parts.store
    isReadOnly = parts.log == nil
    routing = Published(parts.routing)
    budget = parts.budget
    tables = parts.tables
    jobs = parts.jobs
    obsolete = parts.obsolete
    log = parts.log
    manifest = parts.manifest
    lockFile = parts.lockFile
    reserve = parts.reserve
    recoveryReport = parts.recovery
    recoveredLog = parts.recoveredLog
    keyspaces = Mutex(parts.keyspaces)
    visible = Atomic(parts.lastSequence)
    lastSequence = Atomic(parts.lastSequence)
  }

  /// The largest sequence number that readers see.
  package var visibleSequence: UInt64 { visible.load(ordering: .acquiring) }

  func publish(_ sequence: UInt64) { visible.store(sequence, ordering: .releasing) }

  /// The shard of a key.
  ///
  /// - Parameter hash: `key.hash()`, where it is known.
  @inline(__always)
  func shard(of key: ByteView, hash: UInt64? = nil, in keyspace: KeyspaceState) -> Int {
    routing.read { routing in
      if routing.treeCount == 1 { return 0 }
      let hash = keyspace.partitioning.shardHash(of: key, hash: hash ?? key.hash())
      return Int(routing.slots[Int(hash >> 52)])
    }
  }

  /// The shard of a key, and the one that it moves to, if it does.
  @inline(__always)
  func places(of key: ByteView, in keyspace: KeyspaceState) -> (shard: Int, target: Int?) {
    routing.read { routing in
      if routing.treeCount == 1 { return (0, nil) }
      let hash = keyspace.partitioning.shardHash(of: key, hash: key.hash())
      return (Int(routing.slots[Int(hash >> 52)]), routing.move?.target(ofHash: hash))
    }
  }

  /// The shards that hold keys.
  package var shardCount: Int { routing.value.shardCount }

  /// What opening found in the log; a read-only engine has nothing else to say of it.
  let recoveredLog: (byteCount: UInt64, segmentCount: Int)

  /// What opening found.
  package var recovery: RecoveryReport {
    var report = recoveryReport
    report.entryCount = recoveredEntryCount.load(ordering: .relaxed)
    report.orphanCount = orphanCount.load(ordering: .relaxed)
    return report
  }

  // MARK: - Health

  /// Throws when the engine cannot be read.
  func requireOpen() throws(StoreError) {
    if isForked { throw .forked }
    guard isImpaired.load(ordering: .acquiring) else { return }
    if health.withLock({ $0.isClosed }), !planted(.readClosedStore) { throw .closed }
  }

  /// Throws when the engine cannot be written.
  func requireWritable() throws(StoreError) {
    if isForked { throw .forked }
    if isReadOnly && !isImpaired.load(ordering: .acquiring) { throw .readOnly }
    guard isImpaired.load(ordering: .acquiring) else { return }
    let (isClosed, poison) = health.withLock { ($0.isClosed, $0.poison) }
    if isClosed { throw .closed }
    if isReadOnly { throw .readOnly }
    if let poison, !planted(.writeToPoisonedStore) { throw .poisoned(poison.cause.description) }
  }

  /// Refuses writes from now on: what is on disk is not certain any more.
  func poison(_ cause: StoreError) {
    let now = environment.clock.wallSeconds()
    health.withLock { health in
      if health.poison == nil { health.poison = Incident(cause: cause, since: now) }
    }
    isImpaired.store(true, ordering: .releasing)
    announce()
    environment.scheduler.progressWasMade()
  }

  /// Whether this is a child of the process that opened the store.
  ///
  /// It has the memory but not the threads, whose locks may be held for ever, and the lock on the
  /// store is its parent's.
  var isForked: Bool { ForkCount.current != forkCount }

  /// Throws, and refuses writes from now on, when the store's directory or its LOCK is not where
  /// it was: what is written now would not be found by the next opening, and another process may
  /// have opened what stands there now.
  ///
  /// Costs three calls of the system, about a hundredth of a sync.
  func requireInPlace() throws(StoreError) {
    guard let lockFile else { return }
    do throws(SystemError) {
      if try environment.fileSystem.isInPlace(lockFile) { return }
    } catch {
      throw StoreError(error)
    }
    let cause = StoreError.noStore(
      path: "the path it was opened at",
      reason: "the directory was moved, removed or replaced meanwhile")
    poison(cause)
    throw .poisoned(cause.description)
  }

  /// Closes the engine to all operations.
  ///
  /// - Returns: whether it was open.
  func markClosed() -> Bool {
    let wasOpen = health.withLock { health in
      defer { health.isClosed = true }
      return !health.isClosed
    }
    isImpaired.store(true, ordering: .releasing)
    for keyspace in keyspaces.withLock({ Array($0.values) }) where keyspace.partitionCount != nil {
      keyspace.watch.wakeAll()
    }
    return wasOpen
  }

  var isPoisoned: Bool { health.withLock { $0.poison != nil } }

  // MARK: - Keyspaces

  /// The keyspace with this name, if it exists.
  package func keyspace(named name: String) -> KeyspaceState? {
    keyspaces.withLock { $0.values.first { $0.name == name } }
  }

  /// The names of all keyspaces but streams, sorted; the default one is the empty name.
  package var keyspaceNames: [String] { names { $0.partitionCount == nil } }

  /// The names of all streams, sorted.
  package var streamNames: [String] { names { $0.partitionCount != nil } }

  private func names(_ isWanted: (KeyspaceState) -> Bool) -> [String] {
    keyspaces.withLock { $0.values.filter(isWanted).map(\.name) }.sorted()
  }

  /// All trees, in an order that depends on the store alone.
  var allTrees: [Tree] {
    keyspaces.withLock { $0.values.sorted { $0.id < $1.id } }.flatMap(\.trees)
  }

  /// The trees that hold something: a store may have tens of thousands of others, a thousand
  /// keyspaces in 64 shards.
  var occupiedTrees: [Tree] { allTrees.filter { !$0.version.isEmpty } }
}

/// What recovery found, for those who ask.
package struct RecoveryReport: Sendable, Hashable {
  /// Frames of the log that were replayed.
  package var frameCount = 0
  /// Entries that were put into memtables.
  package var entryCount = 0
  /// Bytes at the log's end that had been written in part, and were cut.
  package var tornByteCount: UInt64 = 0
  /// Bytes of a last manifest record that had been written in part.
  package var tornManifestByteCount = 0
  /// Files that nothing referred to, and that were removed.
  package var orphanCount = 0
}

/// What an engine is put together from.
struct EngineParts {
  var store: StoreID
  var routing: Routing
  var budget: MemoryBudget
  var tables: TableCache
  var jobs: JobQueue
  var obsolete: ObsoleteFiles
  var log: LogWriter?
  var manifest: ManifestOwner
  var lockFile: (any File)?
  var reserve: Reserve
  var recovery: RecoveryReport
  var recoveredLog: (byteCount: UInt64, segmentCount: Int)
  var keyspaces: [UInt32: KeyspaceState]
  var lastSequence: UInt64
}
