import Testing

@testable import TurbiditeEngine

/// A cursor goes where an index into a sorted array goes.
///
/// Method: random walks of seeks and steps in both directions over each key shape, beside the
/// model; then the same with inserts in between, where the model says what may be seen.
@Suite("Memtable cursor")
struct MemtableCursorTests {
  @Test("walks both ways and seeks as in a sorted array", arguments: KeyShape.allCases)
  func walks(shape: KeyShape) throws {
    let count = 2_000
    let (memtable, model) = try MemtableTests.filled(shape, count: count, seed: 42)
    let entries = model.entries
    let cursor = memtable.makeCursor()
    var random = SeededGenerator(seed: 4_242)
    var index = 0
    try cursor.seekToFirst()
    var wrong = 0
    for step in 0..<5_000 {
      let expected = entries.indices.contains(index) ? entries[index] : nil
      if cursor.current != expected { wrong += 1 }
      let choice =
        expected == nil
        ? Int.random(in: 8..<12, using: &random)
        : step % 2 == 0
          ? Int.random(in: 0..<12, using: &random) : Int.random(in: 0..<8, using: &random)
      switch choice {
      case 0..<4:
        try cursor.next()
        index += 1
      case 4..<8:
        try cursor.previous()
        index -= 1
      case 8:
        try cursor.seekToFirst()
        index = 0
      case 9:
        try cursor.seekToLast()
        index = entries.count - 1
      default:
        let key =
          Bool.random(using: &random)
          ? entries.randomElement(using: &random)!.key : shape.key(step, &random)
        let tag = UInt64.random(in: 0...UInt64(count) << 8, using: &random)
        let place = model.place(key, tag)
        try key.withView { view in
          if choice == 10 {
            try cursor.seek(view, Tag(rawValue: tag))
          } else {
            try cursor.seekBefore(view, Tag(rawValue: tag))
          }
        }
        index = choice == 10 ? place : place - 1
      }
    }
    #expect(wrong == 0)
  }

  @Test("a full walk backwards is a full walk forwards reversed", arguments: KeyShape.allCases)
  func reverses(shape: KeyShape) throws {
    let (memtable, model) = try MemtableTests.filled(shape, count: 2_500, seed: 11)
    let cursor = memtable.makeCursor()
    var backwards: [MemtableEntry] = []
    try cursor.seekToLast()
    while let entry = cursor.current {
      backwards.append(entry)
      try cursor.previous()
    }
    #expect(backwards.reversed() == model.entries)
  }

  @Test(
    "inserts between steps neither hide nor repeat nor reorder entries", arguments: [true, false])
  func interleaved(forward: Bool) throws {
    for seed in 1...20 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let (memtable, model) = try MemtableTests.filled(.sharedPrefix, count: 400, seed: seed)
      let cursor = memtable.makeCursor()
      if forward { try cursor.seekToFirst() } else { try cursor.seekToLast() }
      var seen: [MemtableEntry] = []
      var added = Set<[UInt8]>()
      while let entry = cursor.current {
        seen.append(entry)
        for _ in 0..<Int.random(in: 0...6, using: &random) where added.count < 3_000 {
          // Close to the cursor, on both sides of it, so that its own leaf splits.
          let near = entry.key.dropLast(Int.random(in: 0...2, using: &random))
          let key = near + [UInt8.random(in: 0...255, using: &random)]
          let tag = Tag(sequence: 9_999_999, kind: .value).rawValue
          if try memtable.insert(MemtableEntry(key: Array(key), tag: tag, value: [])) {
            added.insert(Array(key))
          }
        }
        if forward { try cursor.next() } else { try cursor.previous() }
      }
      if !forward { seen.reverse() }
      #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.precedes($1) }, "seed \(seed)")
      #expect(seen.filter { $0.tag >> 8 != 9_999_999 } == model.entries, "seed \(seed)")
      memtable.checkInvariants()
    }
  }

  @Test("a cursor keeps the memory it shows")
  func holds() throws {
    let pool = ChunkPool()
    var cursor: EntryCursor?
    do {
      let memtable = Memtable(pool: pool)
      _ = try memtable.insert(MemtableEntry(key: [7], tag: 0x101, value: [8]))
      cursor = memtable.makeCursor()
    }
    try cursor?.seekToFirst()
    #expect(cursor?.current == MemtableEntry(key: [7], tag: 0x101, value: [8]))
    cursor = nil
  }
}
