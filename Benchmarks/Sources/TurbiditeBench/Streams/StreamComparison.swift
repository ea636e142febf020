// StreamComparison — appends and tails of our streams beside servers that keep logs of events.
//
// Room:    Benchmarks.

import Glibc
import Turbidite

/// So many threads append batches of so many events.
private struct AppendCase: Hashable {
  var sync: Sync
  var writerCount: Int
  var batchCount: Int

  var name: String {
    "\(sync.rawValue), \(writerCount == 1 ? "1 writer" : "\(writerCount) writers"), "
      + (batchCount == 1 ? "single" : "batches of \(batchCount)")
  }

  static let all = Sync.allCases.flatMap { sync in
    [1, 16].flatMap { writerCount in
      [1, 100, 1000].map {
        AppendCase(sync: sync, writerCount: writerCount, batchCount: $0)
      }
    }
  }
}

private let eventByteCount = 100
private let roundCount = 3

/// So many events are made before anything is timed, and appended again and again.
private let poolCount = 8192

/// Events of 100 bytes, half compressible and no two alike, one behind the other.
private func makeEvents(seed: Int) -> [UInt8] {
  var value = [UInt8](repeating: 0, count: eventByteCount)
  var bytes: [UInt8] = []
  for index in 0..<poolCount {
    Record.writeValue(seed * poolCount + index, version: 0, into: &value)
    bytes += value
  }
  return bytes
}

/// Appends events of 100 bytes for a second in each case, and follows a tail beside one writer.
///
/// Three rounds, in which engines take turns; servers are reached on the loopback interface.
/// Each event that is acknowledged must be there at the end, and a tail gets all of them in their
/// order.
func measureStreams(_ settings: Settings, _ report: inout Report) throws {
  let kinds = EventEngineKind.all.filter { kind in
    if kind.isThere { return true }
    complain("\(kind.name): skipped; it takes \(kind.aptPackages)")
    return false
  }
  var rates: [AppendCase: [String: [Double]]] = [:]
  var delays: [String: [(median: Double, p99: Double)]] = [:]
  for round in 0..<roundCount {
    for sync in Sync.allCases {
      let first = round % kinds.count
      for kind in kinds[first...] + kinds[..<first] where kind.syncs.contains(sync) {
        try withDirectory { directory in
          guard let engine = try kind.open?(directory, sync) else { return }
          var count = 0
          for trial in AppendCase.all where trial.sync == sync {
            let (appended, seconds) = try append(trial, to: engine)
            count += appended
            rates[trial, default: [:]][kind.name, default: []].append(Double(appended) / seconds)
          }
          if sync == .buffered {
            let delay = try follow(engine, count: settings.recordCount ?? 3_000, &count)
            delays[kind.name, default: []].append(delay)
          }
          guard try engine.eventCount() == count else {
            throw Stop("\(kind.name): \(try engine.eventCount()) events, not \(count)")
          }
          try engine.close()
        }
      }
      complain("round \(round + 1) of \(roundCount), \(sync.rawValue)")
    }
  }
  let names = kinds.map(\.name)
  for trial in AppendCase.all {
    guard let rates = rates[trial] else { continue }
    say(StreamLine.rates(trial.name, names, rates, factor: trial.batchCount > 1 ? 10 : nil))
  }
  say(
    StreamLine.delays(
      "tail, from append to delivery, p50", names, delays.mapValues { $0.map(\.median) },
      limit: nil))
  say(
    StreamLine.delays(
      "tail, from append to delivery, p99", names, delays.mapValues { $0.map(\.p99) }, limit: 1000))
  for batchCount in [1, 100] { try measureAmplification(batchCount, settings, &report) }
}

/// Bytes written, the log's too, over those of keys and values, for ours alone: events of 100 bytes
/// half compressible, with keys of 16, in eight partitions; to the end of all background work.
private func measureAmplification(
  _ batchCount: Int, _ settings: Settings, _ report: inout Report
) throws {
  let count = 200 * (settings.recordCount ?? 5_000)
  try withDirectory { directory in
    let store = try Store.Blocking.open(at: directory + "/store")
    let stream = try store.blocking.createStream("events", partitionCount: 8)
    let before = ResourceUse()
    var batch = Store.Batch()
    var key = [UInt8](repeating: 0, count: Record.keyByteCount)
    var value = [UInt8](repeating: 0, count: Record.valueByteCount)
    for number in 0..<count {
      Record.writeKey(number, into: &key)
      Record.writeValue(number, version: 0, into: &value)
      batch.append(NewEvent(Bytes(value), key: Bytes(key)), to: stream)
      if (number + 1) % batchCount == 0 { try store.blocking.commit(&batch) }
    }
    try store.blocking.commit(batch)
    try store.blocking.flush()
    sleep(4)
    let written = ResourceUse().writtenByteCount - before.writtenByteCount
    report.add(
      Measurement(
        workload: "streams",
        name: "write amplification, \(batchCount == 1 ? "single" : "batches of \(batchCount)")",
        number: Double(written) / Double(count * Record.byteCount), unit: "", digits: 2,
        target: 2.2))
    try store.blocking.close()
  }
}

