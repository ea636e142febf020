// BlockWork — decoding a data block of 8 KiB, and looking up a key in a decoded one.
//
// Room:    Engine/Micro. Compiled for Tools/micro alone.

enum BlockWork {
  static let all = [
    MicroBenchmark("block-decode", count: 500) { count, _ in try decode(count) },
    MicroBenchmark("block-search", count: 20_000) { count, _ in try search(count) },
  ]

  /// A block and the records in it: all that a block of the default size takes.
  private struct Sample {
    let records: Records
    private(set) var entryCount = 0
    let raw: OwnedBuffer

    init() throws {
      let records = try Records((0..<256).sorted(by: Records.isBefore))
      var builder = BlockBuilder()
      while builder.byteCountEstimate < 8 << 10 {
        let key = records.key(entryCount)
        let shared = entryCount == 0 ? 0 : key.sharedPrefixCount(records.key(entryCount - 1))
        let tag = Tag(sequence: UInt64(1 + entryCount), kind: .value)
        try builder.add(key, sharing: shared, tag, records.value)
        entryCount += 1
      }
      var bytes = ScratchBytes()
      try builder.finish(into: &bytes)
      raw = try bytes.bytes().withView { try Records.copy($0) }
      self.records = records
    }

    func block(at offset: Int) throws -> Block {
      try Block(
        CheckedBlock(raw: raw), BlockKey(1, UInt64(offset)), path: "block")
    }
  }

  /// A block an operation, from its raw bytes: neither its checksum nor LZ4 is in it.
  private static func decode(_ count: Int) throws {
    let sample = try Sample()
    var sum = 0
    for index in 0..<count { sum &+= try sample.block(at: index).count }
    keep(sum)
  }

  /// A lookup an operation, each of a key that is there.
  private static func search(_ count: Int) throws {
    let sample = try Sample()
    let block = try sample.block(at: 0)
    var sum = 0
    var index = 0
    for _ in 0..<count {
      guard let found = block.find(sample.records.key(index), at: Tag.maximumSequence) else {
        preconditionFailure("a record of the block was not found")
      }
      sum &+= found.value.count
      index = index &+ 1 == sample.entryCount ? 0 : index &+ 1
    }
    keep(sum)
  }
}
