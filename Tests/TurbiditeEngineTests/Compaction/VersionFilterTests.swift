// VersionFilterTests — a table that need not be read is one of which every entry is dropped.

import Testing
import TurbiditeSimulation

@testable import TurbiditeEngine

@Suite("Version filter")
struct VersionFilterTests {
  private static func key(_ number: Int) -> [UInt8] { [UInt8(number)] }

  private static func drawTombstones(_ random: SeededRandom) -> RangeTombstones {
    RangeTombstones(
      tombstones: (0..<random.below(6)).map { _ in
        let start = random.below(30)
        return (
          start: key(start), end: key(start + random.below(20)),
          sequence: UInt64(1 + random.below(60))
        )
      })
  }

  @Test("a table that goes unread holds no entry that any reader sees")
  func dropsAll() throws {
    var unread = 0
    for seed in 0..<20_000 as Range<UInt64> {
      let random = SeededRandom(seed: seed)
      let snapshots = (0..<random.below(3)).map { _ in UInt64(random.below(60)) }.sorted()
      var filter = VersionFilter(
        snapshots: snapshots, tombstones: Self.drawTombstones(random),
        isBottommost: random.below(2) == 0)
      let first = random.below(25)
      let entries = (0...random.below(4)).map { place in
        (key: Self.key(first + place), sequence: UInt64(1 + random.below(60)))
      }
      var properties = TableProperties()
      properties.smallestKey = entries[0].key
      properties.largestKey = entries[entries.count - 1].key
      properties.smallestSequence = entries.map(\.sequence).min() ?? 0
      properties.largestSequence = entries.map(\.sequence).max() ?? 0
      let summary = TableSummary(properties, byteCount: 1, footerChecksum: 0)
      guard filter.dropsAll(of: summary) else { continue }
      unread += 1
      for entry in entries {
        let verdict = try entry.key.withView {
          try filter.judge($0, Tag(sequence: entry.sequence, kind: .value))
        }
        #expect(verdict == .drop, "seed \(seed): key \(entry.key) at \(entry.sequence)")
      }
    }
    #expect(unread > 300, "\(unread) tables went unread")
  }
}
