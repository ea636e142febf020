// YCSBWorkloads — the six core workloads of the Yahoo! Cloud Serving Benchmark.
//
// Room:    Benchmarks.
// Source:  Cooper et al. (2010), table 2: A update heavy, B read mostly, C read only, D read latest,
//          E short ranges, F read, modify, write.
// Limits:  Values of 1,000 bytes, written whole; scans of 1 to 100.

/// One step of a workload.
private struct Request {
  enum Verb: UInt8 { case read, update, insert, scan, modify }

  var verb: Verb
  var length: UInt8 = 0
  var ordinal: UInt32
}

/// The records of a store in the order in which they are inserted.
private struct Population {
  let ledger: Ledger
  /// Ranks by ordinal.
  let order: [UInt32]
  var count: Int
}

extension Trial {
  func runYCSB() throws {
    let requestCount = settings.isQuick ? 50_000 : 200_000
    let shape = RecordShape(capacity: recordCount + requestCount, valueByteCount: 1000)
    let order = shuffledRanks(shape.capacity, seed: 13)
    var population = Population(
      ledger: Ledger(shape: shape), order: order, count: recordCount)
    let peer = try open("ycsb")
    try measure("ycsb-load", userByteCount: shape.recordByteCount) { latencies in
      try putBatches(order[..<recordCount], into: peer, population.ledger, &latencies)
    }
    settle()
    for workload in ["a", "b", "c", "f", "d", "e"] where wants("ycsb-" + workload) {
      let count = workload == "e" ? requestCount / 4 : requestCount
      let requests = makeRequests(workload, count, population)
      try measure("ycsb-" + workload) { latencies in
        try perform(requests, peer, &population, extent(count), &latencies)
      }
    }
    try verify(peer, population.ledger)
    try peer.close()
  }

  private func makeRequests(
    _ workload: String, _ count: Int, _ population: Population
  ) -> [Request] {
    var numbers = RandomNumbers(seed: UInt64(workload.utf8.first!))
    var present = population.count
    let zipfian = Zipfian(count: present)
    return (0..<count).map { _ in
      let percent = numbers.below(100)
      func popular() -> UInt32 { UInt32(zipfian.nextScrambled(&numbers)) }
      func insert() -> Request {
        present += 1
        return Request(verb: .insert, ordinal: UInt32(present - 1))
      }
      switch workload {
      case "a": return Request(verb: percent < 50 ? .read : .update, ordinal: popular())
      case "b": return Request(verb: percent < 95 ? .read : .update, ordinal: popular())
      case "c": return Request(verb: .read, ordinal: popular())
      case "d":
        if percent >= 95 { return insert() }
        return Request(
          verb: .read, ordinal: UInt32(max(0, present - 1 - zipfian.next(&numbers))))
      case "e":
        if percent >= 95 { return insert() }
        let length = UInt8(1 + numbers.below(100))
        return Request(verb: .scan, length: length, ordinal: popular())
      default: return Request(verb: percent < 50 ? .read : .modify, ordinal: popular())
      }
    }
  }

  private func perform(
    _ requests: [Request], _ peer: any Peer, _ population: inout Population, _ extent: Extent,
    _ latencies: inout Latencies
  ) throws -> Int {
    let session = try peer.session()
    defer { session.end() }
    let ledger = population.ledger
    let buffer = RecordBuffer(ledger.shape)
    func write(_ rank: Int) throws {
      let version = ledger[rank] &+ 1
      try session.put(buffer.key(rank), buffer.value(rank, version: version))
      ledger[rank] = version
    }
    return try extent.run(&latencies) { number in
      let request = requests[number]
      let rank = Int(population.order[Int(request.ordinal)])
      switch request.verb {
      case .read: try expect(session, ledger, buffer, rank)
      case .update: try write(rank)
      case .insert:
        try write(rank)
        population.count += 1
      case .scan: try seek(session, ledger, buffer, rank, limit: Int(request.length))
      case .modify:
        try expect(session, ledger, buffer, rank)
        try write(rank)
      }
    }
  }
}
