// TableHandle — a live table: its metadata, its reader while open, its file's end.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// A table that some version of a tree refers to.
///
/// The file outlives its last reference by design: a table that a compaction replaced is removed
/// only when no version, scan or snapshot holds its handle any more, which is when `deinit` runs.
final class TableHandle: Sendable {
  let tree: TreeID
  let metadata: TableMetadata
  private let tables: TableCache
  private let slot = ReaderSlot()
  /// The edit that removed the table, or 0 while it is part of the store.
  private let obsoleteSince = Atomic<UInt64>(0)
  private let smallestBuffer: OwnedBuffer
  private let largestBuffer: OwnedBuffer

  init(_ metadata: TableMetadata, tree: TreeID, tables: TableCache) throws(StoreError) {
    let smallest = metadata.summary.smallestKey.withView { OwnedBuffer(copying: $0) }
    let largest = metadata.summary.largestKey.withView { OwnedBuffer(copying: $0) }
    guard let smallest, let largest else { throw .resourceExhausted("memory for a table's keys") }
    self.tree = tree
    self.metadata = metadata
    self.tables = tables
    smallestBuffer = smallest
    largestBuffer = largest
  }

  deinit {
    tables.forget(metadata.fileNumber)
    let edit = obsoleteSince.load(ordering: .acquiring)
    if edit != 0 {
      tables.reportObsolete(
        ObsoleteFile(path: path, fileNumber: metadata.fileNumber, removedBy: edit))
    }
  }

  var path: String { FileNames.table(shard: tree.shard, metadata.fileNumber) }
  var smallestKey: ByteView { smallestBuffer.view }
  var largestKey: ByteView { largestBuffer.view }

  /// Whether `key` lies in the table's range.
  func mayHold(_ key: ByteView) -> Bool {
    if key.compare(smallestKey) < 0 { return false }
    return !ends(before: key)
  }

  /// Whether every key of the table comes before `key`.
  func ends(before key: ByteView) -> Bool {
    let order = largestKey.compare(key)
    return order < 0 || (order == 0 && metadata.summary.largestIsExclusive)
  }

  /// Whether any key in `[from, to)` may lie in the table's range; nil is unbounded.
  func meets(from: [UInt8]?, to: [UInt8]?) -> Bool {
    if let from, from.withView({ ends(before: $0) }) { return false }
    if let to, to.withView({ smallestKey.compare($0) >= 0 }) { return false }
    return true
  }

  /// The open table; opens it when it is not.
  func open() throws(StoreError) -> TableReader {
    slot.noteUse()
    if let open = openReader { return open }
    let opened = try tables.openReader(self)
    let kept = slot.keep(opened)
    if kept === opened { tables.remember(metadata.fileNumber, slot, opened) }
    return kept
  }

  /// The table's reader, if it is open.
  var openReader: TableReader? { slot.current }

  /// Says that the store consists without this table from edit `edit` on.
  func markObsolete(since edit: UInt64) {
    tables.gone.add(metadata.fileNumber, shard: tree.shard)
    obsoleteSince.store(edit, ordering: .releasing)
  }
}

/// A file that no version refers to any more.
struct ObsoleteFile: Sendable {
  var path: String
  var fileNumber: UInt64
  /// Readers of the state before this edit may still need it.
  var removedBy: UInt64
}

/// The place of a table's reader, which the table and the cache share.
///
/// The cache cannot hold the handle itself, whose end it must not put off; and a weak reference to
/// it would send every count of its references down the runtime's slow path.
private final class ReaderSlot: Sendable {
  private let reader = Mutex<TableReader?>(nil)
  private let wasUsed = Atomic<Bool>(false)

  var current: TableReader? { reader.withLock { $0 } }

  /// Keeps the first reader that comes, and returns the one kept.
  func keep(_ opened: TableReader) -> TableReader {
    reader.withLock { current in
      if let current { return current }
      current = opened
      return opened
    }
  }

  /// Closes the table until it is next needed; those who use it now keep it open.
  ///
  /// - Returns: the reader, so that it dies outside of the caller's locks.
  func close() -> TableReader? {
    reader.withLock { current in
      defer { current = nil }
      return current
    }
  }

  func noteUse() {
    if !wasUsed.load(ordering: .relaxed) { wasUsed.store(true, ordering: .relaxed) }
  }

