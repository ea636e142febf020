// ReopenWorkload — how long an open takes: of nothing, of little, and after a killed process.
//
// Room:    Benchmarks.

import Glibc
import Turbidite

private let smallCount = 10_000

/// The medians of several opens, each in milliseconds.
func measureReopen(_ settings: Settings, _ report: inout Report) throws {
  try withDirectory { directory in
    try measureQuiet(directory, &report)
    try measureIdle(directory + "/idle", &report)
    try measureKilled(directory, settings, &report)
  }
}

private func measureQuiet(_ directory: String, _ report: inout Report) throws {
  var (creations, empties, smalls): ([Double], [Double], [Double]) = ([], [], [])
  for trial in 0..<15 {
    let creation = Stopwatch()
    let store = try Store.Blocking.open(at: "\(directory)/empty\(trial)", mode: .create)
    creations.append(creation.milliseconds)
    try store.blocking.close()

    let opening = Stopwatch()
    let again = try Store.Blocking.open(at: "\(directory)/empty\(trial)", mode: .existing)
    empties.append(opening.milliseconds)
    try again.blocking.close()
  }
  let small = try Store.Blocking.open(at: directory + "/small", mode: .create)
  try load(0..<smallCount, into: small)
  try small.blocking.close()
  for _ in 0..<15 {
    let opening = Stopwatch()
    let store = try Store.Blocking.open(at: directory + "/small", mode: .existing)
    smalls.append(opening.milliseconds)
    try check(store, holds: smallCount)
    try store.blocking.close()
  }
  func add(_ name: String, _ trials: [Double], target: Double?) {
    report.add(
      Measurement(
        workload: "reopen", name: name, number: median(trials), unit: "ms", digits: 2,
        target: target))
  }
  add("create an empty store, median of 15", creations, target: nil)
  add("open an empty store, median of 15", empties, target: 10)
  add("open 10,000 records, median of 15", smalls, target: nil)
}

/// A store of 64 shards and 1,000 keyspaces, of which a tenth hold a key: opened, and left alone.
private func measureIdle(_ path: String, _ report: inout Report) throws {
  let made = try Store.Blocking.open(
    at: path, mode: .create, options: Store.Options(shardCount: 64))
  for number in 0..<1000 {
    let keyspace = try made.blocking.createKeyspace("keyspace \(number)")
    if number % 10 == 0 { try made.blocking.put("key", "value", in: keyspace) }
  }
  try made.blocking.close()
  var opens: [Double] = []
  for _ in 0..<15 {
    let opening = Stopwatch()
    let store = try Store.Blocking.open(at: path, mode: .existing)
    opens.append(opening.milliseconds)
    try store.blocking.close()
  }
  let store = try Store.Blocking.open(at: path, mode: .existing)
  // What an opening leaves to do, and what comes when trees have rested, is done by then.
  sleep(8)
  let before = ResourceUse()
  sleep(5)
  let busy = (ResourceUse().processorSeconds - before.processorSeconds) * 1000
  try store.blocking.close()
  report.add(
    Measurement(
      workload: "reopen", name: "open 64 shards, 1,000 keyspaces, median of 15",
      number: median(opens), unit: "ms", digits: 2, target: 50))
  report.add(
    Measurement(
      workload: "reopen", name: "processor time of that store, idle, 5 s", number: busy,
      unit: "ms", digits: 2, target: 1))
}

private func measureKilled(
  _ directory: String, _ settings: Settings, _ report: inout Report
) throws {
  var (opens, busy): ([Double], [Double]) = ([], [])
  var (logs, entries): ([Double], [Double]) = ([], [])
  for trial in 0..<5 {
    let path = "\(directory)/killed\(trial)"
    let status = try run(["/proc/self/exe", "leave-log", "--directory", path])
    guard status & 0x7f == SIGKILL else { throw Stop("the writing child ended with \(status)") }
    let logByteCount = try diskByteCount(of: path + "/log")
    let opening = Stopwatch()
    let busyBefore = threadMilliseconds()
    let store = try Store.Blocking.open(at: path, mode: .existing)
    opens.append(opening.milliseconds)
    busy.append(threadMilliseconds() - busyBefore)
    logs.append(Double(logByteCount) / 1_048_576)
    let statistics = try store.blocking.statistics()
    entries.append(Double(statistics.recovery.replayedEntryCount))
    settings.note(describe(statistics))
    try check(store, holds: statistics.recovery.replayedEntryCount)
    try store.blocking.close()
    _ = try run(["rm", "-rf", path])
  }
  func add(_ name: String, _ number: Double, _ unit: String, target: Double? = nil) {
    report.add(
      Measurement(
        workload: "reopen", name: name, number: number, unit: unit, digits: 0, target: target))
  }
  add("log left by a killed process, median of 5", median(logs), "MiB")
  add("entries replayed, median of 5", median(entries), "entries")
  add("processor time of that open, median of 5", median(busy), "ms")
  add("open after the kill, median of 5", median(opens), "ms", target: 1000)
}

/// In a child: writes 64 MiB of log that no table covers, and dies.
///
/// Its memtables are large, so that nothing is flushed; the store is opened with the defaults later.
func leaveLog(at path: String) throws -> Never {
  var options = Store.Options()
  options.memoryBudgetByteCount = 2 << 30
  options.memtableByteCount = 512 << 20
  let store = try Store.Blocking.open(at: path, mode: .create, options: options)
  var count = 0
  while try store.blocking.statistics().logByteCount < 64 << 20 {
    try load(count..<count + 10_000, into: store)
    count += 10_000
  }
  kill(getpid(), SIGKILL)
  while true { pause() }
}
