// Row — a line of the table: what is compared, and what it is to reach.
//
// Room:    Benchmarks.

/// A number taken from an outcome.
enum Quantity: Sendable {
  case rate, seconds, diskMebibytes, writeAmplification, peakMebibytes, p999, longest

  func value(of outcome: Outcome) -> Double? {
    switch self {
    case .rate: outcome.operationsPerSecond
    case .seconds: outcome.seconds
    case .diskMebibytes: Double(outcome.diskByteCount) / 1_048_576
    case .writeAmplification: outcome.writeAmplification
    case .peakMebibytes: outcome.peakMebibytes
    case .p999: outcome.p999
    case .longest: outcome.longest
    }
  }

  /// Whether more is better.
  var isRate: Bool { self == .rate }

  func text(_ value: Double) -> String {
    switch self {
    case .rate:
      value >= 1_000_000
        ? rounded(value / 1_000_000, 2) + " M/s"
        : value >= 1000
          ? rounded(value / 1000, value >= 100_000 ? 0 : 1) + " k/s"
          : rounded(value, 0) + " /s"
    case .seconds: value >= 1 ? rounded(value, 2) + " s" : rounded(value * 1000, 1) + " ms"
    case .diskMebibytes, .peakMebibytes: rounded(value, 0) + " MiB"
    case .writeAmplification: rounded(value, 2)
    case .p999, .longest:
      value >= 1000 ? rounded(value / 1000, 1) + " ms" : rounded(value, 1) + " us"
    }
  }
}

/// What a row is to reach.
enum Goal: Sendable {
  case none
  /// So many times the best peer.
  case timesBest(Double)
  /// So many times one peer.
  case times(Double, peer: String)
  /// A number of our own, at least for a rate and at most for a cost.
  case number(Double)
  /// So many times the best rate that ours has in other workloads, which `name` sums up.
  case timesOwn(Double, workloads: [String], name: String)
}

struct Row: Sendable {
  /// In place of a name: the highest of all workloads in a round.
  static let anyWorkload = "any"

  var workload: String
  var title: String
  var quantity = Quantity.rate
  var goal = Goal.none
  /// What the peers are measured by, where they cannot do what we do.
  var peerWorkload: String?

  /// Whether a chart of its own shows it.
  var hasOwnChart = false

  /// Whether the row stands in the chart of ratios.
  var isCharted: Bool { (quantity == .rate || quantity == .seconds) && !hasOwnChart }
}

extension Row {
  static func all(recordCount: Int) -> [Row] {
    writing + reading(suffix: "", title: "as loaded")
      + reading(suffix: "-compacted", title: "compacted") + mixed + costs(recordCount)
      + growing(recordCount) + sharding
  }

  private static let writing = [
    Row(workload: "fillseq", title: "fillseq", goal: .timesBest(2)),
    Row(
      workload: "fillbatch-sequential", title: "fillbatch, 1,000, sequential",
      goal: .timesBest(1.5)),
    Row(workload: "fillbatch-random", title: "fillbatch, 1,000, random", goal: .timesBest(3)),
    Row(workload: "fillrandom", title: "fillrandom", goal: .timesBest(3)),
    Row(workload: "overwrite", title: "overwrite", goal: .timesBest(3)),
    Row(workload: "deleterandom", title: "deleterandom", goal: .timesBest(3)),
    Row(workload: "fillsync-1", title: "fillsync, 1 thread", goal: .timesBest(1)),
    Row(workload: "fillsync-8", title: "fillsync, 8 threads", goal: .timesBest(2)),
    Row(workload: "fillsync-16", title: "fillsync, 16 threads", goal: .timesBest(2)),
    Row(
      workload: "fillsync-tasks", title: "fillsync, 1,000 tasks (peers: 16 threads)",
      goal: .number(100_000), peerWorkload: "fillsync-16"),
  ]

  private static func reading(suffix: String, title: String) -> [Row] {
    let isCompacted = suffix != ""
    func row(_ workload: String, _ name: String, _ goal: Goal) -> Row {
      Row(workload: workload + suffix, title: "\(name), \(title)", goal: goal)
    }
    return [
      row("readrandom", "readrandom", .timesBest(isCompacted ? 2 : 1.5)),
      row("readrandom-2", "readrandom, 2 threads", .timesBest(isCompacted ? 2 : 1.5)),
      row("readmissing", "readmissing", .timesBest(3)),
      row("readseq", "readseq", .timesBest(1.2)),
      row("readreverse", "readreverse", .timesBest(1.2)),
      row("scankeys", "scan of keys only", .none),
      row("seekrandom", "seekrandom, 10 nexts", .timesBest(1.2)),
    ]
  }