  /// Whether the table was used since the last call.
  func takeUse() -> Bool { wasUsed.exchange(false, ordering: .relaxed) }
}

/// Keeps the number of open tables and the memory of their indexes and filters bounded.
final class TableCache: Sendable {
  private struct Entry {
    var slot: ReaderSlot
    var metadataByteCount: Int
  }

  private struct State {
    var entries: [UInt64: Entry] = [:]
    /// The file numbers in `entries`, and those that left it since the last sweep.
    var ring: [UInt64] = []
    var hand = 0
    var metadataByteCount = 0
  }

  let fileSystem: any FileSystem
  let store: StoreID
  let budget: MemoryBudget
  let gone = GoneTables()
  private let maximumOpenCount: Int
  private let rarePaths: RarePaths
  private let state = Mutex(State())
  private let onObsolete: @Sendable (ObsoleteFile) -> Void

  init(
    fileSystem: any FileSystem, store: StoreID, budget: MemoryBudget, maximumOpenCount: Int,
    rarePaths: RarePaths, onObsolete: @escaping @Sendable (ObsoleteFile) -> Void
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.budget = budget
    self.maximumOpenCount = maximumOpenCount
    self.rarePaths = rarePaths
    self.onObsolete = onObsolete
  }

  func reportObsolete(_ file: ObsoleteFile) {
    budget.cache.remove(fileNumber: file.fileNumber)
    onObsolete(file)
  }

  fileprivate func openReader(_ handle: TableHandle) throws(StoreError) -> TableReader {
    let file: any File
    do throws(SystemError) {
      file = try fileSystem.open(handle.path, .read)
    } catch {
      if error.isAbsent {
        throw .corrupt(Damage(file: handle.path, offset: 0, finding: "the table is missing"))
      }
      guard error.cause == .handlesOrMemory else { throw StoreError(error) }
      // Out of handles: give some back and try once more.
      evict(keeping: maximumOpenCount / 2)
      file = try fileSystem.openFile(handle.path, .read)
    }
    let metadata = handle.metadata
    return try TableReader(
      file: file,
      identity: TableIdentity(
        store: store, fileNumber: metadata.fileNumber, keyspace: handle.tree.keyspace,
        shard: handle.tree.shard),
      expecting: TableExpectation(
        byteCount: metadata.summary.byteCount, footerChecksum: metadata.summary.footerChecksum),
      cache: budget.cache)
  }

  fileprivate func remember(_ number: UInt64, _ slot: ReaderSlot, _ reader: TableReader) {
    let byteCount = reader.metadataByteCount
    state.withLock { state in
      state.entries[number] = Entry(slot: slot, metadataByteCount: byteCount)
      state.ring.append(number)
      state.metadataByteCount += byteCount
    }
    budget.chargeTables(byteCount)
    evict(keeping: rarePaths.takes(.closeTables) ? 0 : maximumOpenCount)
  }

  fileprivate func forget(_ number: UInt64) {
    let byteCount = state.withLock { state -> Int in
      guard let entry = state.entries.removeValue(forKey: number) else { return 0 }
      state.metadataByteCount -= entry.metadataByteCount
      return entry.metadataByteCount
    }
    if byteCount != 0 { budget.chargeTables(-byteCount) }
  }

  /// Closes tables that were not used lately (a clock: one turn spares what was used since the
  /// last) until at most `count` are open and their memory is within its share.
  private func evict(keeping count: Int) {
    var closed: [TableReader?] = []
    var released = 0
    state.withLock { state in
      var turns = 2 * state.ring.count
      while turns > 0, !state.ring.isEmpty,
        state.entries.count > count || state.metadataByteCount > budget.tableShare
      {
        turns -= 1
        if state.hand >= state.ring.count { state.hand = 0 }
        let number = state.ring[state.hand]
        guard let entry = state.entries[number] else {
          state.ring.remove(at: state.hand)
          continue
        }
        if entry.slot.takeUse() && turns > 0 {
          state.hand += 1
          continue
        }
        state.ring.remove(at: state.hand)
        state.entries[number] = nil
        state.metadataByteCount -= entry.metadataByteCount
        released += entry.metadataByteCount
        closed.append(entry.slot.close())
      }
    }
    if released != 0 { budget.chargeTables(-released) }
    // Files are closed here, outside the lock.
    closed.removeAll()
  }
}
