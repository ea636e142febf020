// BudgetWorkload — whether a store stays within its memory budget, whatever its records are like.
//
// Room:    Benchmarks.

import Turbidite

/// A store, and what is done with it.
private struct BudgetShape {
  var budgetMebibytes = 256
  var valueByteCount = 1000
  var blockByteCount = 8 << 10
  var shardCount = 1
  var threadCount = 4

  var name: String {
    "\(budgetMebibytes) MiB, values \(valueByteCount), blocks \(blockByteCount >> 10) KiB, "
      + "\(shardCount) sh., \(threadCount) thr."
  }

  /// Some of these took twice their budget and more once.
  ///
  /// The small budgets first: what `malloc` keeps of a store's, and of the values that were made
  /// for it, counts against those that follow.
  static let all = [
    BudgetShape(budgetMebibytes: 64, valueByteCount: 8),
    BudgetShape(budgetMebibytes: 64),
    BudgetShape(budgetMebibytes: 64, valueByteCount: 20_000, threadCount: 8),
    BudgetShape(),
    BudgetShape(valueByteCount: 100, threadCount: 8),
    BudgetShape(valueByteCount: 20_000),
    BudgetShape(valueByteCount: 700_000),
    BudgetShape(blockByteCount: 64 << 10),
    BudgetShape(blockByteCount: 1 << 20),
    BudgetShape(valueByteCount: 300, shardCount: 56, threadCount: 2),
  ]
}

/// Loads twice the budget in each shape, then gets, puts and scans for some seconds, several
/// threads at once; the target for the peak of resident memory is the budget and 15 percent.
///
/// What the process took before the first store was opened is deducted. All shapes run in one
/// process, one after the other: what a store leaves behind counts against the next.
func measureBudget(_ settings: Settings, _ report: inout Report) throws {
  let before = processMebibytes("VmRSS")
  for shape in BudgetShape.all {
    try ResourceUse.resetPeak()
    let count =
      settings.recordCount ?? (2 * shape.budgetMebibytes << 20) / (shape.valueByteCount + 16)
    try withDirectory { directory in
      var options = Store.Options(shardCount: shape.shardCount)
      options.memoryBudgetByteCount = shape.budgetMebibytes << 20
      options.blockByteCount = shape.blockByteCount
      let store = try Store.Blocking.open(at: directory + "/store", options: options)
      for index in 0..<count { try put(index, shape, into: store) }
      let end = ContinuousClock.now.advanced(by: .seconds(6))
      _ = try onThreads(shape.threadCount) { thread in
        var state = UInt64(thread) << 32
        while ContinuousClock.now < end {
          state += 1
          try operate(mix(state), of: count, shape, on: store)
        }
        return 0
      }
      try settings.note(describe(store.blocking.statistics()))
      try store.blocking.close()
    }
    report.add(
      Measurement(
        workload: "budget", name: shape.name, number: processMebibytes("VmHWM") - before,
        unit: "MiB", digits: 0, target: Double(shape.budgetMebibytes) * 1.15))
  }
}

private func put(_ index: Int, _ shape: BudgetShape, into store: Store) throws {
  var key = [UInt8](repeating: 0, count: Record.keyByteCount)
  Record.writeKey(index, into: &key)
  try store.blocking.put(Bytes(key), Bytes(value(index, shape.valueByteCount)))
}

/// Random bytes in the first half, one repeated in the other.
private func value(_ index: Int, _ byteCount: Int) -> [UInt8] {
  var value = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: byteCount)
  var word = mix(UInt64(index))
  for position in 0..<byteCount / 2 {
    if position % 8 == 0 { word = mix(word) }
    value[position] = UInt8(truncatingIfNeeded: word >> UInt64(position % 8 * 8))
  }
  return value
}

/// Seven gets, two puts and a scan of twenty entries in ten operations; each value that is
/// got is compared.
private func operate(
  _ chance: UInt64, of count: Int, _ shape: BudgetShape, on store: Store
) throws {
  let index = Int(chance >> 8) % count
  var key = [UInt8](repeating: 0, count: Record.keyByteCount)
  Record.writeKey(index, into: &key)
  switch chance % 10 {
  case 0, 1: try put(index, shape, into: store)
  case 2:
    var seen = 0
    try store.blocking.scan(KeyRange(from: Bytes(key)), limit: 20).forEach { _, value in
      seen += value.byteCount == shape.valueByteCount ? 1 : 21
      return true
    }
    guard 1...20 ~= seen else { throw Stop("a scan from record \(index) gave \(seen)") }
  default:
    guard try store.blocking.get(Bytes(key)) == Bytes(value(index, shape.valueByteCount)) else {
      throw Stop("get: record \(index) is not what was written")
    }
  }
}
