// MemoryWorkload — how much memory a store takes that is larger than its budget.
//
// Room:    Benchmarks.

import Turbidite

/// Loads, scans and reads a store with default options; the peak of resident memory is the result.
///
/// The target is the documented budget and 64 MiB for everything beside: the program, running
/// flushes and compactions, buffers.
func measureMemory(_ settings: Settings, _ report: inout Report) throws {
  try withDirectory { directory in
    let count = settings.recordCount ?? 10_000_000
    let empty = processMebibytes("VmHWM")
    let options = Store.Options()
    let store = try Store.Blocking.open(at: directory + "/store", options: options)
    let loading = Stopwatch()
    try load(0..<count, into: store)
    let loadSeconds = loading.seconds
    let afterLoad = processMebibytes("VmHWM")
    try settings.note(describe(store.blocking.statistics()))

    let scanning = Stopwatch()
    try check(store, holds: count)
    let scanSeconds = scanning.seconds
    let afterScan = processMebibytes("VmHWM")
    try settings.note(describe(store.blocking.statistics()))

    let readCount = min(count, 200_000)
    let reading = Stopwatch()
    try readRandomly(readCount, of: count, from: store)
    let readSeconds = reading.seconds
    try settings.note(describe(store.blocking.statistics()))
    try store.blocking.close()

    func add(_ name: String, _ number: Double, _ unit: String, target: Double? = nil) {
      report.add(
        Measurement(
          workload: "memory", name: name, number: number, unit: unit, digits: 0, target: target))
    }
    add("records loaded", Double(count), "records")
    add("load, random order, batches of 100", Double(count) / loadSeconds, "records/s")
    add("scan, every value checked", Double(count) / scanSeconds, "records/s")
    add("random gets, every value checked", Double(readCount) / readSeconds, "gets/s")
    add("resident before the store was opened", empty, "MiB")
    add("peak resident after the load", afterLoad, "MiB")
    add("peak resident after the scan", afterScan, "MiB")
    add(
      "peak resident at the end", processMebibytes("VmHWM"), "MiB",
      target: Double(options.memoryBudgetByteCount >> 20) + 64)
  }
}

/// Gets `readCount` random records and checks each value.
func readRandomly(_ readCount: Int, of count: Int, from store: Store) throws {
  var key = [UInt8](repeating: 0, count: Record.keyByteCount)
  var scratch = [UInt8](repeating: 0, count: Record.valueByteCount)
  for number in 0..<readCount {
    let index = Int(mix(UInt64(number) &+ 1 << 50) % UInt64(count))
    Record.writeKey(index, into: &key)
    let isRight = try store.blocking.withValue(forKey: key.span.bytes) { value in
      Record.matches(value, index: index, version: 0, scratch: &scratch)
    }
    guard isRight == true else { throw Stop("get: record \(index) is not what was written") }
  }
}

/// The store's shape in one line.
func describe(_ statistics: Statistics) -> String {
  let levels = statistics.levels.map { "L\($0.level) \($0.tableCount)x\($0.byteCount >> 20)M" }
  return "memtables \(statistics.memtableByteCount >> 20) MiB, "
    + "cache \(statistics.cacheByteCount >> 20) MiB, log \(statistics.logByteCount >> 20) MiB, "
    + "\(statistics.tableCount) tables of \(statistics.tableByteCount >> 20) MiB "
    + "[\(levels.joined(separator: " "))], back pressure \(statistics.backPressure), "
    + "resident \(rounded(processMebibytes("VmRSS"), 0)) MiB"
}
