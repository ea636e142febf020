// CompactionPickerTests — plans never put newer entries below older ones.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import TurbiditeEngine

/// Whatever a tree looks like, a plan moves entries down only past levels that hold none of their
/// keys, and takes with it everything it must.
///
/// Method: seeded random trees, and each plan checked against the rules of the tree.
@Suite("Compaction picker")
struct CompactionPickerTests {
  private func table(
    _ number: UInt64, _ low: Int, _ high: Int, byteCount: UInt64, deletionCount: Int = 0,
    rangeTombstoneCount: Int = 0
  ) -> TableMetadata {
    // Those of a stream, whose tables of tombstones alone are treated apart.
    func key(_ value: Int) -> [UInt8] {
      StreamKey.bytes(partition: UInt32(value / 256), offset: UInt64(value % 256))
    }
    var properties = TableProperties()
    properties.entryCount = rangeTombstoneCount > 0 ? 0 : 3000
    properties.rangeTombstoneCount = UInt64(rangeTombstoneCount)
    properties.deletionCount = UInt64(deletionCount)
    properties.smallestSequence = number
    properties.largestSequence = number
    properties.smallestKey = key(low)
    properties.largestKey = key(high)
    return TableMetadata(
      fileNumber: number,
      summary: TableSummary(properties, byteCount: byteCount, footerChecksum: 0))
  }

  private func drawTree(_ random: SeededRandom) -> TreeTables {
    var tables = TreeTables()
    var number: UInt64 = 1
    for level in (1..<Limits.levelCount).reversed() where random.below(2) == 0 {
      var low = 0
      while low < 900 {
        low += 1 + random.below(100)
        let high = low + random.below(60)
        tables.levels[level].append(
          table(
            number, low, high, byteCount: UInt64(1 + random.below(1 << 22)),
            deletionCount: random.below(20) == 0 ? 2000 : 0,
            rangeTombstoneCount: random.below(20) / 19))
        number += 1
        low = high + 1
      }
    }
    for _ in 0..<random.below(8) {
      let low = random.below(900)
      tables.insert(
        table(
          number, low, low + random.below(200), byteCount: UInt64(1 + random.below(1 << 20)),
          deletionCount: random.below(4) == 0 ? 2000 : 0,
          rangeTombstoneCount: max(0, random.below(8) - 5)),
        at: 0)
      number += 1
    }
    return tables
  }

  @Test("a plan skips no level that holds something, and takes all that it overlaps")
  func plans() {
    for seed in 0..<3000 as Range<UInt64> {
      let random = SeededRandom(seed: seed)
      let tables = drawTree(random)
      let picker = CompactionPicker(
        tree: TreeID(keyspace: 0, shard: 0), tables: tables,
        baseByteCount: UInt64(1 << (16 + random.below(8))), oldestSnapshot: .max)
      for urgency in [CompactionUrgency.needed, .settling, .full] {
        guard let plan = picker.pick(urgency) else { continue }
        let skipped = plan.inputLevel + 1..<max(plan.outputLevel, plan.inputLevel + 1)
        for level in skipped {
          #expect(tables.levels[level].isEmpty, "seed \(seed): level \(level) was skipped")
        }
        if plan.isMove { #expect(plan.inputs.areDisjoint, "seed \(seed)") }
        // What stays in the output level must not overlap anything between the plan's ends: a merge
        // makes tables that span what lies between its inputs, a move does not.
        let all = plan.inputs + plan.outputInputs
        let taken = Set(all.map(\.fileNumber))
        for table in tables.levels[plan.outputLevel] where !taken.contains(table.fileNumber) {
          if plan.isMove {
            #expect(!all.contains { $0.overlaps(table) }, "seed \(seed): \(table.fileNumber)")
            continue
          }
          let isBefore = all.allSatisfy { table.endsBefore($0) }
          let isBehind = all.allSatisfy { $0.endsBefore(table) }
          #expect(isBefore || isBehind, "seed \(seed): table \(table.fileNumber) was left out")
        }
        // A plan that may drop tombstones is the last that can hold something below them.
        if plan.isBottommost {
          for list in tables.levels[(plan.outputLevel + 1)...] {
            for table in list {
              #expect(
                !all.contains { $0.overlaps(table) },
                "seed \(seed): table \(table.fileNumber) lies below")
            }
          }
        }
        // Of level 0 nothing older may stay above what moves down.
        if plan.inputLevel == 0 {
          let oldestLeft = tables.levels[0].filter { !taken.contains($0.fileNumber) }
          for left in oldestLeft {
            for input in plan.inputs where input.overlaps(left) {
              #expect(left.fileNumber > input.fileNumber, "seed \(seed)")
            }
          }
        }
      }
    }
  }
}
