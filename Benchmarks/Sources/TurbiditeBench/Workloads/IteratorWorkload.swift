// IteratorWorkload — a thousand scans held open at once.
//
// Room:    Benchmarks.

/// Scans that are open at once.
private let iteratorCount = 1000
/// Entries that each has given while the others are opened, and gives after that.
private let stepCount = 3

extension Trial {
  /// Each scan opens the next from within itself, so that all are in the midst of their entries when
  /// the last is open: whatever an engine keeps for a scan, it keeps a thousand times.
  func holdIterators(_ peer: any Peer, _ ledger: Ledger) throws {
    try measure("iterators") { latencies in
      var numbers = RandomNumbers(seed: 22)
      let lastRank = ledger.shape.capacity - 2 * stepCount
      let ranks = (0..<iteratorCount).map { _ in numbers.below(lastRank) }
      try holdScan(from: ranks[...], peer, ledger, RecordBuffer(ledger.shape), &latencies)
      return iteratorCount
    }
  }
}

/// Scans from the first of `ranks`, in a session of its own, and half-way does the same for the rest.
private func holdScan(
  from ranks: ArraySlice<Int>, _ peer: any Peer, _ ledger: Ledger,
  _ buffer: borrowing RecordBuffer, _ latencies: inout Latencies
) throws {
  guard let rank = ranks.first else { return }
  let start = nanoseconds()
  let session = try peer.session()
  defer { session.end() }
  var check = WalkCheck(ledger, from: rank)
  var failure: (any Error)?
  try session.scan(Walk(from: buffer.key(rank), limit: 2 * stepCount)) { key, value in
    guard check.accept(key, value) else { return false }
    guard check.count == stepCount else { return true }
    latencies.record(nanoseconds() - start)
    do {
      try holdScan(from: ranks.dropFirst(), peer, ledger, buffer, &latencies)
    } catch {
      failure = error
    }
    return failure == nil
  }
  if let failure { throw failure }
  try check.finish(limit: 2 * stepCount)
}