  private static let mixed = [
    Row(workload: "readwhilewriting", title: "readwhilewriting, reader", goal: .number(400_000)),
    Row(
      workload: "readwhilewriting-writer", title: "readwhilewriting, writer",
      goal: .number(200_000)),
    Row(workload: "seek-front", title: "seek of the first key"),
    Row(
      workload: "seek-deleted", title: "the same after 100,000 deletes",
      goal: .timesOwn(0.5, workloads: ["seek-front"], name: "without")),
    Row(workload: "ycsb-load", title: "YCSB load, batches of 1,000"),
    Row(workload: "ycsb-a", title: "YCSB A", goal: .timesBest(1.2)),
    Row(workload: "ycsb-b", title: "YCSB B", goal: .timesBest(1.2)),
    Row(workload: "ycsb-c", title: "YCSB C", goal: .timesBest(1.2)),
    Row(workload: "ycsb-d", title: "YCSB D", goal: .timesBest(1.2)),
    Row(workload: "ycsb-e", title: "YCSB E", goal: .timesBest(1.2)),
    Row(workload: "ycsb-f", title: "YCSB F", goal: .timesBest(1.2)),
    Row(workload: "compact", title: "compact after overwrite", quantity: .seconds),
    Row(workload: "reopen-clean", title: "reopen, closed", quantity: .seconds),
    Row(
      workload: "reopen-log", title: "reopen, 64 MiB of log after a kill", quantity: .seconds,
      goal: .number(0.5)),
  ]

  private static func costs(_ recordCount: Int) -> [Row] {
    let peak = 256 * 1.15
    return [
      Row(
        workload: "space", title: "bytes on disk after fillrandom", quantity: .diskMebibytes,
        goal: .number(65e6 / 1_048_576 * Double(recordCount) / 1e6)),
      Row(
        workload: "space", title: "write amplification of fillrandom",
        quantity: .writeAmplification, goal: .number(1.7)),
      Row(
        workload: "fillrandom", title: "fillrandom, p99.9 of a put", quantity: .p999,
        goal: .times(3, peer: "rocksdb")),
      Row(
        workload: "fillrandom", title: "fillrandom, longest put", quantity: .longest,
        goal: .number(100_000)),
      Row(
        workload: "ycsb-a", title: "YCSB A, longest operation", quantity: .longest,
        goal: .number(100_000)),
      Row(
        workload: "fillrandom", title: "fillrandom, peak memory", quantity: .peakMebibytes,
        goal: .number(peak)),
      Row(
        workload: anyWorkload, title: "peak memory, highest of all workloads",
        quantity: .peakMebibytes, goal: .number(peak)),
    ]
  }

  private static func growing(_ recordCount: Int) -> [Row] {
    Growth.multiples.flatMap { multiple in
      let size = recordsText(Growth.size(multiple, recordCount: recordCount))
      return [
        Row(
          workload: Growth.fill(multiple), title: "fillrandom, growing to \(size)",
          hasOwnChart: true),
        Row(
          workload: Growth.read(multiple), title: "readrandom, grown to \(size)",
          hasOwnChart: true),
      ]
    }
  }
}

extension Row {
  /// At 64 shards a get and a put may cost a tenth more than at the best count, a scan twice as much.
  fileprivate static let sharding = ShardCounts.all.flatMap { count in
    func row(_ title: String, _ workload: (Int) -> String, least: Double) -> Row {
      Row(
        workload: workload(count), title: "\(title), \(count) \(count == 1 ? "shard" : "shards")",
        goal: count == 64
          ? .timesOwn(
            least, workloads: ShardCounts.all.map(workload), name: "at the best count") : .none)
    }
    return [
      row("fillrandom and flush", ShardCounts.fill, least: 1 / 1.1),
      row("readrandom", ShardCounts.read, least: 1 / 1.1),
      row("readseq", ShardCounts.scan, least: 1 / 2),
    ]
  }
}

/// A number of records in a few letters.
func recordsText(_ count: Int) -> String {
  if count < 1_000_000 { return rounded(Double(count) / 1000, 0) + " k" }
  let millions = Double(count) / 1_000_000
  return rounded(millions, millions == millions.rounded() ? 0 : 1) + " M"
}
