// MemoryWork — inserting into a memtable, looking up in one, and merging eight.
//
// Room:    Engine/Micro. Compiled for Tools/micro alone.

enum MemoryWork {
  static let all = [
    MicroBenchmark("memtable-insert", count: 4_000) { count, _ in try insert(count) },
    MicroBenchmark("memtable-get", count: 4_000) { count, _ in try get(count) },
    MicroBenchmark("merge", count: 4_000) { count, _ in try merge(count) },
  ]

  private static func insert(
    _ records: Records, _ index: Int, into memtable: Memtable
  ) throws {
    let tag = Tag(sequence: UInt64(1 + index), kind: .value)
    let isNew = try memtable.insert(records.key(index), tag, records.value)
    precondition(isNew)
  }

  /// An entry an operation, each with a new key, into a memtable that holds some.
  private static func insert(_ count: Int) throws {
    let records = try Records(0..<2 * Records.count)
    let memtable = Memtable(pool: ChunkPool())
    for index in 0..<Records.count { try insert(records, index, into: memtable) }
    for index in 0..<count { try insert(records, Records.count + index, into: memtable) }
    keep(memtable.entryCount)
  }

  /// A lookup an operation, each of a key that is there.
  private static func get(_ count: Int) throws {
    let records = try Records(0..<Records.count)
    let memtable = Memtable(pool: ChunkPool())
    for index in 0..<Records.count { try insert(records, index, into: memtable) }
    var sum = 0
    for index in 0..<count {
      guard let found = memtable.find(records.key(index & Records.mask), at: Tag.maximumSequence)
      else { preconditionFailure("a record of the memtable was not found") }
      sum &+= found.value.count
    }
    keep(sum)
  }

  /// An entry an operation, of eight memtables over which the keys are spread.
  private static func merge(_ count: Int) throws {
    let records = try Records(0..<Records.count)
    let pool = ChunkPool()
    let memtables = (0..<8).map { _ in Memtable(pool: pool) }
    for index in 0..<Records.count { try insert(records, index, into: memtables[index & 7]) }
    let cursor = try MergingCursor(memtables.map { $0.makeCursor() })
    try cursor.seekToFirst()
    var sum = 0
    for _ in 0..<count {
      sum &+= cursor.value.count
      try cursor.next()
    }
    keep(sum)
  }
}
