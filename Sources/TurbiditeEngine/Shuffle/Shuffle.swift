// Shuffle — from what workers emit to groups in the order of their keys.
//
// Room:    Engine/Shuffle.
// Source:  Dean and Ghemawat, MapReduce, OSDI 2004, section 3; combining by hash before sorting
//          after Graefe, Query Evaluation Techniques, ACM Computing Surveys 25(2), 1993, section 4.
// Limits:  Memory is what the caller says, and one record and one value more for each worker.

import Synchronization
package import TurbiditeSystem

/// A file that a run is written to.
package struct RunFile: Sendable {
  let file: any File
  /// No other open file of the store's has it.
  let number: UInt64

  package init(file: any File, number: UInt64) {
    self.file = file
    self.number = number
  }
}

/// Where runs go that memory has no room for.
package struct RunDisk: Sendable {
  let store: StoreID
  /// Makes a file that goes with the last who holds it.
  let makeFile: @Sendable () throws(StoreError) -> RunFile

  package init(
    store: StoreID, makeFile: @escaping @Sendable () throws(StoreError) -> RunFile
  ) {
    self.store = store
    self.makeFile = makeFile
  }
}

/// What a shuffle may take.
package struct ShuffleLimits: Sendable {
  /// The hash of a key chooses one; each is reduced on its own.
  let partitionCount: Int
  /// The size at which a sink's table goes to disk: of the memory, three quarters are tables.
  var tableByteCount: Int
  /// How many runs on disk are merged at once.
  var fanIn: Int
  /// Bytes that are read ahead of each run while it is merged.
  let windowByteCount: Int

  /// A smaller table makes a run too small to be worth a file.
  private static let smallestTableByteCount = 256 << 10

  /// - Parameter sinkCount: sinks in use at once.
  /// - Parameter memoryByteCount: bytes for all tables, and for what is read at once in the end.
  package init(partitionCount: Int, sinkCount: Int, memoryByteCount: Int) {
    precondition(partitionCount > 0)
    precondition(sinkCount > 0)
    self.partitionCount = partitionCount
    tableByteCount = max(
      ShuffleLimits.smallestTableByteCount, memoryByteCount / 4 * 3 / sinkCount)
    fanIn = max(4, min(64, memoryByteCount / (256 << 10) / partitionCount))
    windowByteCount = max(
      16 << 10, min(256 << 10, memoryByteCount / (4 * fanIn * partitionCount)))
  }
}

