import Testing

@testable import TurbiditeEngine

/// A memtable answers as a sorted array does, whatever the keys.
///
/// Method: seeded random inserts of each key shape against `MemtableModel`, with the tree's
/// invariants checked along the way.
@Suite("Memtable")
struct MemtableTests {
  /// Fills a memtable and its model alike.
  static func filled(
    _ shape: KeyShape, count: Int, seed: UInt64, pool: ChunkPool = ChunkPool()
  ) throws -> (memtable: Memtable, model: MemtableModel) {
    var random = SeededGenerator(seed: seed)
    let memtable = Memtable(pool: pool)
    var model = MemtableModel()
    for index in 0..<count {
      let key = shape.key(index, &random)
      // Few sequence numbers, so that keys meet their own versions and duplicates occur.
      let sequence = UInt64.random(in: 1...UInt64(count), using: &random)
      let kind: EntryKind = Bool.random(using: &random) ? .value : .deletion
      let value = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: index % 50)
      let tag = Tag(sequence: sequence, kind: kind).rawValue
      let entry = MemtableEntry(key: key, tag: tag, value: value)
      #expect(try memtable.insert(entry) == model.insert(entry), "seed \(seed)")
      if index % 500 == 0 { memtable.checkInvariants() }
    }
    memtable.checkInvariants()
    return (memtable, model)
  }

  @Test("finds what a sorted array finds, at every snapshot", arguments: KeyShape.allCases)
  func finds(shape: KeyShape) throws {
    for seed in 1...2 as ClosedRange<UInt64> {
      let count = 2_500
      let (memtable, model) = try MemtableTests.filled(shape, count: count, seed: seed)
      #expect(memtable.entryCount == model.entries.count)
      var random = SeededGenerator(seed: seed &+ 1_000)
      var wrong = 0
      for index in 0..<2_000 {
        let isKnown = Bool.random(using: &random)
        let key =
          isKnown
          ? model.entries.randomElement(using: &random)!.key : shape.key(index, &random)
        let sequence = UInt64.random(in: 0...UInt64(count), using: &random)
        if memtable.find(key, at: sequence) != model.find(key, at: sequence) { wrong += 1 }
      }
      #expect(wrong == 0, "seed \(seed)")
    }
  }

  @Test("a deep tree keeps its invariants and every entry")
  func deep() throws {
    let memtable = Memtable(pool: ChunkPool())
    var random = SeededGenerator(seed: 77)
    let count: UInt64 = 100_000
    for number in 0..<count {
      // Half in order, half scattered below them: both kinds of split, on every level.
      let key =
        number % 2 == 0
        ? "z/\(String(1_000_000 + number))"
        : "user\(UInt64.random(in: 100_000_000..<999_999_999, using: &random))/\(number)"
      let tag = Tag(sequence: number + 1, kind: .value).rawValue
      let entry = MemtableEntry(key: Array(key.utf8), tag: tag, value: Array(key.utf8))
      #expect(try memtable.insert(entry))
    }
    memtable.checkInvariants()
    let cursor = memtable.makeCursor()
    try cursor.seekToFirst()
    var seen: UInt64 = 0
    while cursor.isValid {
      if !cursor.key.isEqual(to: cursor.value) { Issue.record("wrong value") }
      seen += 1
      try cursor.next()
    }
    #expect(seen == count)
    #expect(memtable.smallestSequence == 1)
    #expect(memtable.largestSequence == count)
  }

  @Test("an empty memtable holds no memory, finds nothing and has no bounds")
  func empty() throws {
    let pool = ChunkPool()
    let memtable = Memtable(pool: pool)
    #expect(memtable.isEmpty)
    #expect(memtable.byteCount == 0)
    #expect(memtable.find([1], at: 9) == nil)
    #expect(memtable.smallestSequence == nil)
    #expect(memtable.largestSequence == nil)
    #expect(memtable.rangeTombstones.isEmpty)
    let cursor = memtable.makeCursor()
    try cursor.seekToFirst()
    #expect(!cursor.isValid)
    try cursor.seekToLast()
    #expect(!cursor.isValid)
    try cursor.seekBefore(.empty, Tag(rawValue: 0))
    #expect(!cursor.isValid)
    memtable.checkInvariants()
  }

  @Test("recycled memory is full of the past, and nothing of it shows")
  func recycles() throws {
    let pool = ChunkPool()
    for seed in 1...4 as ClosedRange<UInt64> {
      let (memtable, model) = try MemtableTests.filled(
        .mixed, count: 1_500, seed: seed, pool: pool)
      #expect(memtable.entryCount == model.entries.count)
    }
  }

  @Test("a key and a value of the largest size, or none, come back whole")
  func extremes() throws {
    let memtable = Memtable(pool: ChunkPool())
    let key = [UInt8](repeating: 0xff, count: 65_536)
    let value = [UInt8](repeating: 0xab, count: 5 << 20)
    #expect(try memtable.insert(MemtableEntry(key: key, tag: 0x201, value: value)))
    #expect(try memtable.insert(MemtableEntry(key: [], tag: 0x301, value: [])))
    #expect(memtable.find(key, at: 9)?.value == value)
    #expect(memtable.find([], at: 9)?.value == [])
    #expect(memtable.find([], at: 2) == nil)
    memtable.checkInvariants()
  }

  @Test("range tombstones are seen as soon as they are in, once each")
  func rangeTombstones() throws {
    let memtable = Memtable(pool: ChunkPool())
    func add(_ start: [UInt8], _ end: [UInt8], _ sequence: UInt64) throws {
      try start.withView { start in
        try end.withView { end in
          try memtable.insertRangeTombstone(start, end, sequence: sequence)
        }
      }
    }
    try add([1], [5], 7)
    try add([1], [5], 7)
    try add([5], [5], 8)
    try add([6], [5], 8)
    #expect(memtable.rangeTombstoneCount == 1)
    #expect(!memtable.isEmpty)
    #expect(memtable.entryCount == 0)
    #expect(memtable.byteCount > 0)
    try add([3], [9], 11)
    #expect(memtable.rangeTombstoneCount == 2)
    #expect(memtable.smallestSequence == 7)
    #expect(memtable.largestSequence == 11)
    let covering = [3].withView { memtable.rangeTombstones.newestCovering($0, at: 10) }
    #expect(covering == 7)
  }
}
