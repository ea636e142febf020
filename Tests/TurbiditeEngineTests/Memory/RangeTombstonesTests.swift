import Testing

@testable import TurbiditeEngine

/// A set of range tombstones answers as a list of them does that is searched from end to end.
///
/// Method: seeded random ranges over a small key space, so that starts and ends coincide often.
@Suite("RangeTombstones")
struct RangeTombstonesTests {
  typealias Tombstone = (start: [UInt8], end: [UInt8], sequence: UInt64)

  static func key(_ random: inout SeededGenerator) -> [UInt8] {
    (0..<Int.random(in: 0...2, using: &random)).map { _ in
      UInt8.random(in: 0...5, using: &random)
    }
  }

  static func tombstones(_ count: Int, _ random: inout SeededGenerator) -> [Tombstone] {
    (0..<count).map { _ in
      (key(&random), key(&random), UInt64.random(in: 1...20, using: &random))
    }
  }

  static func newest(_ list: [Tombstone], _ key: [UInt8], _ snapshot: UInt64) -> UInt64? {
    list.filter { tombstone in
      !key.lexicographicallyPrecedes(tombstone.start)
        && key.lexicographicallyPrecedes(tombstone.end) && tombstone.sequence <= snapshot
    }.map(\.sequence).max()
  }

  /// Compares all answers within the key space.
  static func agrees(_ set: RangeTombstones, _ list: [Tombstone]) -> Bool {
    let bytes = Array(0...6 as ClosedRange<UInt8>)
    let keys = [[]] + bytes.map { [$0] } + bytes.flatMap { high in bytes.map { [high, $0] } }
    return keys.allSatisfy { key in
      (0...21 as ClosedRange<UInt64>).allSatisfy { snapshot in
        key.withView { set.newestCovering($0, at: snapshot) } == newest(list, key, snapshot)
      }
    }
  }

  @Test("answers as a search of the whole list, however it was made")
  func agreesWithList() {
    for seed in 1...60 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let list = RangeTombstonesTests.tombstones(Int(seed) % 25, &random)
      let set = RangeTombstones(tombstones: list)
      set.checkInvariants()
      #expect(RangeTombstonesTests.agrees(set, list), "seed \(seed)")

      var grown = RangeTombstones.none
      for tombstone in list {
        grown = grown.inserting(
          start: tombstone.start, end: tombstone.end, sequence: tombstone.sequence)
      }
      #expect(grown.fragments == set.fragments, "seed \(seed)")

      let cut = list.count / 3
      let merged = RangeTombstones.merged([
        RangeTombstones(tombstones: Array(list[..<cut])), .none,
        RangeTombstones(tombstones: Array(list[cut...])), set,
      ])
      #expect(merged.fragments == set.fragments, "seed \(seed)")
    }
  }

  @Test("a clipped set is the whole set within the bounds, and nothing outside")
  func clips() {
    for seed in 1...40 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      let list = RangeTombstonesTests.tombstones(12, &random)
      let from = Bool.random(using: &random) ? RangeTombstonesTests.key(&random) : nil
      let to = Bool.random(using: &random) ? RangeTombstonesTests.key(&random) : nil
      let clipped = RangeTombstones(tombstones: list).clipped(from: from, to: to)
      clipped.checkInvariants()
      let expected = list.map { tombstone -> Tombstone in
        let start = from.map {
          tombstone.start.lexicographicallyPrecedes($0) ? $0 : tombstone.start
        }
        let end = to.map { $0.lexicographicallyPrecedes(tombstone.end) ? $0 : tombstone.end }
        return (start ?? tombstone.start, end ?? tombstone.end, tombstone.sequence)
      }
      #expect(RangeTombstonesTests.agrees(clipped, expected), "seed \(seed)")
    }
  }

  @Test("pieces of one tombstone become one again")
  func coalesces() {
    let whole = RangeTombstones(tombstones: [([1], [9], 5)])
    let pieces = [
      whole.clipped(from: nil, to: [4]), whole.clipped(from: [4], to: [6]),
      whole.clipped(from: [6], to: nil),
    ]
    #expect(RangeTombstones.merged(pieces).fragments == whole.fragments)
  }

  @Test("empty and inverted ranges, and repeated ones, change nothing")
  func ignores() {
    let set = RangeTombstones(tombstones: [([2], [2], 1), ([3], [1], 1), ([], [], 1)])
    #expect(set.isEmpty)
    #expect(set.approximateByteCount == 0)
    let one = set.inserting(start: [1], end: [4], sequence: 3)
    #expect(one.inserting(start: [2], end: [3], sequence: 3) === one)
    #expect(one.inserting(start: [3], end: [2], sequence: 9) === one)
    #expect(one.approximateByteCount > 0)
  }
}
