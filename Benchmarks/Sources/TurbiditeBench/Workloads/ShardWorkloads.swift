// ShardWorkloads — our store alone with one shard, with a few, and with many.
//
// Room:    Benchmarks.

/// How many shards a store is given.
enum ShardCounts {
  static let all = [1, 4, 16, 64, 256]

  static var workloads: [String] {
    all.map(fill) + all.map(read) + all.map(scan) + [ingest(1), ingest(2)]
  }

  static func fill(_ count: Int) -> String { "shards-fill-\(count)" }
  static func read(_ count: Int) -> String { "shards-read-\(count)" }
  static func scan(_ count: Int) -> String { "shards-scan-\(count)" }
  /// Two shards, and one thread or two that write.
  static func ingest(_ threadCount: Int) -> String { "shards-ingest-\(threadCount)" }
}

extension Trial {
  func measureShards() throws {
    try compareShardCounts()
    try ingest()
  }

  /// Each round begins with another count, so that no count has always the same neighbour in time.
  private func compareShardCounts() throws {
    let order = shuffledRanks(recordCount, seed: 19)
    let first = settings.round % ShardCounts.all.count
    for count in ShardCounts.all[first...] + ShardCounts.all[..<first]
    where [ShardCounts.fill, ShardCounts.read, ShardCounts.scan].contains(where: {
      wants($0(count))
    }) {
      let ledger = Ledger(shape: shape)
      let peer = try open("shards", PeerTerms(shardCount: count))
      // With the flush: many shards put it off for longer, and would seem to write for less.
      try measure(ShardCounts.fill(count), userByteCount: shape.recordByteCount) { latencies in
        let count = try put(order, into: peer, ledger, whole(order.count), &latencies)
        try peer.flush()
        return count
      }
      settle()
      try measure(ShardCounts.read(count)) { latencies in
        try getRandomly(
          peer, ledger, among: ledger.ranks, extent(min(recordCount, 500_000)), seed: 20,
          &latencies)
      }
      // Thrice, because one walk is over in a fraction of a second.
      try measure(ShardCounts.scan(count)) { _ in
        try (0..<3).reduce(0) { sum, _ in try sum + verify(peer, ledger) }
      }
      try peer.close()
      try removeStore("shards")
    }
  }

  /// Batches from one thread, and the same records from two at once.
  private func ingest() throws {
    let order = shuffledRanks(recordCount, seed: 21)
    for threadCount in settings.round.isMultiple(of: 2) ? [1, 2] : [2, 1]
    where wants(ShardCounts.ingest(threadCount)) {
      let ledger = Ledger(shape: shape)
      let peer = try open("ingest", PeerTerms(shardCount: 2))
      let share = recordCount / threadCount
      let workload = ShardCounts.ingest(threadCount)
      try measure(workload, userByteCount: shape.recordByteCount) { latencies in
        try onThreads(threadCount, &latencies) { thread, latencies in
          try putBatches(order[(thread * share)...].prefix(share), into: peer, ledger, &latencies)
        }
      }
      try verify(peer, ledger)
      try peer.close()
      try removeStore("ingest")
    }
  }
}
