// Mending — puts checksums right, so that fuzzing reaches what lies behind them.
//
// Room:    Fuzzers. Computes with the engine's own code: ChecksumSeed and the view's hash.
// Format:  FORMAT.md sections 3 (tables), 4 (log) and 6 (manifest).
// Limits:  Mends what the bytes at hand allow and leaves the rest: input too short for a header
//          comes back as it is. A mended file is not a valid one: its contents are still the
//          fuzzer's.

@testable import TurbiditeCLI
@testable import TurbiditeEngine

/// Which file of which store the bytes are to be.
struct FileIdentity {
  var store: StoreID
  var number: UInt64
}

/// Puts the checksums of each kind of file right.
enum Mending {
  /// Mends a lone file by its magic number.
  static func file(_ input: [UInt8]) -> [UInt8] {
    guard input.count >= 8 else { return input }
    let magic = input.load(0, as: UInt64.self)
    if magic == LogSegmentHeader.magic { return log(input, as: nil) }
    if magic == ManifestContents.magic { return manifest(input, as: nil) }
    if Array(input[..<8]) == TableFormat.headerMagic { return table(input, as: nil) }
    return input
  }

  // MARK: - Log

  /// Mends a segment: its header, and each frame where a frame can be.
  ///
  /// A frame that is longer than the rest of the file is cut to it. A frame's header of zeros ends
  /// the segment, as it does for a reader.
  static func log(_ input: [UInt8], as identity: FileIdentity?) -> [UInt8] {
    guard input.count >= LogSegmentHeader.byteCount else { return input }
    var bytes = input
    bytes.store(LogSegmentHeader.magic, at: 0)
    bytes.store(LogSegmentHeader.version, at: 8)
    bytes.store(UInt32(0), at: 12)
    let seed = bytes.identify(identity, at: 24)
    bytes.store(bytes.hash(0, 88, seed.at(0)), at: 88)
    var offset = LogSegmentHeader.byteCount
    while offset + LogFrame.headerByteCount <= bytes.count {
      if bytes[offset..<offset + LogFrame.headerByteCount].allSatisfy({ $0 == 0 }) { break }
      let room = bytes.count - offset - LogFrame.headerByteCount
      let length = bytes.load(offset + 8, as: UInt32.self)
      var stored = Int(length & (1 << 29 - 1))
      if FrameCoder.paddedByteCount(stored) - LogFrame.headerByteCount > room {
        guard room >= 2 else { break }
        stored = (room + 2) & ~(FrameCoder.alignment - 1) - 2
        bytes.store(UInt32(stored) | length & 0xe000_0000, at: offset + 8)
      }
      bytes[offset + 23] = 0x54
      bytes.store(UInt16(0x4642), at: offset + 24)
      let byteCount = FrameCoder.paddedByteCount(stored)
      bytes.store(
        bytes.hash(offset + 8, byteCount - 8, seed.at(UInt64(offset))), at: offset)
      offset += byteCount
    }
    return bytes
  }

  // MARK: - Manifest

  /// Mends a manifest: its header, and the chain of its records.
  ///
  /// A record that is longer than the rest of the file is cut to it; kinds and numbers of records
  /// are made to follow one another.
  static func manifest(_ input: [UInt8], as identity: FileIdentity?) -> [UInt8] {
    guard input.count >= 64 else { return input }
    var bytes = input
    bytes.store(ManifestContents.magic, at: 0)
    bytes.store(UInt32(1), at: 8)
    bytes.store(UInt32(0), at: 12)
    let seed = bytes.identify(identity, at: 24)
    bytes.store(bytes.hash(0, 56, seed.at(0)), at: 56)
    var offset = 64
    var chain: UInt64 = 0
    var editNumber: UInt64?
    while offset + ManifestRecord.headerByteCount <= bytes.count {
      let room = bytes.count - offset - ManifestRecord.headerByteCount
      let length = min(room, Int(bytes.load(offset + 16, as: UInt32.self)))
      bytes.store(UInt32(length), at: offset + 16)
      bytes.store(UInt32(editNumber == nil ? 1 : 2), at: offset + 20)
      if let editNumber { bytes.store(editNumber &+ 1, at: offset + 8) }
      editNumber = bytes.load(offset + 8, as: UInt64.self)
      let byteCount = ManifestRecord.headerByteCount + length
      chain = bytes.hash(offset + 8, byteCount - 8, seed.at(UInt64(offset)) ^ chain)
      bytes.store(chain, at: offset)
      offset += byteCount
    }
    return bytes
  }

  // MARK: - Table

  /// Mends a table, children before parents: blocks, index, parts, header, footer.
  ///
  /// Parts that do not fill the file are cut and stretched until they do.
  static func table(_ input: [UInt8], as identity: FileIdentity?) -> [UInt8] {
    let trailer = TableFormat.trailerByteCount
    let footer = input.count - TableFormat.footerByteCount
    guard footer >= TableFormat.headerByteCount + 4 * trailer else { return input }
    var bytes = input
    bytes.replaceSubrange(0..<8, with: TableFormat.headerMagic)
    bytes.store(TableFormat.version, at: 8)
    bytes.store(UInt32(0), at: 16)
    let seed = bytes.identify(identity, at: 24)
    let headerChecksum = bytes.hash(0, 56, seed.at(0))
    bytes.store(headerChecksum, at: 56)

    var start = Int(
      clamping: min(
        max(bytes.load(footer, as: UInt64.self), UInt64(TableFormat.headerByteCount)),
        UInt64(footer - 4 * trailer)))
    let filterStart = start
    var parts: [Range<Int>] = []
    for part in 0..<4 {
      let room = footer - start - (3 - part) * trailer
      let wanted = Int(clamping: bytes.load(footer + part * 24 + 8, as: UInt64.self))
      let count = part == 3 ? room : min(max(wanted, trailer), room)
      parts.append(start..<start + count)
      start += count
    }
    mendBlocks(&bytes, index: parts[2], before: filterStart, seed)
    for (part, range) in parts.enumerated() {
      bytes[range.upperBound - trailer] = Compression.none.rawValue
      let checksum = sealBlock(&bytes, range, seed)
      bytes.store(UInt64(range.lowerBound), at: footer + part * 24)
      bytes.store(UInt64(range.count), at: footer + part * 24 + 8)
      bytes.store(checksum, at: footer + part * 24 + 16)
    }
    bytes.store(UInt64(bytes.count), at: footer + 96)
    bytes.store(headerChecksum, at: footer + 104)
    bytes.replaceSubrange(footer + 112..<footer + 120, with: TableFormat.footerMagic)
    bytes.store(bytes.hash(footer, 120, seed.at(UInt64(footer))), at: footer + 120)
    return bytes
  }

