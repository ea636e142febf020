// ReplayStage — entries of the log that wait to be inserted in the order of their keys.
//
// Room:    Engine/Shard.

/// Entries on their way into memtables.
///
/// What a log holds in no order asks, entry by entry, for a node of the tree that no cache has. In
/// the order of their keys most fall into the node of the one before.
///
/// One thread, and the only writer of the memtables.
struct ReplayStage {
  /// An entry that is in its memtable's memory, and in its tree not yet.
  private struct Staged {
    /// What the key has behind the bytes that all keys for its memtable share, as two integers in
    /// the order of the bytes; equal ones say nothing.
    var prefix: (high: UInt64, low: UInt64) = (0, 0)
    var entry: EntryPointer
    var memtable: Int
  }

  /// Enough for several entries to fall into one node of a memtable of 64 MiB.
  private static let entryLimit = 1 << 17

  private var memtables: [Memtable] = []
  private var indexes: [ObjectIdentifier: Int] = [:]
  private var staged: [Staged] = []

  var isFull: Bool { staged.count >= Self.entryLimit }

  /// Takes an entry that is no range deletion.
  mutating func add(
    _ entry: LogEntry, _ sequence: UInt64, to memtable: Memtable
  ) throws(StoreError) {
    let tag = Tag(sequence: sequence, kind: entry.kind)
    let pointer = try memtable.stage(entry.key, tag, entry.value)
    staged.append(Staged(entry: pointer, memtable: index(of: memtable)))
  }

  private mutating func index(of memtable: Memtable) -> Int {
    if let last = staged.last, memtables[last.memtable] === memtable { return last.memtable }
    if let known = indexes[ObjectIdentifier(memtable)] { return known }
    indexes[ObjectIdentifier(memtable)] = memtables.count
    memtables.append(memtable)
    return memtables.count - 1
  }

  /// Inserts all that was taken.
  ///
  /// - Returns: how many were new.
  mutating func settle() throws(StoreError) -> Int {
    defer {
      memtables = []
      indexes = [:]
      staged.removeAll(keepingCapacity: true)
    }
    sort()
    var count = 0
    for next in staged where try memtables[next.memtable].insert(next.entry) { count += 1 }
    return count
  }

  private mutating func sort() {
    var first: [EntryPointer?] = Array(repeating: nil, count: memtables.count)
    var shared: [Int] = Array(repeating: .max, count: memtables.count)
    for next in staged {
      if let first = first[next.memtable] {
        let count = first.key.sharedPrefixCount(next.entry.key)
        shared[next.memtable] = min(shared[next.memtable], count)
      } else {
        first[next.memtable] = next.entry
      }
    }
    for index in staged.indices {
      let next = staged[index]
      let start = shared[next.memtable]
      if start == .max { continue }
      staged[index].prefix = (
        next.entry.key.prefix(at: start), next.entry.key.prefix(at: start + 8)
      )
    }
    staged.sort { one, other in
      if one.memtable != other.memtable { return one.memtable < other.memtable }
      if one.prefix.high != other.prefix.high { return one.prefix.high < other.prefix.high }
      if one.prefix.low != other.prefix.low { return one.prefix.low < other.prefix.low }
      let (mine, theirs) = (one.entry, other.entry)
      return compareInternal(mine.key, mine.tag, theirs.key, theirs.tag) < 0
    }
  }
}
