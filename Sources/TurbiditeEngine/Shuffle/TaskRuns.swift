// TaskRuns — what one task of a job emits, in files that outlive the process.
//
// Room:    Engine/Shuffle.
// Format:  FORMAT.md section 9: a run is a table.

/// A run that a task has written: what is known of it beside its bytes.
package struct TaskRun: Sendable, Hashable {
  /// Part of the table's identity, and of its file's name.
  package var number: UInt64
  package var byteCount: UInt64
  package var footerChecksum: UInt64

  package init(number: UInt64, byteCount: UInt64, footerChecksum: UInt64) {
    self.number = number
    self.byteCount = byteCount
    self.footerChecksum = footerChecksum
  }

  func open(
    _ file: RunFile, store: StoreID, _ cache: BlockCache
  ) throws(StoreError) -> TableReader {
    precondition(file.number == number)
    return try TableReader(
      file: file.file,
      identity: TableIdentity(store: store, fileNumber: number, keyspace: 0, shard: 0),
      expecting: TableExpectation(byteCount: byteCount, footerChecksum: footerChecksum),
      cache: cache)
  }
}

/// Makes of the groups that it reads what it adds to the sink.
package typealias Combine = @Sendable (GroupReader, GroupSink) throws(StoreError) -> Void

/// Takes all values that a task emits, and writes them to files, each whole and durable.
///
/// One thread at a time uses it.
///
/// Safe to share: it must be, to be a sink's taker, but its sink and it are the same thread's.
package final class TaskRuns: RunTaker, @unchecked Sendable {
  let fold = GroupFold.values
  let partitionCount: Int
  let tableByteCount: Int
  let pool = ChunkPool(keptByteCount: 8 << 20)
  private let split: Int
  private let disk: RunDisk
  private let combine: Combine?
  /// The tables whose order was given out.
  private var tableCount = 0
  /// What was written, in order.
  package private(set) var runs: [TaskRun] = []

  /// - Parameter split: the task's place among all of the job.
  /// - Parameter combine: nil where the values are written as they are.
  package init(
    split: Int, partitionCount: Int, tableByteCount: Int, disk: RunDisk, combine: Combine?
  ) {
    self.split = split
    self.partitionCount = partitionCount
    self.tableByteCount = tableByteCount
    self.disk = disk
    self.combine = combine
  }

  /// Where the task's values go.
  package func makeSink() throws(StoreError) -> GroupSink { try GroupSink(self, split: split) }

  func take(_ run: GroupRun, isLast: Bool) throws(StoreError) {
    guard let combine else { return try write(run) }
    let reader = try GroupReader(
      fold, .all, sources: [run.makeCursor()], pool: pool,
      isStopped: { false })
    let combined = CombinedRuns(self)
    let sink = try GroupSink(combined, split: split, tableIndex: tableCount)
    try combine(reader, sink)
    try sink.finish()
  }

  fileprivate func write(_ run: GroupRun) throws(StoreError) {
    tableCount += 1
    let cursor = run.makeCursor()
    try cursor.seekToFirst()
    var writer = try RunWriter(disk)
    while cursor.isValid {
      try writer.add(cursor.key, cursor.tag, cursor.value)
      try cursor.next()
    }
    runs.append(try writer.finish(syncs: true))
  }
}

/// Takes what a combiner makes of a task's values.
///
/// Safe to share: as ``TaskRuns``, whose thread alone uses it.
private final class CombinedRuns: RunTaker, @unchecked Sendable {
  private let runs: TaskRuns
  var fold: GroupFold { runs.fold }
  var partitionCount: Int { runs.partitionCount }
  var tableByteCount: Int { runs.tableByteCount }
  var pool: ChunkPool { runs.pool }

  init(_ runs: TaskRuns) { self.runs = runs }

  func take(_ run: GroupRun, isLast: Bool) throws(StoreError) { try runs.write(run) }
}
