// GrowthWorkloads — one store that grows: what a put and a get cost at each size, and a cold open.
//
// Room:    Benchmarks.
// Limits:  A peer may fill for so many seconds in all; what is loaded by then is read, and no larger
//          size is tried.

/// The sizes at which a growing store is measured.
enum Growth {
  /// In units of the comparison's records, of which at most a million are taken.
  static let multiples = [1, 10, 30]

  static var workloads: [String] { multiples.map(fill) + multiples.map(read) + [open] }

  /// Puts in random order, from the size before up to this one.
  static func fill(_ multiple: Int) -> String { "growth-fill-\(multiple)" }
  /// Random gets of what is loaded then.
  static func read(_ multiple: Int) -> String { "growth-read-\(multiple)" }

  /// Opening what has grown, with nothing of its files in memory, and a get.
  static let open = "growth-open"

  /// Time for all puts of a peer; ours loads all, because its goal of a cold open is for all.
  static func peerSeconds(isQuick: Bool) -> Double { isQuick ? 10 : 60 }

  static func size(_ multiple: Int, recordCount: Int) -> Int {
    multiple * min(recordCount, 1_000_000)
  }
}

extension Trial {
  /// One store for all sizes: a new one for each would put the same records again.
  func grow() throws {
    let sizes = Growth.multiples.map { Growth.size($0, recordCount: recordCount) }
    let ledger = Ledger(shape: RecordShape(capacity: sizes.max()!, valueByteCount: 100))
    let order = shuffledRanks(ledger.shape.capacity, seed: 17)
    harnessByteCount = ledger.byteCount + order.count * MemoryLayout<UInt32>.stride
    let peer = try open("growth")
    var seconds =
      kind.name == PeerKind.ours
      ? whole(order.count).seconds : Growth.peerSeconds(isQuick: settings.isQuick)
    var loaded = order[..<0]
    for (multiple, size) in zip(Growth.multiples, sizes) where seconds > 0 {
      let filling = Stopwatch()
      try measure(Growth.fill(multiple), userByteCount: shape.recordByteCount) { latencies in
        let rest = order[loaded.endIndex..<size]
        let extent = Extent(count: rest.count, seconds: seconds)
        let count = try put(rest, into: peer, ledger, extent, &latencies)
        loaded = order[..<(loaded.endIndex + count)]
        return count
      }
      seconds -= filling.seconds
      try measure(Growth.read(multiple)) { latencies in
        try getRandomly(
          peer, ledger, among: loaded, extent(min(recordCount, 500_000)), seed: 18, &latencies)
      }
    }
    try verify(peer, ledger)
    try closeAtRest(peer)
    for rank in loaded.prefix(5) {
      try dropCachedPages(below: path("growth"))
      try measureOpen("growth", as: Growth.open, ledger, rank: Int(rank))
    }
  }
}
