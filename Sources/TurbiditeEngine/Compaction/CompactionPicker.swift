// CompactionPicker — which tables to rewrite next.
//
// Room:    Engine/Compaction. Looks at metadata only.
// Source:  Leveled compaction: O'Neil et al., "The Log-Structured Merge-Tree", 1996, as in LevelDB;
//          targets derived from the last level upward: RocksDB, "dynamic level size" (Dong et al.,
//          CIDR 2017, section 3), which bounds the space of old versions by 1/9 of the live bytes.

/// Tables to be replaced by their merge.
struct CompactionPlan: Hashable {
  var tree: TreeID
  /// The inputs by level; at most two levels, the second is the output's.
  var inputLevel: Int
  var outputLevel: Int
  var inputs: [TableMetadata]
  var outputInputs: [TableMetadata]
  /// No table below the output level shares a key with the inputs.
  var isBottommost: Bool

  /// Tables with nothing to merge with can change their level without being rewritten.
  var isMove: Bool {
    guard outputInputs.isEmpty, inputLevel != outputLevel else { return false }
    return inputs.count == 1 || inputs.areDisjoint
  }

  var byteCount: UInt64 {
    (inputs + outputInputs).reduce(0) { $0 + $1.summary.byteCount }
  }
}

/// How much the picker insists on.
enum CompactionUrgency: Hashable {
  /// Levels that outgrew their targets.
  case needed
  /// As well what leaves over a tenth of old versions behind, or tables that mostly delete: for a
  /// tree at rest, or one whose scans pass over too much.
  case settling
  /// Everything down to the last level.
  case full
}

/// Picks the next compaction of one tree.
struct CompactionPicker {
  /// Level-0 tables that make a compaction due: each costs every read a lookup.
  static let level0Trigger = 4
  /// Level-0 tables from which on their compaction comes before any other.
  static let level0Limit = 12
  /// Each level holds this many times the one above it.
  static let levelRatio: UInt64 = 10
  /// What old versions may cost a tree at rest, as a share of the last level: 1/10 keeps it
  /// safely under a space amplification of 1.2.
  static let settledShare: UInt64 = 10
  /// Fewer tombstones than this in one place cost a scan little.
  static let crowdedDeletionCount = 1024

  let tree: TreeID
  let tables: TreeTables
  /// A first level below 0 of up to this size needs no level above it.
  let baseByteCount: UInt64
  /// The oldest sequence number that a reader may ask for.
  let oldestSnapshot: UInt64
  /// Tables with smaller file numbers hold keys that are not the shard's.
  var unsettledBelow: UInt64 = 0

  private var lastLevel: Int { Limits.levelCount - 1 }

  private func byteCount(_ level: Int) -> UInt64 {
    tables.levels[level].reduce(0) { $0 + $1.summary.byteCount }
  }

  /// The level that level 0 should be merged into, and the target of each level below.
  private func targets() -> (base: Int, targets: [UInt64]) {
    var targets = [UInt64](repeating: 0, count: Limits.levelCount)
    let largest = (1...lastLevel).map(byteCount).max() ?? 0
    var target = max(largest, baseByteCount)
    var base = lastLevel
    targets[lastLevel] = .max
    while target > baseByteCount * 2, base > 1 {
      target /= Self.levelRatio
      base -= 1
      targets[base] = max(target, baseByteCount)
    }
    return (base, targets)
  }

  /// The level that level 0 is merged into now: never past one that holds something, whatever the
  /// targets say, or newer entries would lie below older ones.
  private func outputLevel(of base: Int) -> Int {
    (1...base).first { !tables.levels[$0].isEmpty } ?? base
  }

  /// How far the tree is behind: 1 and above means that a compaction is due.
  var score: Double {
    let (base, targets) = targets()
    var score = Double(tables.levels[0].count) / Double(Self.level0Trigger)
    for level in 1..<lastLevel where !tables.levels[level].isEmpty {
      score = max(
        score, level < base ? 1 : Double(byteCount(level)) / Double(max(targets[level], 1)))
    }
    return score
  }

