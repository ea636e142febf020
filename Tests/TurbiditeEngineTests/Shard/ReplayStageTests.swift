// ReplayStageTests — entries that were staged are those that were inserted one by one.

import Testing

@testable import TurbiditeEngine

@Suite("Replay stage")
struct ReplayStageTests {
  private func entries(of memtable: Memtable) throws -> [MemtableEntry] {
    let cursor = memtable.makeCursor()
    try cursor.seekToFirst()
    var entries: [MemtableEntry] = []
    while cursor.isValid {
      entries.append(
        MemtableEntry(
          key: cursor.key.bytes(), tag: cursor.tag.rawValue, value: cursor.value.bytes()))
      try cursor.next()
    }
    return entries
  }

  @Test("what a stage inserts is what single inserts do", arguments: KeyShape.allCases)
  func agrees(shape: KeyShape) throws {
    for seed in 1...3 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let staged = (0..<3).map { _ in Memtable(pool: ChunkPool()) }
      let single = (0..<3).map { _ in Memtable(pool: ChunkPool()) }
      var stage = ReplayStage()
      var (stagedCount, singleCount) = (0, 0)
      for index in 0..<2_000 {
        let key = shape.key(index, &random)
        guard !key.isEmpty else { continue }
        // Few numbers, so that an entry comes twice.
        let sequence = UInt64.random(in: 1...200, using: &random)
        let value = Array("\(sequence)".utf8)
        let target = Int.random(in: 0..<3, using: &random)
        try key.withView { key in
          try value.withView { value in
            let entry = LogEntry(kind: .value, keyspace: 0, key: key, value: value)
            try stage.add(entry, sequence, to: staged[target])
            let tag = Tag(sequence: sequence, kind: .value)
            if try single[target].insert(key, tag, value) { singleCount += 1 }
          }
        }
        if index % 700 == 699 { stagedCount += try stage.settle() }
      }
      stagedCount += try stage.settle()
      #expect(stagedCount == singleCount, "seed \(seed)")
      for (one, other) in zip(staged, single) {
        one.checkTree()
        #expect(try entries(of: one) == entries(of: other), "seed \(seed)")
        #expect(one.smallestSequence == other.smallestSequence)
        #expect(one.largestSequence == other.largestSequence)
      }
    }
  }
}
