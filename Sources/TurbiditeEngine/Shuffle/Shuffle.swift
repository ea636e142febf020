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
  /// Makes a file, which for a shuffle goes with the last who holds it.
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
  /// The size at which a sink's table goes to disk: of the memory, half are tables being filled.
  var tableByteCount: Int
  /// Bytes of tables that are full and stay in memory: where a sink goes on somewhere else in the
  /// input it begins another table, and all have a last one.
  let sealedByteCount: Int
  private let memoryByteCount: Int
  private let readerCount: Int
  /// How many runs on disk are merged at once.
  var fanIn: Int
  /// Bytes that are read ahead of each run while it is merged.
  let windowByteCount: Int

  /// A smaller table makes a run too small to be worth a file.
  private static let smallestTableByteCount = 256 << 10
  /// A larger one could hold more chunks of one key than their order can tell.
  private static let largestTableByteCount = 32 << 30

  /// How many runs may be merged at once when they have blocks of up to so many bytes.
  func fanIn(largestBlockByteCount: Int) -> Int {
    max(2, min(fanIn, memoryByteCount / 2 / readerCount / max(1, largestBlockByteCount)))
  }

  /// - Parameter sinkCount: sinks in use at once.
  /// - Parameter memoryByteCount: bytes for all tables, and for what is read at once in the end.
  /// - Parameter readerCount: readers in use at once, if not one for each partition.
  package init(
    partitionCount: Int, sinkCount: Int, memoryByteCount: Int, readerCount: Int? = nil
  ) {
    let readerCount = readerCount ?? partitionCount
    self.readerCount = readerCount
    precondition(partitionCount > 0)
    precondition(sinkCount > 0)
    self.partitionCount = partitionCount
    self.memoryByteCount = memoryByteCount
    tableByteCount = min(
      ShuffleLimits.largestTableByteCount,
      max(ShuffleLimits.smallestTableByteCount, memoryByteCount / 2 / sinkCount))
    // By the end, what was being filled is sealed.
    sealedByteCount = memoryByteCount / 4 * 3
    fanIn = max(4, min(64, memoryByteCount / (256 << 10) / readerCount))
    windowByteCount = max(
      16 << 10, min(256 << 10, memoryByteCount / (4 * fanIn * readerCount)))
  }
}

