// HashWork — the hash of a key, a probe of a filter, and the frame of one put.
//
// Room:    Engine/Micro. Compiled for Tools/micro alone.

enum HashWork {
  static let all = [
    MicroBenchmark("hash", count: 50_000) { count, _ in try hash(count) },
    MicroBenchmark("filter-probe", count: 50_000) { count, _ in try probe(count) },
    MicroBenchmark("frame-encode", count: 4_000) { count, _ in try encode(count) },
  ]

  /// A key an operation.
  private static func hash(_ count: Int) throws {
    let records = try Records(0..<Records.count)
    var sum: UInt64 = 0
    for index in 0..<count { sum ^= records.key(index & Records.mask).hash() }
    keep(Int(truncatingIfNeeded: sum))
  }

  /// A probe an operation, by turns of a key that is there and of one that is not.
  private static func probe(_ count: Int) throws {
    let records = try Records(0..<Records.count)
    let hashes = (0..<Records.count).map { records.key($0).hash() }
    var builder = FilterBuilder(bitsPerKey: 10)
    for index in stride(from: 0, to: Records.count, by: 2) {
      try builder.add(hashes[index])
    }
    var payload = ScratchBytes()
    try builder.write(into: &payload)
    let filter = try payload.bytes().withView { try Filter($0) }
    var sum = 0
    for index in 0..<count where filter.mayContain(hashes[index & Records.mask]) { sum &+= 1 }
    keep(sum)
  }

  /// A frame an operation, of a batch of one put, as the log's writer makes it.
  private static func encode(_ count: Int) throws {
    let records = try Records(0..<Records.count)
    let seed = ChecksumSeed(store: StoreID(high: 1, low: 2), fileNumber: 3)
    let coder = FrameCoder(seed: seed)
    var frame: [UInt8] = []
    var sum = 0
    for index in 0..<count {
      var batch = EncodedBatch()
      batch.append(.value, keyspace: 0, records.key(index & Records.mask), records.value)
      frame.removeAll(keepingCapacity: true)
      FrameCoder.begin(&frame, entryCount: 1, compressedFrom: nil)
      batch.bytes.withView { frame.append($0) }
      coder.seal(
        &frame, from: 0, at: UInt64(FrameCoder.alignment &* index), kind: .commit,
        firstSequence: UInt64(1 + index), isCompressed: false, syncedPosition: 0)
      sum &+= frame.count
    }
    keep(sum)
  }
}
