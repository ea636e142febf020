// Writing — loops that put and delete records, and keep the ledger.
//
// Room:    Benchmarks.

/// Puts the records of `ranks` one by one, each at its next version.
func put(
  _ ranks: some RandomAccessCollection<UInt32>, into peer: any Peer, _ ledger: Ledger,
  _ extent: Extent, _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(ledger.shape)
  var next = ranks.startIndex
  return try extent.run(&latencies) { _ in
    let rank = Int(ranks[next])
    next = ranks.index(after: next)
    let version = ledger[rank] &+ 1
    try session.put(buffer.key(rank), buffer.value(rank, version: version))
    ledger[rank] = version
  }
}

/// Puts the records of `ranks` in batches of 1,000; the latencies are those of batches.
func putBatches(
  _ ranks: some RandomAccessCollection<UInt32>, into peer: any Peer, _ ledger: Ledger,
  _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(ledger.shape)
  var next = ranks.startIndex
  let batchCount = (ranks.count + 999) / 1000
  _ = try Extent(count: batchCount, seconds: 3600).run(&latencies) { _ in
    let end = ranks.index(next, offsetBy: 1000, limitedBy: ranks.endIndex) ?? ranks.endIndex
    while next != end {
      let rank = Int(ranks[next])
      next = ranks.index(after: next)
      let version = ledger[rank] &+ 1
      try session.batchPut(buffer.key(rank), buffer.value(rank, version: version))
      ledger[rank] = version
    }
    try session.commitBatch()
  }
  return ranks.count
}

/// Deletes the records of `ranks` one by one.
func delete(
  _ ranks: some RandomAccessCollection<UInt32>, from peer: any Peer, _ ledger: Ledger,
  _ extent: Extent, _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(ledger.shape)
  var next = ranks.startIndex
  return try extent.run(&latencies) { _ in
    let rank = Int(ranks[next])
    next = ranks.index(after: next)
    try session.delete(buffer.key(rank))
    ledger[rank] = Ledger.absent
  }
}
