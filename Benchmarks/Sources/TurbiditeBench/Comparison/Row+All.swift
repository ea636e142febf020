// Row+All — the lines of the table, and what each is to reach.
//
// Room:    Benchmarks.

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
    Row(workload: "iterators", title: "1,000 open iterators: open, move, step, close"),
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

  /// MiB: the budget, and 15 percent for what it does not count.
  private static let peak = 256 * 1.15

  private static func costs(_ recordCount: Int) -> [Row] {
    [
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
        workload: "iterators", title: "1,000 open iterators, peak memory",
        quantity: .peakMebibytes, goal: .number(peak)),
      Row(
        workloads: WorkloadGroup.allCases.filter { !$0.isLong }.flatMap(\.workloads),
        title: "peak memory, highest of all but growing",
        quantity: .peakMebibytes, goal: .number(peak)),
    ]
  }

  private static func growing(_ recordCount: Int) -> [Row] {
    func size(_ multiple: Int) -> String {
      recordsText(Growth.size(multiple, recordCount: recordCount))
    }
    let largest = Growth.multiples.last!
    return Growth.multiples.flatMap { multiple in
      [
        Row(
          workload: Growth.fill(multiple), title: "fillrandom, growing to \(size(multiple))",
          isLeftOffChart: true),
        Row(
          workload: Growth.read(multiple), title: "readrandom, grown to \(size(multiple))",
          isLeftOffChart: true),
      ]
    } + [
      Row(
        workloads: [Growth.fill(largest), Growth.read(largest)],
        title: "growing to \(size(largest)), peak memory",
        quantity: .peakMebibytes, goal: .number(peak)),
      Row(
        workload: Growth.open,
        title: "cold open and a get, grown to \(size(largest))",
        quantity: .seconds, goal: .number(0.05), isLeftOffChart: true),
    ]
  }

  /// At 64 shards a get and a put may cost a tenth more than at the best count, a scan twice as much.
  private static let sharding =
    ShardCounts.all.flatMap { count in
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
    } + [
      Row(workload: ShardCounts.ingest(1), title: "fillbatch, random, 2 shards, 1 thread"),
      Row(
        workload: ShardCounts.ingest(2), title: "fillbatch, random, 2 shards, 2 threads",
        goal: .timesOwn(1.6, workloads: [ShardCounts.ingest(1)], name: "with one")),
    ]
}
