// RandomWorkloads — a store filled in random order, then read, compacted, read, overwritten, emptied.
//
// Room:    Benchmarks.

extension Trial {
  func fillReadAndOverwrite() throws {
    let ledger = Ledger(shape: shape)
    let peer = try open("random")
    let order = shuffledRanks(recordCount, seed: 8)
    try measure("fillrandom", userByteCount: shape.recordByteCount) { latencies in
      try put(order, into: peer, ledger, whole(recordCount), &latencies)
    }
    try read(peer, ledger, suffix: "")
    if wants("iterators") { try holdIterators(peer, ledger) }
    if Self.readNames.contains(where: { wants($0 + "-compacted") }) {
      try peer.compact()
      try read(peer, ledger, suffix: "-compacted")
    }
    try readWhileWriting(peer, ledger)
    try change(peer, ledger)
    try verify(peer, ledger)
    try peer.close()
  }

  private func change(_ peer: any Peer, _ ledger: Ledger) throws {
    if wants("overwrite") || wants("compact") {
      let order = shuffledRanks(recordCount, seed: 9)
      try measure("overwrite", userByteCount: shape.recordByteCount) { latencies in
        try put(order, into: peer, ledger, whole(recordCount), &latencies)
      }
    }
    // Here, because before the first reads have ended an engine may have compacted by itself.
    if wants("compact") {
      try measure("compact") { _ in
        try peer.compact()
        return 1
      }
    }
    if wants("deleterandom") {
      let order = shuffledRanks(recordCount, seed: 10)
      try measure("deleterandom", userByteCount: RecordShape.keyByteCount) { latencies in
        try delete(
          order, from: peer, ledger, extent(recordCount, quickSeconds: 5), &latencies)
      }
    }
  }

  /// A reader and a writer, each on its thread, for the same time.
  private func readWhileWriting(_ peer: any Peer, _ ledger: Ledger) throws {
    guard wants("readwhilewriting") else { return }
    let extent = Extent(count: .max, seconds: settings.isQuick ? 1.5 : 4)
    try ResourceUse.resetPeak()
    let before = ResourceUse()
    let parts = try onThreads(2) { thread in
      var latencies = Latencies()
      let count =
        try thread == 0
        ? getChanging(peer, ledger.shape, extent, &latencies)
        : overwriteRandomly(peer, ledger, extent, &latencies)
      return (count, latencies)
    }
    let after = ResourceUse()
    try note(
      "readwhilewriting", parts[0].0, parts[0].1, before, after, userByteCount: 0)
    try note(
      "readwhilewriting-writer", parts[1].0, parts[1].1, before, after,
      userByteCount: parts[1].0 * shape.recordByteCount)
  }
}

/// Gets records while another thread overwrites them: any version is right, if it is whole.
private func getChanging(
  _ peer: any Peer, _ shape: RecordShape, _ extent: Extent, _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(shape)
  var numbers = RandomNumbers(seed: 11)
  return try extent.run(&latencies) { _ in
    let rank = numbers.below(shape.capacity)
    let isRight = try session.get(buffer.key(rank)) { shape.version(of: $0, rank: rank) != nil }
    guard isRight == true else { throw Stop("get: record \(rank) is missing or damaged") }
  }
}

private func overwriteRandomly(
  _ peer: any Peer, _ ledger: Ledger, _ extent: Extent, _ latencies: inout Latencies
) throws -> Int {
  let session = try peer.session()
  defer { session.end() }
  let buffer = RecordBuffer(ledger.shape)
  var numbers = RandomNumbers(seed: 12)
  return try extent.run(&latencies) { _ in
    let rank = numbers.below(ledger.shape.capacity)
    let version = ledger[rank] + 1
    try session.put(buffer.key(rank), buffer.value(rank, version: version))
    ledger[rank] = version
  }
}
