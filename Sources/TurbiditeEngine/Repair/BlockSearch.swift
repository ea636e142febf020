// BlockSearch — the data blocks of a table whose index is lost.
//
// Room:    Engine/Repair.
// Format:  FORMAT.md section 3.2: a block ends in its compression, its raw size and a checksum that
//          binds it to its offset, and the next one begins right behind.

/// Finds blocks by their ends.
///
/// First every place that could be the end of a block, by the fields that stand before it; then the
/// pairs of such places between which the checksum agrees. A place that only looks like an end
/// costs a few checksums and is found out by them.
enum BlockSearch {
  /// A block lies between an end and one of the next so many.
  private static let reach = 16

  /// - Returns: the blocks, in the order of the file, without overlap.
  static func blocks(in bytes: ByteView, seed: ChecksumSeed) -> [BlockHandle] {
    let ends = possibleEnds(in: bytes)
    var found: [BlockHandle] = []
    var index = 0
    var start = TableFormat.headerByteCount
    while index < ends.count {
      var matched: BlockHandle?
      for end in ends[index...].prefix(reach) where end > start {
        if let block = block(bytes, from: start, to: end, seed) {
          matched = block
          break
        }
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

  private static func block(
    _ bytes: ByteView, from start: Int, to end: Int, _ seed: ChecksumSeed
  ) -> BlockHandle? {
    let stored = end - start - TableFormat.trailerByteCount
    guard stored > 0 else { return nil }
    let raw = Int(bytes.load(start + stored + 1, as: UInt32.self))
    switch Compression(rawValue: bytes[start + stored]) {
    case .some(.none): guard raw == stored else { return nil }
    case .some(.lz4):
      guard raw > stored, raw <= Compression.largestRawByteCount(storedByteCount: stored) else {
        return nil
      }
    case nil: return nil
    }
    let checksum = bytes.slice(start, stored + 5).hash(seed: seed.at(UInt64(start)))
    guard checksum == bytes.load(end - 8, as: UInt64.self) else { return nil }
    return BlockHandle(
      offset: UInt64(start), byteCount: UInt64(end - start), checksum: checksum)
  }
}