private func append(
  _ trial: AppendCase, to engine: any EventEngine
) throws -> (count: Int, seconds: Double) {
  let pools = (0..<trial.writerCount).map(makeEvents)
  let time = Stopwatch()
  let counts = try onThreads(trial.writerCount) { thread in
    let writer = try engine.writer()
    return try pools[thread].withUnsafeBytes { events in
      var count = 0
      let end = nanoseconds() + 1_000_000_000
      while nanoseconds() < end {
        try writer.append(trial.batchCount) { index in
          let start = (count + index) % poolCount * eventByteCount
          return Lent(rebasing: events[start..<start + eventByteCount])
        }
        count += trial.batchCount
      }
      return count
    }
  }
  return (counts.reduce(0, +), time.seconds)
}

/// One thread appends an event each half millisecond, another reads them as they come.
private func follow(
  _ engine: any EventEngine, count: Int, _ total: inout Int
) throws -> (median: Double, p99: Double) {
  let parts = try onThreads(2) { thread -> Latencies in
    var latencies = Latencies()
    if thread == 1 {
      let reader = try engine.tail()
      var seen = 0
      while seen < count {
        try reader.read { event in
          let now = nanoseconds()
          let number = event.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
          if number == UInt64(seen) {
            latencies.record(now - event.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
          }
          seen += number == UInt64(seen) ? 1 : count + 1
        }
      }
      guard seen == count else { throw Stop("a tail gave events out of their order") }
      return latencies
    }
    let writer = try engine.writer()
    var event = [UInt8](repeating: 0, count: eventByteCount)
    usleep(200_000)
    for number in 0..<count {
      event.withUnsafeMutableBytes {
        $0.storeBytes(of: UInt64(number), toByteOffset: 0, as: UInt64.self)
        $0.storeBytes(of: nanoseconds(), toByteOffset: 8, as: UInt64.self)
      }
      try event.withUnsafeBytes { bytes in try writer.append(1) { _ in bytes } }
      usleep(500)
    }
    return latencies
  }
  total += count
  guard let median = parts[1].percentile(50), let p99 = parts[1].percentile(99) else {
    throw Stop("a tail gave nothing")
  }
  return (median, p99)
}

/// A line of the table.
private enum StreamLine {
  static func rates(
    _ title: String, _ names: [String], _ rates: [String: [Double]], factor: Double?
  ) -> String {
    var cells: [String] = []
    var best = 0.0
    for name in names {
      guard let theirs = rates[name] else { continue }
      let number = median(theirs)
      cells.append("\(name) \(rounded(number / 1000)) k/s")
      if name != names[0] { best = max(best, number) }
    }
    let ours = rates[names[0]] ?? []
    return line(title, cells, best == 0 ? nil : median(ours) / best, factor)
  }

  /// Microseconds.
  static func delays(
    _ title: String, _ names: [String], _ delays: [String: [Double]], limit: Double?
  ) -> String {
    let cells = names.compactMap { name in
      delays[name].map { "\(name) \(rounded(median($0))) us" }
    }
    let ours = median(delays[names[0]] ?? [])
    let best = names.dropFirst().compactMap { delays[$0].map(median) }.min()
    var text = line(title, cells, best.map { $0 / ours }, nil)
    if let limit { text += "  <= \(rounded(limit, 0)) us \(ours <= limit ? "met" : "MISSED")" }
    return text
  }

  private static func line(
    _ title: String, _ cells: [String], _ ratio: Double?, _ factor: Double?
  ) -> String {
    var text = title + String(repeating: " ", count: max(1, 38 - title.count))
    for cell in cells { text += cell + String(repeating: " ", count: max(2, 24 - cell.count)) }
    if let ratio { text += "x the better \(rounded(ratio))" }
    if let ratio, let factor {
      text += "  >= \(rounded(factor, 0)) \(ratio >= factor ? "met" : "MISSED")"
    }
    return text
  }
}
