// TableMerge — entries on their way from where they were to new tables, a step at a time.
//
// Room:    Engine/Compaction. A flush, a compaction and a move of slots are this with other ends.

/// Writes what a filter keeps of a cursor's entries.
struct TableMerge: ~Copyable {
  private let cursor: EntryCursor
  private var filter: VersionFilter
  private(set) var sink: TableSink
  /// The entries that the cursor came by.
  private(set) var readEntryCount: UInt64 = 0

  /// Input bytes a step: about a millisecond's work.
  private static let stepByteCount = 256 << 10

  /// - Parameter cursor: where it stands, the merge begins.
  init(
    _ cursor: EntryCursor, _ filter: consuming VersionFilter, _ sink: consuming TableSink
  ) {
    self.cursor = cursor
    self.filter = filter
    self.sink = sink
  }

  /// Goes on for one step.
  ///
  /// - Returns: whether there is more; if not, the tables are finished.
  mutating func step() throws(StoreError) -> Bool {
    var byteCount = 0
    while cursor.isValid {
      readEntryCount &+= 1
      if try filter.judge(cursor.key, cursor.tag) == .keep {
        try sink.add(cursor.key, cursor.tag, cursor.value)
      }
      byteCount += cursor.key.count + cursor.value.count + 16
      try cursor.next()
      if byteCount >= Self.stepByteCount { return true }
    }
    try sink.finish()
    return false
  }

  /// What was written, without what it was read from.
  consuming func takeSink() -> TableSink { sink }

  /// Removes what was written; the caller publishes nothing of it.
  mutating func discard() throws(StoreError) { try sink.discard() }
}
