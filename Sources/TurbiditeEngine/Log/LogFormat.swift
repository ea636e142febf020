// LogFormat — the bytes of a commit-log segment: its header, its frames, their entries.
//
// Room:    Engine/Log. Knows no memtable and no tree.
// Format:  FORMAT.md section 4.

/// The fixed start of a segment.
struct LogSegmentHeader: Equatable {
  static let byteCount = 96
  static let magic: UInt64 = 0x474f_4c45_5449_4254  // "TBITELOG", low byte first
  static let version: UInt32 = 2

  var store: StoreID
  var number: UInt64
  /// The segment before this one, or 0.
  var previousNumber: UInt64
  /// The log position of this segment's first frame.
  ///
  /// Every earlier segment ends here at the latest: what it holds from this position on is
  /// superseded by this segment.
  var basePosition: UInt64
  /// Every frame below this position was durable when the header was written.
  var syncedPosition: UInt64
  /// The largest sequence number given out before this segment was created.
  var lastSequence: UInt64

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.byteCount)
    bytes.append(littleEndian: Self.magic)
    bytes.append(littleEndian: Self.version)
    bytes.append(littleEndian: UInt32(0))  // Features that a reader must understand.
    bytes.append(littleEndian: UInt32(0))  // Features that a reader may ignore.
    bytes.append(littleEndian: UInt32(0))  // Zero.
    bytes.append(littleEndian: store.high)
    bytes.append(littleEndian: store.low)
    bytes.append(littleEndian: number)
    bytes.append(littleEndian: previousNumber)
    bytes.append(littleEndian: basePosition)
    bytes.append(littleEndian: syncedPosition)
    bytes.append(littleEndian: lastSequence)
    bytes.append(littleEndian: UInt64(0))  // Zero.
    let seed = ChecksumSeed(store: store, fileNumber: number).at(0)
    bytes.append(littleEndian: bytes.withView { $0.hash(seed: seed) })
    assert(bytes.count == Self.byteCount)
    return bytes
  }

  /// Decodes a header whose file is `file`.
  ///
  /// - Returns: nil when the bytes are all zeros or end early: a header that was never written.
  static func decode(_ bytes: ByteView, file: String) throws(StoreError) -> LogSegmentHeader? {
    guard bytes.count >= byteCount else { return nil }
    let header = bytes.slice(0, byteCount)
    if isZero(header) { return nil }
    func damaged(_ finding: String) -> StoreError {
      .corrupt(Damage(file: file, offset: 0, finding: finding))
    }
    guard header.load(0, as: UInt64.self) == magic else {
      throw damaged("this is no log segment: its magic number is missing")
    }
    let store = StoreID(
      high: header.load(24, as: UInt64.self), low: header.load(32, as: UInt64.self))
    let number = header.load(40, as: UInt64.self)
    let seed = ChecksumSeed(store: store, fileNumber: number).at(0)
    guard header.slice(0, 88).hash(seed: seed) == header.load(88, as: UInt64.self) else {
      throw damaged("the segment header fails its checksum")
    }
    // Only now: a flipped bit in the version is damage, not a newer format.
    try requireReadable(
      file, version: header.load(8, as: UInt32.self), supported: Self.version,
      requiredFeatures: header.load(12, as: UInt32.self))
    let (base, synced) = (header.load(56, as: UInt64.self), header.load(64, as: UInt64.self))
    guard base < Limits.counter, synced < Limits.counter else {
      throw damaged("the segment begins at log position \(base), durable through \(synced)")
    }
    return LogSegmentHeader(
      store: store, number: number,
      previousNumber: header.load(48, as: UInt64.self),
      basePosition: base,
      syncedPosition: synced,
      lastSequence: header.load(72, as: UInt64.self))
  }
}

/// What a frame holds.
///
/// The raw values are stored in files.
enum FrameKind: UInt8 {
  /// A group of commits: entries with consecutive sequence numbers from `firstSequence` on.
  case commit = 1
  /// Entries appended again with the sequence numbers they have, each before its entry.
  case carried = 2
  /// The end of a segment that was closed in order. No entries.
  case seal = 3
}

/// One frame, decoded and verified.
struct LogFrame {
  static let headerByteCount = 26

