// ReadWorkloads — gets, seeks and walks over a store; every value is checked.
//
// Room:    Benchmarks.

/// Entries after the one that was sought.
private let nextCount = 10

extension Trial {
  static let readNames = [
    "readrandom", "readrandom-2", "readmissing", "readseq", "readreverse", "scankeys", "seekrandom",
  ]

  /// Every read workload; `suffix` says in which state the store is.
  func read(_ peer: any Peer, _ ledger: Ledger, suffix: String) throws {
    let count = min(recordCount, 500_000)
    if wants("readrandom" + suffix) {
      try measure("readrandom" + suffix) { latencies in
        try getRandomly(
          peer, ledger, among: ledger.ranks, extent(count), seed: 3, &latencies)
      }
    }
    if wants("readrandom-2" + suffix) {
      let extent = extent(count / 2)
      try measure("readrandom-2" + suffix) { latencies in
        try onThreads(2, &latencies) { thread, latencies in
          try getRandomly(
            peer, ledger, among: ledger.ranks, extent, seed: UInt64(4 + thread), &latencies)
        }
      }
    }
    if wants("readmissing" + suffix) {
      try measure("readmissing" + suffix) { latencies in
        try getAbsent(peer, ledger, extent(count), &latencies)
      }
    }
    try walk(peer, ledger, suffix: suffix)
    if wants("seekrandom" + suffix) {
      try measure("seekrandom" + suffix) { latencies in
        try seekRandomly(peer, ledger, extent(count / 5), &latencies)
      }
    }
  }

  private func walk(_ peer: any Peer, _ ledger: Ledger, suffix: String) throws {
    let walks = [
      ("readseq", Walk()), ("readreverse", Walk(isReversed: true)),
      ("scankeys", Walk(isOfKeysOnly: true)),
    ]
    let session = try peer.session()
    defer { session.end() }
    for (name, walk) in walks where wants(name + suffix) {
      try measure(name + suffix) { _ in
        var check = WalkCheck(
          ledger, isReversed: walk.isReversed, keysOnly: walk.isOfKeysOnly)
        try session.scan(walk) { check.accept($0, $1) }
        try check.finish()
        return check.count
      }
    }
  }
}

/// Gets records of `ranks`, which are there.
func getRandomly(
  _ peer: any Peer, _ ledger: Ledger, among ranks: some RandomAccessCollection<UInt32>,
  _ extent: Extent, seed: UInt64, _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(ledger.shape)
  var numbers = RandomNumbers(seed: seed)
  return try extent.run(&latencies) { _ in
    let place = ranks.index(ranks.startIndex, offsetBy: numbers.below(ranks.count))
    try expect(session, ledger, buffer, Int(ranks[place]))
  }
}

/// Gets a record and checks that its value is what was last written.
@inline(__always)
func expect(
  _ session: any PeerSession, _ ledger: Ledger, _ buffer: borrowing RecordBuffer, _ rank: Int
) throws {
  let shape = ledger.shape
  let expected = ledger[rank]
  let isRight = try session.get(buffer.key(rank)) { value in
    shape.version(of: value, rank: rank) == expected
  }
  guard isRight == true else {
    throw Stop("get: record \(rank) is \(isRight == nil ? "missing" : "not what was written")")
  }
}

private func getAbsent(
  _ peer: any Peer, _ ledger: Ledger, _ extent: Extent, _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(ledger.shape)
  var numbers = RandomNumbers(seed: 6)
  return try extent.run(&latencies) { _ in
    let rank = numbers.below(ledger.shape.capacity)
    guard try session.get(buffer.key(rank, isAbsent: true), { _ in true }) == nil else {
      throw Stop("get: a key that nobody wrote has a value")
    }
  }
}

private func seekRandomly(
  _ peer: any Peer, _ ledger: Ledger, _ extent: Extent, _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(ledger.shape)
  var numbers = RandomNumbers(seed: 7)
  return try extent.run(&latencies) { _ in
    let rank = numbers.below(ledger.shape.capacity)
    try seek(session, ledger, buffer, rank, limit: 1 + nextCount)
  }
}

/// Seeks the key of `rank` and checks up to `limit` entries from there.
@inline(__always)
func seek(
  _ session: any PeerSession, _ ledger: Ledger, _ buffer: borrowing RecordBuffer, _ rank: Int,
  limit: Int
) throws {
  var check = WalkCheck(ledger, from: rank)
  try session.scan(Walk(from: buffer.key(rank), limit: limit)) { check.accept($0, $1) }
  try check.finish(limit: limit)
}
