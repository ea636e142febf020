// WorkloadGroup — the workloads that share a process, and mostly a store.
//
// Room:    Benchmarks.

enum WorkloadGroup: String, CaseIterable, Sendable {
  case sequential, batches, random, synced, tombstones, ycsb, reopening, shards, growth

  var workloads: [String] {
    switch self {
    case .sequential: ["fillseq"]
    case .batches: ["fillbatch-sequential", "fillbatch-random"]
    case .random:
      ["fillrandom"] + Trial.readNames + ["iterators"]
        + Trial.readNames.map { $0 + "-compacted" }
        + [
          "readwhilewriting", "readwhilewriting-writer", "overwrite", "compact", "deleterandom",
        ]
    case .synced: ["fillsync-1", "fillsync-8", "fillsync-16", "fillsync-tasks"]
    case .tombstones: ["space", "seek-front", "seek-deleted"]
    case .ycsb: ["ycsb-load"] + ["a", "b", "c", "d", "e", "f"].map { "ycsb-" + $0 }
    case .reopening: ["reopen-clean", "reopen-log"]
    case .shards: ShardCounts.workloads
    case .growth: Growth.workloads
    }
  }

  /// Takes as long as a round of all others together, and runs in the first round only.
  var isLong: Bool { self == .growth }

  /// Asks for what the peers do not have.
  var isOursAlone: Bool { self == .shards }

  func run(_ trial: Trial) throws {
    switch self {
    case .sequential: try trial.fillInOrder()
    case .batches: try trial.fillInBatches()
    case .random: try trial.fillReadAndOverwrite()
    case .synced: try trial.fillSynced()
    case .tombstones: try trial.seekOverTombstones()
    case .ycsb: try trial.runYCSB()
    case .reopening: try trial.reopen()
    case .shards: try trial.measureShards()
    case .growth: try trial.grow()
    }
  }
}
