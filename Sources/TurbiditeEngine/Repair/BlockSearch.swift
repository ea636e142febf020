// BlockSearch — the data blocks of a table whose index is lost.
//
// Room:    Engine/Repair.
// Format:  FORMAT.md section 3.2: a block ends in its compression, its raw size and a checksum that
//          binds it to its offset, and the next one begins right behind.

/// Finds blocks by their ends.
///
/// First every place that could be the end of a block, by the fields that stand before it; then the
/// pairs of such places between which those fields fit and the checksum agrees. Values may be full
/// of places that look like ends (small integers are), so the search from one place ends by the
/// work it took, not by a number of places. All the work together is bounded by the file's size;
/// beyond that only the nearest places are tried.
enum BlockSearch {
  /// For one start: places looked at, and bytes hashed.
  private static let placesFromOneStart = 1 << 16
  private static let bytesFromOneStart = 16 << 20
  /// For each start when the work that the file is worth has been done.
  private static let placesWhenExhausted = 16

  /// - Returns: the blocks, in the order of the file, without overlap.
  static func blocks(in bytes: ByteView, seed: ChecksumSeed) -> [BlockHandle] {
    let ends = possibleEnds(in: bytes)
    var found: [BlockHandle] = []
    var index = 0
    var start = TableFormat.headerByteCount
    // A place that is looked at costs about as much as sixteen bytes that are hashed.
    var work = 64 * bytes.count + 64 << 20
    while index < ends.count {
      var matched: BlockHandle?
      var places = work > 0 ? placesFromOneStart : placesWhenExhausted
      var left = bytesFromOneStart
      var next = index
      while matched == nil, next < ends.count, places > 0, left > 0 {
        let end = ends[next]
        next += 1
        places -= 1
        work -= 16
        guard end > start, fits(bytes, from: start, to: end) else { continue }
        left -= end - start
        work -= end - start
        matched = block(bytes, from: start, to: end, seed)
      }
      if let matched {
        found.append(matched)
        start = Int(matched.end)
        while index < ends.count, ends[index] <= start { index += 1 }
      } else {
        // Whatever began here is damaged; the next block begins at some later end.
        start = ends[index]
        index += 1
      }
    }
    return found
  }

  private static func possibleEnds(in bytes: ByteView) -> [Int] {
    let trailer = TableFormat.trailerByteCount
    var ends: [Int] = []
    var end = TableFormat.headerByteCount + TableFormat.blockHeaderByteCount + trailer
    while end <= bytes.count {
      let raw = Int(bytes.load(end - trailer + 1, as: UInt32.self))
      let isPossible =
        bytes[end - trailer] <= Compression.lz4.rawValue && raw > 0
        && raw <= TableFormat.largestBlockByteCount
      if isPossible { ends.append(end) }
      end += 1
    }
    return ends
  }

  /// Whether the fields before `end` can be those of a block that begins at `start`.
  private static func fits(_ bytes: ByteView, from start: Int, to end: Int) -> Bool {
    let stored = end - start - TableFormat.trailerByteCount
    guard stored > 0 else { return false }
    let raw = Int(bytes.load(start + stored + 1, as: UInt32.self))
    switch Compression(rawValue: bytes[start + stored]) {
    case .some(.none): return raw == stored
    case .some(.lz4):
      return raw > stored && raw <= Compression.largestRawByteCount(storedByteCount: stored)
    case nil: return false
    }
  }

  private static func block(
    _ bytes: ByteView, from start: Int, to end: Int, _ seed: ChecksumSeed
  ) -> BlockHandle? {
    let stored = end - start - TableFormat.trailerByteCount
    let checksum = bytes.slice(start, stored + 5).hash(seed: seed.at(UInt64(start)))
    guard checksum == bytes.load(end - 8, as: UInt64.self) else { return nil }
    return BlockHandle(
      offset: UInt64(start), byteCount: UInt64(end - start), checksum: checksum)
  }
}
