// Engine — one log, one manifest, many trees.
//
// Room:    Engine/Shard. The facade that the module above calls, once an operation.

import Synchronization
import TurbiditeSystem

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
  package let isReadOnly: Bool
  let slots: [UInt16]
  package let shardCount: Int

  let budget: MemoryBudget
  let tables: TableCache
  let arenas = ArenaPool()
  let pins = SnapshotPins()
  let commits = CommitQueue()
  let jobs: JobQueue
  let obsolete: ObsoleteFiles
  /// Nil when the store is read-only.
  let log: LogWriter?
  let manifest: ManifestOwner
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
  let health = Mutex(Health())
  /// Set once the store is closed or refuses writes, so that the way of an operation through a
  /// healthy store takes no lock.
  private let isImpaired = Atomic<Bool>(false)
  private let visible: Atomic<UInt64>
  /// The last sequence number given out; written by the leader.
  let lastSequence: Atomic<UInt64>

  struct Health {
    var isClosed = false
    var poison: String?
    /// The last failure of a flush or compaction that was not followed by a success.
    var backgroundError: StoreError?
    /// The last failure to remove a file that is no longer needed: it costs space, and is tried
    /// again.
    var removalError: StoreError?
  }

  init(
    environment: EngineEnvironment, options: EngineOptions, parts: EngineParts
  ) {
    self.environment = environment
    self.options = options
    store = parts.store
    isReadOnly = parts.log == nil
    slots = parts.layout.shards
    shardCount = Int(parts.layout.shardCount)
    budget = parts.budget
    tables = parts.tables
    jobs = parts.jobs
    obsolete = parts.obsolete
    log = parts.log
    manifest = parts.manifest
    lockFile = parts.lockFile
    recoveryReport = parts.recovery
    recoveredLog = parts.recoveredLog
    keyspaces = Mutex(parts.keyspaces)
    visible = Atomic(parts.lastSequence)
    lastSequence = Atomic(parts.lastSequence)
  }

  /// The largest sequence number that readers see.
  package var visibleSequence: UInt64 { visible.load(ordering: .acquiring) }

  func publish(_ sequence: UInt64) { visible.store(sequence, ordering: .releasing) }

  /// The shard of a key, by the hash of its partition part.
  @inline(__always)
  func shard(of hash: UInt64) -> Int { Int(slots[Int(hash >> 52)]) }

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
    guard isImpaired.load(ordering: .acquiring) else { return }
    if health.withLock({ $0.isClosed }), !planted(.readClosedStore) { throw .closed }
  }

  /// Throws when the engine cannot be written.
  func requireWritable() throws(StoreError) {
    if isReadOnly && !isImpaired.load(ordering: .acquiring) { throw .readOnly }
    guard isImpaired.load(ordering: .acquiring) else { return }
    let (isClosed, poison) = health.withLock { ($0.isClosed, $0.poison) }
    if isClosed { throw .closed }
    if isReadOnly { throw .readOnly }
    if let poison, !planted(.writeToPoisonedStore) { throw .poisoned(poison) }
  }

  /// Refuses writes from now on: what is on disk is not certain any more.
  func poison(_ cause: StoreError) {
    health.withLock { health in
      if health.poison == nil { health.poison = cause.description }
    }
    isImpaired.store(true, ordering: .releasing)
    environment.scheduler.progressWasMade()
  }

  /// Closes the engine to all operations.
  ///
  /// - Returns: whether it was open.
  func markClosed() -> Bool {
    defer { isImpaired.store(true, ordering: .releasing) }
    return health.withLock { health in
      defer { health.isClosed = true }
      return !health.isClosed
    }
  }

  var isPoisoned: Bool { health.withLock { $0.poison != nil } }

  func reportBackground(_ error: StoreError?) {
    health.withLock { $0.backgroundError = error }
    environment.scheduler.progressWasMade()
  }

  func reportRemoval(_ error: StoreError?) { health.withLock { $0.removalError = error } }

  // MARK: - Keyspaces

  /// The keyspace with this name, if it exists.
  package func keyspace(named name: String) -> KeyspaceState? {
    keyspaces.withLock { $0.values.first { $0.name == name } }
  }

  /// The names of all keyspaces, sorted; the default one is the empty name.
  package var keyspaceNames: [String] {
    keyspaces.withLock { $0.values.map(\.name) }.sorted()
  }

  /// All trees, in an order that depends on the store alone.
  var allTrees: [Tree] {
    keyspaces.withLock { $0.values.sorted { $0.id < $1.id } }.flatMap(\.trees)
  }
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
  var layout: SlotLayout
  var budget: MemoryBudget
  var tables: TableCache
  var jobs: JobQueue
  var obsolete: ObsoleteFiles
  var log: LogWriter?
  var manifest: ManifestOwner
  var lockFile: (any File)?
  var recovery: RecoveryReport
  var recoveredLog: (byteCount: UInt64, segmentCount: Int)
  var keyspaces: [UInt32: KeyspaceState]
  var lastSequence: UInt64
}
