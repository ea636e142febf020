// FillWorkloads — filling new stores: in order, in batches, with a sync a commit.
//
// Room:    Benchmarks.

import Turbidite

extension Trial {
  var shape: RecordShape { RecordShape(capacity: recordCount, valueByteCount: 100) }

  func fillInOrder() throws {
    let ledger = Ledger(shape: shape)
    let peer = try open("fillseq")
    try measure("fillseq", userByteCount: shape.recordByteCount) { latencies in
      try put(0..<UInt32(recordCount), into: peer, ledger, whole(recordCount), &latencies)
    }
    try verify(peer, ledger)
    try peer.close()
  }

  func fillInBatches() throws {
    let orders = [
      ("fillbatch-sequential", (0..<UInt32(recordCount)).map { $0 }),
      ("fillbatch-random", shuffledRanks(recordCount, seed: 1)),
    ]
    for (name, ranks) in orders where wants(name) {
      let ledger = Ledger(shape: shape)
      let peer = try open(name)
      try measure(name, userByteCount: shape.recordByteCount) { latencies in
        try putBatches(ranks, into: peer, ledger, &latencies)
      }
      try verify(peer, ledger)
      try peer.close()
      try removeStore(name)
    }
  }

  /// One store, and a quarter of the records for each number of threads.
  func fillSynced() throws {
    let ledger = Ledger(shape: shape)
    let ranks = shuffledRanks(recordCount, seed: 2)
    let quarter = recordCount / 4
    let peer = try open("fillsync", PeerTerms(isSynced: true))
    for (number, threadCount) in [1, 8, 16].enumerated() where wants("fillsync-\(threadCount)") {
      let share = quarter / threadCount
      let extent = Extent(count: share, seconds: settings.isQuick ? 1 : 2)
      try measure("fillsync-\(threadCount)", userByteCount: shape.recordByteCount) { latencies in
        try onThreads(threadCount, &latencies) { thread, latencies in
          let mine = ranks[(number * quarter + thread * share)...].prefix(share)
          return try put(mine, into: peer, ledger, extent, &latencies)
        }
      }
    }
    if let ours = peer as? TurbiditePeer, wants("fillsync-tasks") {
      try fillFromTasks(ours.store, ledger, Array(ranks[(3 * quarter)...]))
    }
    try verify(peer, ledger)
    try peer.close()
  }

  /// A thousand tasks, each waiting for its own commits.
  private func fillFromTasks(_ store: Store, _ ledger: Ledger, _ ranks: [UInt32]) throws {
    let taskCount = 1000
    let share = ranks.count / taskCount
    let limit = UInt64(settings.isQuick ? 1_000_000_000 : 2_000_000_000)
    try measure("fillsync-tasks", userByteCount: shape.recordByteCount) { latencies in
      let end = nanoseconds() + limit
      let durations = try waitForTask {
        try await withThrowingTaskGroup(of: [UInt64].self) { group in
          for task in 0..<taskCount {
            let mine = ranks[(task * share)...].prefix(share)
            group.addTask { try await putSynced(mine, into: store, ledger, until: end) }
          }
          return try await group.reduce(into: [UInt64]()) { $0 += $1 }
        }
      }
      for duration in durations { latencies.record(duration) }
      return durations.count
    }
  }
}

/// Puts record after record and gives how long each took.
private func putSynced(
  _ ranks: ArraySlice<UInt32>, into store: Store, _ ledger: Ledger, until end: UInt64
) async throws -> [UInt64] {
  var durations: [UInt64] = []
  var last = nanoseconds()
  for rank in ranks {
    if last > end { break }
    let (key, value) = record(Int(rank), ledger.shape)
    try await store.put(key, value, durability: .synced)
    ledger[Int(rank)] = 0
    let time = nanoseconds()
    durations.append(time - last)
    last = time
  }
  return durations
}

private func record(_ rank: Int, _ shape: RecordShape) -> (Bytes, Bytes) {
  let buffer = RecordBuffer(shape)
  return (
    Bytes(copying: buffer.key(rank).bytes), Bytes(copying: buffer.value(rank, version: 0).bytes)
  )
}