  /// Seals the data blocks that an index lists, and gives it their checksums.
  private static func mendBlocks(
    _ bytes: inout [UInt8], index: Range<Int>, before end: Int, _ seed: ChecksumSeed
  ) {
    let payload = Array(bytes[index.lowerBound..<index.upperBound - TableFormat.trailerByteCount])
    var start = TableFormat.headerByteCount
    for (byteCount, place) in checksumPlaces(inIndex: payload) {
      guard byteCount >= UInt64(TableFormat.trailerByteCount), byteCount <= UInt64(end - start)
      else { return }
      let range = start..<start + Int(byteCount)
      bytes.store(sealBlock(&bytes, range, seed), at: index.lowerBound + place)
      start = range.upperBound
    }
  }

  /// The size of each block that an index's payload lists, and where its checksum stands.
  private static func checksumPlaces(
    inIndex payload: [UInt8]
  ) -> [(byteCount: UInt64, place: Int)] {
    var places: [(byteCount: UInt64, place: Int)] = []
    payload.withView { view in
      var reader = ByteReader(view)
      do throws(DecodingFailure) {
        let count = try reader.integer(UInt32.self)
        _ = try reader.lengthPrefixed()
        for _ in 0..<count {
          let byteCount = try reader.varint()
          let head = try reader.varint()
          if head & 1 != 0 { _ = try reader.varint() }
          places.append((byteCount, reader.offset))
          _ = try reader.integer(UInt64.self)
          _ = try reader.take(Int(clamping: head >> 1))
        }
      } catch {
        // What was read up to here is mended; the index's own decoder judges the rest.
        if let last = places.last, last.place + 8 > payload.count { places.removeLast() }
      }
    }
    return places
  }

  /// Mends a block's trailer and gives its checksum.
  private static func sealBlock(
    _ bytes: inout [UInt8], _ range: Range<Int>, _ seed: ChecksumSeed
  ) -> UInt64 {
    let trailer = range.upperBound - TableFormat.trailerByteCount
    if bytes[trailer] == Compression.none.rawValue {
      bytes.store(UInt32(trailer - range.lowerBound), at: trailer + 1)
    }
    let checksum = bytes.hash(
      range.lowerBound, range.count - 8, seed.at(UInt64(range.lowerBound)))
    bytes.store(checksum, at: trailer + 5)
    return checksum
  }

  // MARK: - Raw stream

  /// Mends the running checksum of each record of a raw stream, as far as their lengths are whole.
  static func rawStream(_ input: [UInt8]) -> [UInt8] {
    guard input.count >= 12 else { return input }
    var bytes = input
    bytes.replaceSubrange(0..<8, with: RawStream.magic)
    bytes.store(RawStream.version, at: 8)
    var checksum = CyclicChecksum()
    checksum.update(Array(bytes[..<12]))
    var offset = 12
    var count: UInt64 = 0
    while bytes.count - offset >= 8 {
      let keyCount = bytes.load(offset, as: UInt32.self)
      let isEnd = keyCount == RawStream.end
      let body = isEnd ? 8 : Int(keyCount) + Int(bytes.load(offset + 4, as: UInt32.self))
      guard bytes.count - offset >= 12 + body else { break }
      if isEnd { bytes.store(count, at: offset + 8) }
      checksum.update(Array(bytes[offset..<offset + 8 + body]))
      bytes.store(checksum.value, at: offset + 8 + body)
      offset += 12 + body
      count += 1
    }
    return bytes
  }
}

extension [UInt8] {
  /// The little-endian integer at `offset`.
  func load<Value: FixedWidthInteger & BitwiseCopyable>(
    _ offset: Int, as type: Value.Type
  ) -> Value {
    withView { $0.load(offset, as: type) }
  }

  /// The checksum of a part.
  fileprivate func hash(_ start: Int, _ count: Int, _ seed: UInt64) -> UInt64 {
    withView { $0.slice(start, count).hash(seed: seed) }
  }

  /// The seed of the store and file number that stand at `offset`; `identity` replaces them first.
  ///
  /// All three kinds of files hold them alike.
  fileprivate mutating func identify(_ identity: FileIdentity?, at offset: Int) -> ChecksumSeed {
    if let identity {
      store(identity.store.high, at: offset)
      store(identity.store.low, at: offset + 8)
      store(identity.number, at: offset + 16)
    }
    return ChecksumSeed(
      store: StoreID(
        high: load(offset, as: UInt64.self), low: load(offset + 8, as: UInt64.self)),
      fileNumber: load(offset + 16, as: UInt64.self))
  }
}