  var kind: FrameKind
  var firstSequence: UInt64
  var entryCount: Int
  var syncedPosition: UInt64
  /// The entries as stored: LZ4 when `isCompressed`.
  var stored: ByteView
  var rawByteCount: Int
  var isCompressed: Bool
  /// Where the frame begins in its file, and the bytes up to the next frame.
  var offset: Int
  var byteCount: Int

  /// The sequence number after the last one that the frame gives out.
  var endSequence: UInt64 {
    kind == .commit ? firstSequence + UInt64(entryCount) : firstSequence
  }
}

/// What stands at an offset of a segment.
enum FrameFinding {
  case frame(LogFrame)
  /// Zeros, or the end of the file: nothing was written here.
  case end
  /// Bytes that are no frame.
  case bad(String)
}

/// Encodes and decodes the frames of one segment.
struct FrameCoder {
  let seed: ChecksumSeed
  /// A log position that is not far from those that frames state, which hold 32 bits of theirs.
  var near: UInt64 = 0

  /// Stands in every frame header, so that a search through damage hashes few wrong places.
  private static let mark: UInt32 = 0x46_4254  // "TBF", low byte first

  /// Frames start at multiples of this, so that a search for the next valid one is cheap, and
  /// positions have two bits that need not be stored.
  static let alignment = 4

  /// The bytes of a frame without entries.
  static let emptyByteCount = paddedByteCount(1)

  /// What an entry count and a raw length add to the entries at most.
  static let largestPrefixByteCount = 9

  private static let lengthBitCount: UInt32 = 29

  static func paddedByteCount(_ storedByteCount: Int) -> Int {
    (LogFrame.headerByteCount + storedByteCount + alignment - 1) & ~(alignment - 1)
  }

  /// How many bytes a frame whose header begins at `offset` states to hold, if one begins there.
  static func statedByteCount(_ bytes: ByteView, at offset: Int) -> Int? {
    guard bytes.load(offset + 22, as: UInt32.self) >> 8 == mark else { return nil }
    return Int(bytes.load(offset + 8, as: UInt32.self) & (1 << lengthBitCount - 1))
  }

  /// Appends room for a frame's header, and what stands before its entries.
  ///
  /// - Parameter rawByteCount: that of the entries, which are compressed; nil if they are not.
  static func begin(_ bytes: inout [UInt8], entryCount: Int, compressedFrom rawByteCount: Int?) {
    bytes.append(zeros: LogFrame.headerByteCount)
    bytes.append(varint: entryCount)
    if let rawByteCount { bytes.append(littleEndian: UInt32(rawByteCount)) }
  }

  /// Fills in the header of the frame that occupies `bytes[start...]` and pads it.
  ///
  /// The caller has begun it, and appended the entries as they are stored.
  func seal(
    _ bytes: inout [UInt8], from start: Int, at offset: UInt64, kind: FrameKind,
    firstSequence: UInt64, isCompressed: Bool, syncedPosition: UInt64
  ) {
    let storedByteCount = bytes.count - start - LogFrame.headerByteCount
    assert(storedByteCount > 0)
    assert(offset % UInt64(Self.alignment) == 0)
    assert(syncedPosition % UInt64(Self.alignment) == 0)
    let length =
      UInt32(storedByteCount) | UInt32(kind.rawValue) << Self.lengthBitCount
      | (isCompressed ? 1 << 31 : 0)
    bytes.overwrite(start + 8, LogFrame.headerByteCount - 8) { output in
      output.append(littleEndian: length)
      output.append(
        littleEndian: UInt32(truncatingIfNeeded: syncedPosition / UInt64(Self.alignment)))
      output.append(littleEndian: firstSequence | UInt64(Self.mark) << 56)
      output.append(littleEndian: UInt16(Self.mark >> 8))
    }
    let padding = Self.paddedByteCount(storedByteCount) - LogFrame.headerByteCount - storedByteCount
    // Three at most: a run of zeros costs more to begin.
    for _ in 0..<padding { bytes.append(0) }
    let checksum = bytes.withView { view in
      view.slice(start + 8, view.count - start - 8).hash(seed: seed.at(offset))
    }
    bytes.store(checksum, at: start)
  }