/// Takes what workers emit, and gives it back in groups.
///
/// Workers fill ``GroupSink``s; when all have finished, each partition is read by a
/// ``GroupReader``. What the groups are, and the order of values in a group, does not depend on how
/// many sinks, splits, partitions or bytes of memory there were.
package final class Shuffle: RunTaker {
  let fold: GroupFold
  let limits: ShuffleLimits
  private let disk: RunDisk
  let isStopped: @Sendable () -> Bool
  /// Memory of tables that are gone is used for the next.
  let pool = ChunkPool(keptByteCount: 32 << 20)
  private let cache = BlockCache(capacityByteCount: 0)

  private struct State {
    var memory: [GroupRun] = []
    var memoryByteCount = 0
    /// Of the runs on disk.
    var largestBlockByteCount = 0
    /// Runs on disk, by how often they were merged.
    var disk: [[TableReader]] = []
    var spilledByteCount: UInt64 = 0
  }

  private let state = Mutex(State())

  /// - Parameter isStopped: asked now and then; when it is true, whatever is being done ends with
  ///   `cancelled`.
  package init(
    _ fold: GroupFold, limits: ShuffleLimits, disk: RunDisk,
    isStopped: @escaping @Sendable () -> Bool = { false }
  ) {
    self.fold = fold
    self.isStopped = isStopped
    self.limits = limits
    self.disk = disk
  }

  /// Where one worker's values go; one thread at a time uses it.
  package func makeSink() throws(StoreError) -> GroupSink { try GroupSink(self) }

  var partitionCount: Int { limits.partitionCount }
  var tableByteCount: Int { limits.tableByteCount }

  /// A table that is not full stays in memory while there is room.
  func take(_ run: GroupRun, isLast: Bool) throws(StoreError) {
    let byteCount = run.table.memoryByteCount
    let isKept =
      isLast
      && state.withLock { state in
        guard state.memoryByteCount + byteCount <= limits.sealedByteCount else { return false }
        state.memory.append(run)
        state.memoryByteCount += byteCount
        return true
      }
    if !isKept { try spill(run) }
  }

  /// Merges runs on disk until the rest can be merged at once, in every partition.
  ///
  /// All sinks have finished. By one thread.
  package func settle() throws(StoreError) {
    while true {
      let (runs, fanIn) = state.withLock { state -> ([TableReader], Int) in
        let fanIn = limits.fanIn(largestBlockByteCount: state.largestBlockByteCount)
        let all = state.disk.joined().sorted {
          $0.expectation.byteCount < $1.expectation.byteCount
        }
        guard all.count > fanIn else { return ([], fanIn) }
        // No more than need be, and the smallest.
        let chosen = Array(all.prefix(min(fanIn, all.count - fanIn + 1)))
        state.disk = [Array(all.dropFirst(chosen.count))]
        return (chosen, fanIn)
      }
      guard !runs.isEmpty else { return }
      assert(runs.count <= fanIn)
      let merged = try merge(runs)
      state.withLock { $0.disk[0].append(merged) }
    }
  }

  /// Adds a run that a task has written.
  package func add(_ run: TaskRun, in file: RunFile) throws(StoreError) {
    try add(run.open(file, store: disk.store, cache), level: 0)
  }

  /// Bytes that were written to disk.
  package var spilledByteCount: UInt64 { state.withLock { $0.spilledByteCount } }

  /// The groups of a partition in the order of their keys.
  ///
  /// All sinks have finished. Readers of several partitions may be used at once.
  package func reader(partition: Int) throws(StoreError) -> GroupReader {
    try reader(.partition(partition))
  }

  /// Cuts the groups, in the order of their keys, into parts of about as many bytes.
  ///
  /// All sinks have finished, and there is one partition.
  package func parts(byteCount: Int, atLeast least: Int) -> ShuffleParts {
    precondition(partitionCount == 1, "the order of keys is that of one partition")
    let (memory, disk) = state.withLock { ($0.memory, Array($0.disk.joined())) }
    let total =
      memory.reduce(0) { $0 + $1.table.memoryByteCount }
      + disk.reduce(0) { $0 + Int($1.properties.rawByteCount) }
    let count = max(least, min(4096, total / byteCount))
    // The largest run stands for all.
    let largest = memory.max { $0.items.count < $1.items.count }
    let deepest = disk.max { $0.index.count < $1.index.count }
    var keys: [[UInt8]] = []
    if let deepest, deepest.index.count >= count {
      keys = (1..<count).map { deepest.index.separatorKey(deepest.index.count * $0 / count - 1) }
    } else if let largest, largest.items.count >= count {
      keys = (1..<count).map {
        largest.table.key(at: largest.items[largest.items.count * $0 / count].address).bytes()
      }
    }
    // Separators may be shorter than a partition's number, and say nothing then.
    return ShuffleParts(shuffle: self, cuts: keys.filter { $0.count >= 2 })
  }

  func reader(_ range: GroupRange) throws(StoreError) -> GroupReader {
    let (memory, disk) = state.withLock { ($0.memory, Array($0.disk.joined())) }
    return try GroupReader(
      fold, range, sources: memory.map { $0.makeCursor() } + cursors(disk),
      pool: pool, isStopped: isStopped)
  }

  private func cursors(_ runs: [TableReader]) -> [EntryCursor] {
    runs.map { TableCursor($0, access: .sweep, largestWindow: limits.windowByteCount) }
  }

  /// Writes a run to disk, and merges runs when there are many.
  private func spill(_ run: GroupRun) throws(StoreError) {
    let cursor = run.makeCursor()
    try cursor.seekToFirst()
    var writer = try RunWriter(disk)
    var ticks = 0
    while cursor.isValid {
      try writer.add(cursor.key, cursor.tag, cursor.value)
      try cursor.next()
      try stopIfAsked(&ticks)
    }
    try add(writer.finish(cache), level: 0)
  }

  private func add(_ run: TableReader, level: Int) throws(StoreError) {
    let due = state.withLock { state -> [TableReader] in
      state.spilledByteCount += run.expectation.byteCount
      state.largestBlockByteCount = max(
        state.largestBlockByteCount, Int(run.properties.largestBlockByteCount))
      while state.disk.count <= level { state.disk.append([]) }
      state.disk[level].append(run)
      guard
        state.disk[level].count
          >= limits.fanIn(largestBlockByteCount: state.largestBlockByteCount)
      else { return [] }
      defer { state.disk[level] = [] }
      return state.disk[level]
    }
    guard !due.isEmpty else { return }
    try add(merge(due), level: level + 1)
  }

  private func stopIfAsked(_ ticks: inout Int) throws(StoreError) {
    ticks &+= 1
    if ticks & 0x3ff == 0, isStopped() { throw .cancelled }
  }

  /// One run out of several.
  ///
  /// States whose order makes no difference become one; the others stay what they are, as others
  /// may belong between them.
  private func merge(_ runs: [TableReader]) throws(StoreError) -> TableReader {
    let cursor = try MergingCursor(cursors(runs))
    try cursor.seekToFirst()
    var writer = try RunWriter(disk)
    var ticks = 0
    guard fold.isOrderFree else {
      while cursor.isValid {
        try writer.add(cursor.key, cursor.tag, cursor.value)
        try cursor.next()
        try stopIfAsked(&ticks)
      }
      return try writer.finish(cache)
    }
    let state = try MergedState(fold, pool: pool)
    var key = ScratchBytes()
    while cursor.isValid {
      let tag = cursor.tag
      try key.replace(with: cursor.key)
      state.clear()
      while cursor.isValid, cursor.key.isEqual(to: key.view) {
        try state.merge(cursor.value)
        try cursor.next()
        try stopIfAsked(&ticks)
      }
      try writer.add(key.view, tag, state.view)
    }
    return try writer.finish(cache)
  }
}

/// The groups in parts that follow each other.
package struct ShuffleParts: Sendable {
  private let shuffle: Shuffle
  private let cuts: [[UInt8]]

  init(shuffle: Shuffle, cuts: [[UInt8]]) {
    self.shuffle = shuffle
    self.cuts = cuts
  }

  package var count: Int { cuts.count + 1 }

  /// The groups of a part; readers of several may be used at once.
  package func reader(_ part: Int) throws(StoreError) -> GroupReader {
    try shuffle.reader(
      GroupRange(
        from: part == 0 ? [] : cuts[part - 1], to: part == cuts.count ? nil : cuts[part]))
  }
}

/// Writes a run as a table of the store's own format.
struct RunWriter: ~Copyable {
  private let disk: RunDisk
  private let target: RunFile
  private let identity: TableIdentity
  private var writer: TableWriter

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
    let (target, store) = (target, disk.store)
    return try finish(syncs: false).open(target, store: store, cache)
  }

  consuming func finish(syncs: Bool) throws(StoreError) -> TaskRun {
    let summary = try writer.finish(syncs: syncs)
    return TaskRun(
      number: target.number, byteCount: summary.byteCount,
      footerChecksum: summary.footerChecksum)
  }
}
