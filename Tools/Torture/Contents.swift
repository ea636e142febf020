// Contents — what a store must hold when its lanes have come so far.
//
// Room:    Tools/Torture. Workload.swift says the same as changes.

import Turbidite

/// The model: all entries that follow from the last batch of each lane, counters left out.
package enum Contents {
  /// The entries of the default keyspace but for the counters, sorted.
  package static func expected(at last: [Int]) -> [Entry] {
    var entries: [Entry] = []
    for (lane, last) in last.enumerated() where last > 0 {
      for batch in max(1, last - Workload.window + 1)...last {
        for part in 0..<Key.partCount {
          entries.append(Entry(key: Key.own(lane, batch, part), value: Key.filler(batch, part)))
        }
      }
      var shared: [Int: Int] = [:]
      for batch in max(1, last - 2 * Workload.sharedKeyCount)...last {
        shared[batch * batch % Workload.sharedKeyCount] = batch
      }
      append(shared, lane, "k", to: &entries)
      let swept = slots(
        last, count: Workload.sweptKeyCount, sweptEvery: Workload.sweepInterval)
      append(swept, lane, "w", to: &entries)
    }
    return entries.sorted { $0.key < $1.key }
  }

  /// The entries of the second keyspace, sorted.
  package static func expectedTwin(at last: [Int]) -> [Entry] {
    var entries: [Entry] = []
    for (lane, last) in last.enumerated() where last > 0 {
      let swept = slots(
        last, count: Workload.twinKeyCount, sweptEvery: Workload.twinSweepInterval)
      append(swept, lane, "t", to: &entries)
    }
    return entries.sorted { $0.key < $1.key }
  }

  /// The slots of a ring that were written since the last sweep, each with its newest batch.
  private static func slots(_ last: Int, count: Int, sweptEvery interval: Int) -> [Int: Int] {
    var slots: [Int: Int] = [:]
    for batch in max(1, last - last % interval)...last { slots[batch % count] = batch }
    return slots
  }

  private static func append(
    _ slots: [Int: Int], _ lane: Int, _ name: String, to entries: inout [Entry]
  ) {
    for (slot, batch) in slots {
      entries.append(Entry(key: Bytes("\(lane)/\(name)/\(slot)"), value: Bytes("\(batch)")))
    }
  }
}