  /// Looks at `offset` of a segment whose bytes are `segment`.
  func frame(in segment: ByteView, at offset: Int) -> FrameFinding {
    let rest = segment.count - offset
    guard rest >= LogFrame.headerByteCount else {
      return isZero(segment.slice(offset, max(rest, 0))) ? .end : .bad("a frame header is cut off")
    }
    let header = segment.slice(offset, LogFrame.headerByteCount)
    if isZero(header) {
      guard planted(.acceptZeroFrame) else { return .end }
      return .frame(
        LogFrame(
          kind: .carried, firstSequence: 0, entryCount: 0, syncedPosition: 0, stored: .empty,
          rawByteCount: 0, isCompressed: false, offset: offset,
          byteCount: Self.paddedByteCount(0)))
    }
    guard let storedByteCount = Self.statedByteCount(segment, at: offset) else {
      return .bad("a frame header lacks its mark")
    }
    let byteCount = Self.paddedByteCount(storedByteCount)
    let largest = Limits.batchByteCount + Self.largestPrefixByteCount
    let fits = storedByteCount <= largest && byteCount <= rest
    guard fits || planted(.trustFrameLength) else {
      return .bad("a frame of \(storedByteCount) bytes exceeds the file")
    }
    let checksum = segment.slice(offset + 8, byteCount - 8).hash(seed: seed.at(UInt64(offset)))
    let stored = header.load(0, as: UInt64.self)
    guard checksum == stored || planted(.ignoreFrameChecksum) else {
      return .bad("frame checksum stored \(hexadecimal(stored)), computed \(hexadecimal(checksum))")
    }
    do throws(DecodingFailure) {
      return .frame(try decode(header, segment, at: offset, storedByteCount, byteCount))
    } catch { return .bad(error.finding) }
  }

  /// What a frame says whose checksum is right: what some writer wrote; a rule that it breaks is a
  /// foreign writer's.
  private func decode(
    _ header: ByteView, _ segment: ByteView, at offset: Int, _ storedByteCount: Int,
    _ byteCount: Int
  ) throws(DecodingFailure) -> LogFrame {
    let length = header.load(8, as: UInt32.self)
    let kind = FrameKind(rawValue: UInt8(length >> Self.lengthBitCount & 3))
    guard let kind else { throw .invalid("a frame of unknown kind", at: offset) }
    let isCompressed = length >> 31 == 1
    let firstSequence = header.load(16, as: UInt64.self) & Tag.maximumSequence
    let content = segment.slice(offset + LogFrame.headerByteCount, storedByteCount)
    var reader = ByteReader(content)
    let entryCount = try reader.count("entry count", atMost: Limits.batchEntryCount)
    let compressedFrom = isCompressed ? Int(try reader.integer(UInt32.self)) : nil
    let entries = content.slice(reader.offset, content.count - reader.offset)
    let rawByteCount = compressedFrom ?? entries.count
    guard rawByteCount <= Limits.batchByteCount,
      !isCompressed || rawByteCount <= entries.count * 255 + 64, entryCount <= rawByteCount,
      firstSequence <= Tag.maximumSequence - UInt64(entryCount)
    else { throw .invalid("a frame contradicts itself", at: offset) }
    return LogFrame(
      kind: kind, firstSequence: firstSequence, entryCount: entryCount,
      syncedPosition: position(header.load(12, as: UInt32.self)), stored: entries,
      rawByteCount: rawByteCount, isCompressed: isCompressed, offset: offset, byteCount: byteCount)
  }

  /// The position nearest to `near` of which these bits are stored.
  private func position(_ bits: UInt32) -> UInt64 {
    let unit = UInt64(Self.alignment)
    let distance = Int64(Int32(bitPattern: bits &- UInt32(truncatingIfNeeded: near / unit)))
    let position = Int64(near / unit) + distance
    return UInt64(max(0, position)) * unit
  }
}

/// Whether every byte is zero.
func isZero(_ bytes: ByteView) -> Bool {
  var offset = 0
  while offset + 8 <= bytes.count {
    if bytes.load(offset, as: UInt64.self) != 0 { return false }
    offset += 8
  }
  while offset < bytes.count {
    if bytes[offset] != 0 { return false }
    offset += 1
  }
  return true
}
