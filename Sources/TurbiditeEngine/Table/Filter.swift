// Filter — says quickly that a table does not hold a key.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.4.
// Source:  Blocked Bloom filter: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
//          Filters", WEA 2007. Blocks of 512 bits, one cache line.
// Limits:  The top 12 bits of a hash choose the shard, are equal in a table, and are not used.

/// Where a key's bits are: which block, and nine bits for each probe.
struct FilterProbe {
  private var bits: UInt64
  let block: Int

  /// The low 32 bits choose the block (by multiplication, Lemire, TOMACS 2019); all 52 that are
  /// not the shard's, multiplied by SplitMix64's constant, give up to seven probes from the top.
  @inline(__always)
  init(hash: UInt64, blockCount: Int) {
    block = Int(((hash & 0xffff_ffff) &* UInt64(blockCount)) >> 32)
    bits = (hash & 0x000f_ffff_ffff_ffff) &* 0x9e37_79b9_7f4a_7c15
  }

  /// The next bit to test or set, in 0..<512.
  @inline(__always)
  mutating func next() -> Int {
    let bit = Int(bits >> 55)
    bits <<= 9
    return bit
  }
}

/// Collects the hashes of a table's distinct keys and makes their filter.
///
/// Invariant: all pages but the last are full; hash `i` is in page `i / hashesPerPage`.
struct FilterBuilder {
  private static let hashesPerPage = 1 << 13

  let bitsPerKey: Int
  /// Pages rather than one array: one that doubles takes three times its size as it grows, and
  /// `malloc` keeps that for each of the threads that write tables.
  private var pages: [OwnedBuffer] = []
  private var hashCount = 0

  init(bitsPerKey: Int) { self.bitsPerKey = bitsPerKey }

  var byteCountEstimate: Int { hashCount * bitsPerKey / 8 + 72 }

  @inline(__always)
  mutating func add(_ hash: UInt64) throws(StoreError) {
    let place = hashCount % Self.hashesPerPage
    if place == 0 { try addPage() }
    pages[pages.count - 1].store(hash, at: 8 * place)
    hashCount += 1
  }

  private mutating func addPage() throws(StoreError) {
    let byteCount = 8 * Self.hashesPerPage
    guard let page = OwnedBuffer(lasting: byteCount) else {
      throw .resourceExhausted("no memory for \(byteCount) bytes of a filter")
    }
    pages.append(page)
  }

  private func hash(_ index: Int) -> UInt64 {
    let (page, place) = index.quotientAndRemainder(dividingBy: Self.hashesPerPage)
    return pages[page].view.load(8 * place, as: UInt64.self)
  }

  /// Probes that suit this many bits a key: 0.6 of them, since crowded blocks want fewer than the
  /// ln 2 of a plain filter.
  static func probeCount(bitsPerKey: Int) -> Int { min(max(bitsPerKey * 6 / 10, 1), 7) }

  /// Makes the filter block's payload the content of `payload`; empty of blocks when there is no
  /// key or no bits were asked for.
  func write(into payload: inout ScratchBytes) throws(StoreError) {
    // A filter at the limit is only less precise; the block index has 32 bits.
    let limit = TableFormat.largestMetadataByteCount / 64 - 1
    let blockCount = bitsPerKey == 0 ? 0 : min((hashCount * bitsPerKey + 511) / 512, limit)
    let probeCount = FilterBuilder.probeCount(bitsPerKey: bitsPerKey)
    payload.removeAll()
    try payload.append(littleEndian: UInt32(blockCount))
    try payload.append(littleEndian: UInt32(probeCount))
    try payload.append(zeros: blockCount * 64)
    guard blockCount > 0 else { return }
    let settingCount = planted(.loseFilterProbe) ? probeCount - 1 : probeCount
    for index in 0..<hashCount {
      var probe = FilterProbe(hash: hash(index), blockCount: blockCount)
      let start = 8 + probe.block * 64
      for _ in 0..<settingCount {
        let bit = probe.next()
        let place = start + bit >> 3
        payload.store(payload.view[place] | 1 << UInt8(bit & 7), at: place)
      }
    }
  }
}

/// The filter of a table, as its reader holds it.
struct Filter: Sendable {
  private let owner: OwnedBuffer
  /// The blocks, from a multiple of 64 on, so that each is one cache line.
  private let bits: ByteView
  let blockCount: Int
  let probeCount: Int

  /// Copies the payload of a filter block.
  init(_ payload: ByteView) throws(DecodingFailureOrMemory) {
    guard payload.count >= 8 else { throw .decoding(.truncated(at: 0)) }
    let blockCount = Int(payload.load(0, as: UInt32.self))
    let probeCount = Int(payload.load(4, as: UInt32.self))
    guard payload.count == 8 + blockCount * 64 else {
      throw .decoding(.invalid("a filter of \(blockCount) blocks in \(payload.count) bytes", at: 0))
    }
    guard (1...7).contains(probeCount) else {
      throw .decoding(.invalid("a filter with \(probeCount) probes", at: 4))
    }
    guard let owner = OwnedBuffer(lasting: blockCount * 64 + 64) else { throw .memory }
    let pad = (64 - owner.misalignment(64)) & 63
    owner.store(payload.slice(8, blockCount * 64), at: pad)
    self.owner = owner
    bits = owner.view.slice(pad, blockCount * 64)
    self.blockCount = blockCount
    self.probeCount = probeCount
  }

  var memoryByteCount: Int { owner.count }

  /// The bits that are set, for tools: more than half of them means a filter that says little.
  var setBitCount: Int {
    var count = 0
    for offset in stride(from: 0, to: bits.count, by: 8) {
      count += bits.load(offset, as: UInt64.self).nonzeroBitCount
    }
    return count
  }

  /// Whether a key of this hash may be in the table; false is certain.
  @inline(__always)
  func mayContain(_ hash: UInt64) -> Bool {
    guard blockCount > 0 else { return true }
    var probe = FilterProbe(hash: hash, blockCount: blockCount)
    let start = probe.block &* 64
    var left = probeCount
    while left > 0 {
      let bit = probe.next()
      if bits[start &+ bit >> 3] & (1 << UInt8(bit & 7)) == 0 { return false }
      left &-= 1
    }
    return true
  }
}

/// Why a part could not be decoded: its bytes are bad, or there is no memory for them.
enum DecodingFailureOrMemory: Error {
  case decoding(DecodingFailure)
  case memory
}
