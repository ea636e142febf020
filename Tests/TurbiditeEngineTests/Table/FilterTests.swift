import Testing

@testable import TurbiditeEngine

/// The filter never denies a key, and seldom admits a stranger.
@Suite("Filter")
struct FilterTests {
  static func filter(_ hashes: [UInt64], bitsPerKey: Int) throws -> Filter {
    var builder = FilterBuilder(bitsPerKey: bitsPerKey)
    for hash in hashes { try builder.add(hash) }
    var payload = ScratchBytes()
    try builder.write(into: &payload)
    return try payload.bytes().withView { try Filter($0) }
  }

  @Test("no key is denied", arguments: [1, 4, 10, 20], [1, 50, 20_000])
  func members(bitsPerKey: Int, count: Int) throws {
    var random = TableTestRandom(UInt64(count))
    let hashes = (0..<count).map { _ in random.next() }
    let filter = try Self.filter(hashes, bitsPerKey: bitsPerKey)
    for hash in hashes { #expect(filter.mayContain(hash)) }
  }

  @Test("at ten bits a key under 1.4 % of strangers are admitted, in one shard too")
  func strangers() throws {
    var random = TableTestRandom(3)
    // All keys of a table come from one shard: the top 12 bits of their hashes are equal.
    func hash() -> UInt64 { random.next() & 0x000f_ffff_ffff_ffff | 0xabc0_0000_0000_0000 }
    let filter = try Self.filter((0..<100_000).map { _ in hash() }, bitsPerKey: 10)
    let admitted = (0..<100_000).count { _ in filter.mayContain(hash()) }
    #expect(admitted < 1_400, "\(admitted) of 100000")
  }

  @Test("a filter with no bits admits all")
  func none() throws {
    let filter = try Self.filter([1, 2], bitsPerKey: 0)
    #expect(filter.mayContain(77))
  }

  @Test("a payload of another size or with too many probes is refused")
  func refused() {
    for payload in [
      [], [1, 0, 0, 0, 6, 0, 0, 0], [0, 0, 0, 0, 8, 0, 0, 0], [255, 255, 255, 255],
    ]
      as [[UInt8]]
    {
      #expect(throws: DecodingFailureOrMemory.self) { try payload.withView { try Filter($0) } }
    }
  }
}
