// TombstoneWorkload — what a store takes at rest, and a seek that must pass over what was deleted.
//
// Room:    Benchmarks.

extension Trial {
  func seekOverTombstones() throws {
    let ledger = Ledger(shape: shape)
    let peer = try open("tombstones")
    var unused = Latencies()
    let order = shuffledRanks(recordCount, seed: 14)
    let before = ResourceUse()
    _ = try put(order, into: peer, ledger, whole(recordCount), &unused)
    try peer.flush()
    settle()
    try note(
      "space", recordCount, Latencies(), before, ResourceUse(),
      userByteCount: recordCount * shape.recordByteCount)
    try seekFirst("seek-front", peer, ledger)
    let deletedCount = min(100_000, recordCount / 2)
    _ = try delete(
      0..<UInt32(deletedCount), from: peer, ledger, whole(deletedCount), &unused)
    try seekFirst("seek-deleted", peer, ledger)
    try verify(peer, ledger)
    try peer.close()
  }

  /// Seeks what was the first key, again and again.
  private func seekFirst(_ workload: String, _ peer: any Peer, _ ledger: Ledger) throws {
    try measure(workload) { latencies in
      let session = try peer.session()
      defer { session.end() }
      let shape = ledger.shape
      guard let first = (0..<shape.capacity).first(where: { ledger[$0] != Ledger.absent }) else {
        throw Stop("no record is left")
      }
      let buffer = RecordBuffer(shape)
      let extent = Extent(count: 20_000, seconds: settings.isQuick ? 1 : 2)
      return try extent.run(&latencies) { _ in
        var check = WalkCheck(ledger, from: first)
        try session.scan(Walk(from: buffer.key(0), limit: 1)) { check.accept($0, $1) }
        try check.finish(limit: 1)
      }
    }
  }
}