  /// - Parameter settlesFirst: what brings a tree on that holds other shards' keys comes before
  ///   what is due, unless writers are held back by level 0.
  func pick(_ urgency: CompactionUrgency, settlesFirst: Bool = false) -> CompactionPlan? {
    let (base, targets) = targets()
    if settlesFirst, tables.levels[0].count < Self.level0Limit, let plan = settlingPlan(base) {
      return plan
    }
    if tables.levels[0].count >= Self.level0Trigger { return level0Plan(base) }
    var worst: (level: Int, score: Double)?
    for level in 1..<lastLevel where !tables.levels[level].isEmpty {
      let score =
        level < base ? 1e9 : Double(byteCount(level)) / Double(max(targets[level], 1))
      if score > max(worst?.score ?? 0, 1) { worst = (level, score) }
    }
    if let worst { return levelPlan(worst.level) }
    if urgency == .needed { return settlingPlan(base) }
    return restingPlan(base, urgency) ?? settlingPlan(base)
  }

  /// Rewrites a table with keys that moved to another shard, at the last level if nothing else: on
  /// the way there it may be merged, and not only moved.
  private func settlingPlan(_ base: Int) -> CompactionPlan? {
    for level in 0...lastLevel {
      guard let table = tables.levels[level].first(where: { $0.fileNumber < unsettledBelow })
      else { continue }
      if level == 0 { return level0Plan(base) }
      return level == lastLevel ? rewritePlan(table) : plan(level, level + 1, [table])
    }
    return nil
  }

  private func restingPlan(_ base: Int, _ urgency: CompactionUrgency) -> CompactionPlan? {
    let upper = (0..<lastLevel).reduce(UInt64(0)) { $0 + byteCount($1) }
    let isDue = urgency == .full || upper * Self.settledShare > byteCount(lastLevel)
    if upper > 0 && isDue {
      if !tables.levels[0].isEmpty { return level0Plan(base) }
      if let level = (1..<lastLevel).first(where: { !tables.levels[$0].isEmpty }) {
        return levelPlan(level)
      }
    }
    return thinningPlan(base) ?? reclaimPlan(urgency)
  }

  /// Whether a table deletes all that it overlaps, so that to merge both writes next to nothing.
  ///
  /// Those do that hold what was trimmed of a stream's partition, from its beginning on. Where a
  /// map has such keys there may be gaps, and the merge writes what lies in them. Other tables of a
  /// map that only delete wait until they are merged anyhow: what leaves no table behind says to no
  /// repair what it replaced (decision 0014), and of a stream its recorded start does.
  private func deletesAll(_ table: TableMetadata) -> Bool {
    let summary = table.summary
    guard summary.entryCount == 0, summary.largestSequence <= oldestSnapshot else { return false }
    return summary.smallestKey.withView { smallest in
      summary.largestKey.withView { largest in
        StreamKey.read(smallest) != nil && StreamKey.read(largest) != nil
          && !StreamKey.isParted(smallest, largest)
      }
    }
  }

  /// Merges a table that mostly deletes one level further down, towards what it deletes.
  private func thinningPlan(_ base: Int) -> CompactionPlan? {
    for level in 0..<lastLevel {
      let crowded = tables.levels[level].first { table in
        if deletesAll(table) { return true }
        let summary = table.summary
        return summary.deletionCount >= Self.crowdedDeletionCount
          && summary.deletionCount * 2 > summary.entryCount
          && summary.largestSequence <= oldestSnapshot
      }
      guard let crowded else { continue }
      return level == 0 ? level0Plan(base) : plan(level, level + 1, [crowded])
    }
    return nil
  }

