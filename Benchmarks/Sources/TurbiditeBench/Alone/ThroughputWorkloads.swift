// ThroughputWorkloads — quick figures: writing, reading, walking.
//
// Room:    Benchmarks.

import Turbidite

private func add(
  _ report: inout Report, _ workload: String, _ name: String, _ count: Int, _ seconds: Double,
  _ unit: String
) {
  report.add(
    Measurement(
      workload: workload, name: name, number: Double(count) / seconds, unit: unit, digits: 0))
}

/// Loads in ascending and in random key order, and with a sync a commit.
func measureFill(_ settings: Settings, _ report: inout Report) throws {
  let count = settings.recordCount ?? 1_000_000
  try withDirectory { directory in
    let store = try Store.Blocking.open(at: directory + "/store", mode: .create)
    let loading = Stopwatch()
    try load(0..<count, into: store)
    add(&report, "fill", "random order, batches of 100", count, loading.seconds, "records/s")
    try check(store, holds: count)

    var key = [UInt8](repeating: 0, count: Record.keyByteCount)
    var value = [UInt8](repeating: 0, count: Record.valueByteCount)
    let single = Stopwatch()
    for index in count..<count + count / 4 {
      Record.writeKey(index, into: &key)
      Record.writeValue(index, version: 0, into: &value)
      try store.blocking.put(key: key.span.bytes, value: value.span.bytes)
    }
    add(&report, "fill", "random order, one by one", count / 4, single.seconds, "records/s")

    let syncedCount = 500
    let synced = Stopwatch()
    for index in count + count / 4..<count + count / 4 + syncedCount {
      Record.writeKey(index, into: &key)
      Record.writeValue(index, version: 0, into: &value)
      try store.blocking.put(
        key: key.span.bytes, value: value.span.bytes, durability: .synced)
    }
    add(&report, "fill", "one by one, each synced", syncedCount, synced.seconds, "records/s")
    try check(store, holds: count + count / 4 + syncedCount)
    try store.blocking.close()
  }
}

/// Random gets of present keys, and of absent ones.
func measureRead(_ settings: Settings, _ report: inout Report) throws {
  let count = settings.recordCount ?? 1_000_000
  try withDirectory { directory in
    let store = try Store.Blocking.open(at: directory + "/store", mode: .create)
    try load(0..<count, into: store)
    try store.blocking.flush()
    try settle(store, quietSeconds: 1)
    try readRandomly(count / 10, of: count, from: store)
    let reading = Stopwatch()
    try readRandomly(count / 2, of: count, from: store)
    add(&report, "read", "random gets, warm, checked", count / 2, reading.seconds, "gets/s")

    var key = [UInt8](repeating: 0, count: Record.keyByteCount)
    let absent = Stopwatch()
    for index in count..<count + count / 2 {
      Record.writeKey(index, into: &key)
      guard try store.blocking.withValue(forKey: key.span.bytes, { _ in true }) == nil else {
        throw Stop("get: record \(index) was never written")
      }
    }
    add(&report, "read", "gets of absent keys", count / 2, absent.seconds, "gets/s")
    try store.blocking.close()
  }
}

/// Whole walks, forward and reverse.
func measureScan(_ settings: Settings, _ report: inout Report) throws {
  let count = settings.recordCount ?? 1_000_000
  try withDirectory { directory in
    let store = try Store.Blocking.open(at: directory + "/store", mode: .create)
    try load(0..<count, into: store)
    try store.blocking.flush()
    try settle(store, quietSeconds: 1)
    let checked = Stopwatch()
    try check(store, holds: count)
    add(&report, "scan", "forward, every value checked", count, checked.seconds, "records/s")
    for reverse in [false, true] {
      let walking = Stopwatch()
      guard try store.blocking.scan(reverse: reverse).count() == count else {
        throw Stop("scan: the count is not what was written")
      }
      let name = reverse ? "reverse, counted" : "forward, counted"
      add(&report, "scan", name, count, walking.seconds, "records/s")
    }
    try store.blocking.close()
  }
}