/// Takes what workers emit, and gives it back in groups.
///
/// Workers fill ``GroupSink``s; when all have finished, each partition is read by a
/// ``GroupReader``. What the groups are, and the order of values in a group, does not depend on how
/// many sinks, splits, partitions or bytes of memory there were.
package final class Shuffle: Sendable {
  let fold: GroupFold
  let limits: ShuffleLimits
  private let disk: RunDisk
  /// Memory of tables that are gone is used for the next.
  let pool = ChunkPool(keptByteCount: 32 << 20)
  private let cache = BlockCache(capacityByteCount: 0)

  private struct State {
    var memory: [GroupRun] = []
    /// Runs on disk, by how often they were merged.
    var disk: [[TableReader]] = []
    var spilledByteCount: UInt64 = 0
  }

  private let state = Mutex(State())

  package init(_ fold: GroupFold, limits: ShuffleLimits, disk: RunDisk) {
    self.fold = fold
    self.limits = limits
    self.disk = disk
  }

  /// Where one worker's values go; one thread at a time uses it.
  package func makeSink() throws(StoreError) -> GroupSink { try GroupSink(self) }

  /// Bytes that were written to disk.
  package var spilledByteCount: UInt64 { state.withLock { $0.spilledByteCount } }

  /// The groups of a partition in the order of their keys.
  ///
  /// All sinks have finished. Readers of several partitions may be used at once.
  package func reader(partition: Int) throws(StoreError) -> GroupReader {
    let (memory, disk) = state.withLock { ($0.memory, Array($0.disk.joined())) }
    return try GroupReader(
      fold, partition: partition, sources: memory.map { $0.makeCursor() } + cursors(disk),
      pool: pool)
  }

  private func cursors(_ runs: [TableReader]) -> [EntryCursor] {
    runs.map { TableCursor($0, access: .sweep, largestWindow: limits.windowByteCount) }
  }

  func add(_ run: GroupRun) { state.withLock { $0.memory.append(run) } }

  /// Writes a run to disk, and merges runs when there are many.
  func spill(_ run: GroupRun) throws(StoreError) {
    let cursor = run.makeCursor()
    try cursor.seekToFirst()
    var writer = try RunWriter(disk)
    while cursor.isValid {
      try writer.add(cursor.key, cursor.tag, cursor.value)
      try cursor.next()
    }
    try add(writer.finish(cache), level: 0)
  }

  private func add(_ run: TableReader, level: Int) throws(StoreError) {
    let due = state.withLock { state -> [TableReader] in
      state.spilledByteCount += run.expectation.byteCount
      while state.disk.count <= level { state.disk.append([]) }
      state.disk[level].append(run)
      guard state.disk[level].count >= limits.fanIn else { return [] }
      defer { state.disk[level] = [] }
      return state.disk[level]
    }
    guard !due.isEmpty else { return }
    try add(merge(due), level: level + 1)
  }

  /// One run out of several.
  ///
  /// States whose order makes no difference become one; the others stay what they are, as others
  /// may belong between them.
  private func merge(_ runs: [TableReader]) throws(StoreError) -> TableReader {
    let cursor = try MergingCursor(cursors(runs))
    try cursor.seekToFirst()
    var writer = try RunWriter(disk)
    guard fold.isOrderFree else {
      while cursor.isValid {
        try writer.add(cursor.key, cursor.tag, cursor.value)
        try cursor.next()
      }
      return try writer.finish(cache)
    }
    let state = try MergedState(fold, pool: pool)
    var key = KeyBuffer()
    while cursor.isValid {
      let tag = cursor.tag
      try key.set(cursor.key)
      state.clear()
      while cursor.isValid, cursor.key.isEqual(to: key.view) {
        try state.merge(cursor.value)
        try cursor.next()
      }
      try writer.add(key.view, tag, state.view)
    }
    return try writer.finish(cache)
  }
}

/// Writes a run as a table of the store's own format.
struct RunWriter: ~Copyable {
  private let disk: RunDisk
  private let target: RunFile
  private let identity: TableIdentity
  private let writer: TableWriter

  init(_ disk: RunDisk) throws(StoreError) {
    self.disk = disk
    target = try disk.makeFile()
    identity = TableIdentity(
      store: disk.store, fileNumber: target.number, keyspace: 0, shard: 0)
    var options = TableOptions()
    options.blockByteCount = 16 << 10
    options.filterBitsPerKey = 0
    writer = TableWriter(file: target.file, identity: identity, options: options)
  }

  mutating func add(_ key: ByteView, _ tag: Tag, _ value: ByteView) throws(StoreError) {
    try writer.add(key, tag, value)
  }

  consuming func finish(_ cache: BlockCache) throws(StoreError) -> TableReader {
    let summary = try writer.finish(syncs: false)
    return try TableReader(
      file: target.file, identity: identity,
      expecting: TableExpectation(
        byteCount: summary.byteCount, footerChecksum: summary.footerChecksum),
      cache: cache)
  }
}

/// A copy of a key, in memory that is used again.
struct KeyBuffer {
  private var buffer: OwnedBuffer?
  private(set) var view = ByteView.empty

  mutating func set(_ key: ByteView) throws(StoreError) {
    if buffer == nil || buffer.map({ $0.count < key.count }) == true {
      let count = max(64, key.count * 2)
      guard let larger = OwnedBuffer(count: count) else {
        throw .resourceExhausted("\(count) bytes of memory for a key")
      }
      buffer = larger
    }
    view = buffer?.overwrite(with: key) ?? .empty
  }
}