  /// Rewrites a table of the last level that holds much which no reader can see any more.
  private func reclaimPlan(_ urgency: CompactionUrgency) -> CompactionPlan? {
    let table = tables.levels[lastLevel].first { table in
      let summary = table.summary
      let dead = summary.deletionCount + summary.shadowedCount + summary.rangeTombstoneCount
      guard dead > 0, summary.largestSequence <= oldestSnapshot else { return false }
      return urgency == .full || dead * 10 > summary.entryCount
    }
    return table.map(rewritePlan)
  }

  /// Rewrites a table of the last level by itself.
  private func rewritePlan(_ table: TableMetadata) -> CompactionPlan {
    CompactionPlan(
      tree: tree, inputLevel: lastLevel, outputLevel: lastLevel, inputs: [table],
      outputInputs: [], isBottommost: true)
  }

  private func level0Plan(_ base: Int) -> CompactionPlan? {
    let base = outputLevel(of: base)
    let list = tables.levels[0]
    // Tables that nothing overlaps move: a load in key order makes such, and a stream.
    let movable = list.filter { table in
      !list.contains { $0.fileNumber != table.fileNumber && $0.overlaps(table) }
        && !isOverlapped(table, at: base)
    }
    guard movable.isEmpty else {
      return CompactionPlan(
        tree: tree, inputLevel: 0, outputLevel: base, inputs: movable, outputInputs: [],
        isBottommost: false)
    }
    // Each partition's by themselves, since a merge takes in what lies between its inputs.
    for table in list where deletesAll(table) {
      let group = overlapping([table], in: list)
      if group.allSatisfy(deletesAll) { return plan(0, base, group) }
    }
    return plan(0, base, list)
  }

  /// These tables, and those that overlap one of them, or one that does: none may stay where others
  /// go down.
  private func overlapping(_ group: [TableMetadata], in list: [TableMetadata]) -> [TableMetadata] {
    let wider = list.filter { table in group.contains { $0.overlaps(table) } }
    return wider.count == group.count ? group : overlapping(wider, in: list)
  }

  /// Whether a table of a level below 0, whose tables ascend, shares a key with another.
  private func isOverlapped(_ table: TableMetadata, at level: Int) -> Bool {
    let list = tables.levels[level]
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      if list[middle].endsBefore(table) { low = middle + 1 } else { high = middle }
    }
    return low < list.count && list[low].overlaps(table)
  }

  /// The table whose merge rewrites the fewest bytes of the next level for each of its own.
  private func levelPlan(_ level: Int) -> CompactionPlan? {
    let candidates = tables.levels[level].map { table -> (cost: Double, table: TableMetadata) in
      if deletesAll(table) { return (0, table) }
      let overlap = tables.levels[level + 1].reduce(UInt64(0)) {
        $0 + ($1.overlaps(table) ? $1.summary.byteCount : 0)
      }
      return (Double(overlap) / Double(max(table.summary.byteCount, 1)), table)
    }
    guard let best = candidates.min(by: { $0.cost < $1.cost }) else { return nil }
    return plan(level, level + 1, [best.table])
  }

  private func plan(_ level: Int, _ output: Int, _ inputs: [TableMetadata]) -> CompactionPlan? {
    guard !inputs.isEmpty else { return nil }
    // The outputs may span everything between the inputs, so what lies between belongs to it.
    let outputInputs = tables.levels[output].filter { table in
      planted(.overlookOverlap)
        ? table.overlaps(inputs[0])
        : inputs.contains { !table.endsBefore($0) } && inputs.contains { !$0.endsBefore(table) }
    }
    let all = inputs + outputInputs
    let below = planted(.dropTombstonesEarly) ? lastLevel + 1 : output + 1
    let isBottommost = !tables.levels[below...].contains { list in
      list.contains { table in all.contains { $0.overlaps(table) } }
    }
    return CompactionPlan(
      tree: tree, inputLevel: level, outputLevel: output, inputs: inputs,
      outputInputs: outputInputs, isBottommost: isBottommost)
  }
}
