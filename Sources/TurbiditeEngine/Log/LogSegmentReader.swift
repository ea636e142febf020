// LogSegmentReader — one segment of the commit log, as found on disk.
//
// Room:    Engine/Log.
// Format:  FORMAT.md section 4.
// Limits:  A segment larger than 1 GiB is no segment: the writer starts a new one long before.

import TurbiditeSystem

/// A segment in memory, and how to walk its frames.
struct LogSegmentReader {
  /// Twice a batch and some: no writer makes a longer segment.
  static let maximumByteCount: UInt64 = 1 << 30

  let path: String
  let number: UInt64
  /// Nil when the header was never written: the segment was being created when the machine stopped.
  let header: LogSegmentHeader?
  /// What is wrong with a header that is neither whole nor absent.
  ///
  /// The power may have failed while it was being written, so that old bytes of the disk show: that
  /// is damage only if something in the segment had been durable.
  let headerDamage: StoreError?
  private let buffer: OwnedBuffer
  private let coder: FrameCoder

  /// The bytes of the file.
  var byteCount: Int { buffer.count }

  /// Nothing was ever written to the file.
  var isEmpty: Bool { isZero(buffer.view) }

  /// Reads segment `number` of `store`; a nil `store` takes the file's word (for tools).
  ///
  /// - Parameter position: a log position not far from it, for a segment that lost its header.
  init(
    _ file: any File, number: UInt64, store: StoreID?, near position: UInt64 = 0
  ) throws(StoreError) {
    path = file.path
    self.number = number
    let size: UInt64
    do throws(SystemError) { size = try file.size() } catch { throw StoreError(error) }
    guard size <= Self.maximumByteCount else {
      throw .corrupt(
        Damage(file: file.path, offset: 0, finding: "a log segment of \(size) bytes"))
    }
    buffer = try file.readBuffer(at: 0, count: Int(size))
    (header, headerDamage) = try Self.header(buffer.view, file.path, number, store)
    coder = FrameCoder(
      seed: ChecksumSeed(
        store: header?.store ?? store ?? StoreID(high: 0, low: 0),
        fileNumber: header?.number ?? number),
      near: header?.basePosition ?? position)
  }

  /// The header, or nil and what is wrong with it.
  private static func header(
    _ bytes: ByteView, _ path: String, _ number: UInt64, _ store: StoreID?
  ) throws(StoreError) -> (LogSegmentHeader?, StoreError?) {
    do throws(StoreError) {
      let header = try LogSegmentHeader.decode(bytes, file: path)
      if let header, let store, header.store != store || header.number != number {
        throw .corrupt(
          Damage(
            file: path, offset: 0,
            finding: "this is segment \(header.number) of store \(header.store.hexadecimal)"))
      }
      return (header, nil)
    } catch {
      guard case .corrupt = error, store != nil else { throw error }
      return (nil, error)
    }
  }

  /// The log position of a file offset.
  func position(of offset: Int) -> UInt64 {
    (header?.basePosition ?? 0) &+ UInt64(offset - LogSegmentHeader.byteCount)
  }

  /// Calls `body` for each frame from `start` on that begins below log position `end`, in order.
  ///
  /// - Returns: the file offset behind the last good frame, and what stands there if it is bad.
  func walk(
    from start: Int = LogSegmentHeader.byteCount, until end: UInt64 = .max,
    _ body: (LogFrame) throws(StoreError) -> Void
  ) throws(StoreError) -> (endOffset: Int, bad: String?) {
    guard header != nil else { return (0, nil) }
    var offset = start
    while position(of: offset) < end {
      switch coder.frame(in: buffer.view, at: offset) {
      case .end: return (offset, nil)
      case .bad(let finding): return (offset, finding)
      case .frame(let frame):
        try body(frame)
        offset += frame.byteCount
        if frame.kind == .seal { return (offset, nil) }
      }
    }
    return (offset, nil)
  }

  /// The largest synced position that any valid frame at or behind `offset` states.
  ///
  /// A frame behind a bad one proves that the bad one had been durable, when it says so: this is
  /// what tells damage from a torn tail. Searches every aligned offset, hashing at most four times
  /// the file: more than any writer's bytes can ask for.
  func syncedPosition(searchingFrom offset: Int) -> UInt64 {
    var largest: UInt64 = 0
    search(from: offset) { frame in
      largest = max(largest, frame.syncedPosition)
      return true
    }
    return largest
  }

  /// The offset of the next valid frame behind a bad one.
  func nextFrame(behind offset: Int) -> Int? {
    var found: Int?
    search(from: offset + FrameCoder.alignment) { frame in
      found = frame.offset
      return false
    }
    return found
  }

  /// Calls `body` with every valid frame, behind bad ones too.
  ///
  /// Hashes at most 64 times the file and a mebibyte.
  func salvage(_ body: (LogFrame) throws(StoreError) -> Void) throws(StoreError) {
    var frames: [LogFrame] = []
    search(from: 0, hashing: 64 * buffer.count + 1 << 20) { frame in
      frames.append(frame)
      return true
    }
    for frame in frames { try body(frame) }
  }

  /// What is wrong with the bytes from `offset` on; nil when the log ends there in order.
  func tail(from offset: Int) -> String? {
    guard offset < buffer.count else { return nil }
    if case .bad(let finding) = coder.frame(in: buffer.view, at: offset) { return finding }
    return nil
  }

  /// Calls `visit` with each valid frame from `offset` on, until it returns false.
  private func search(
    from offset: Int, hashing limit: Int? = nil, _ visit: (LogFrame) -> Bool
  ) {
    var offset = max(offset, LogSegmentHeader.byteCount)
    var hashBudget = limit ?? 4 * buffer.count
    while offset + LogFrame.headerByteCount <= buffer.count, hashBudget > 0 {
      if let length = FrameCoder.statedByteCount(buffer.view, at: offset) {
        // A length beyond the file is refused before anything is hashed: it must not end the
        // search.
        if length <= buffer.count - offset { hashBudget -= length }
        if case .frame(let frame) = coder.frame(in: buffer.view, at: offset) {
          guard visit(frame) else { return }
          offset += frame.byteCount
          continue
        }
      }
      offset += FrameCoder.alignment
    }
  }

  /// The entries of a frame, decompressed when they are stored so.
  func withPayload(
    _ frame: LogFrame, _ body: (ByteView) throws(StoreError) -> Void
  ) throws(StoreError) {
    guard frame.isCompressed else { return try body(frame.stored) }
    guard let raw = OwnedBuffer(count: frame.rawByteCount) else {
      throw .resourceExhausted("\(frame.rawByteCount) bytes of memory to read \(path)")
    }
    guard decompressLZ4(frame.stored, into: raw) else {
      throw .corrupt(
        Damage(file: path, offset: UInt64(frame.offset), finding: "a frame does not decompress"))
    }
    try body(raw.view)
  }

  /// Calls `body` for each entry of a frame.
  func forEachEntry(
    of frame: LogFrame, _ body: (LogEntry, UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    try withPayload(frame) { payload throws(StoreError) in
      var reader = LogEntryReader(
        payload, firstSequence: frame.firstSequence, carries: frame.kind == .carried)
      var count = 0
      while true {
        let next: (entry: LogEntry, sequence: UInt64)?
        do throws(DecodingFailure) { next = try reader.next() } catch {
          throw damage(at: frame.offset, error.finding)
        }
        guard let next else { break }
        count += 1
        try body(next.entry, next.sequence)
      }
      if count != frame.entryCount {
        throw damage(at: frame.offset, "a frame holds \(count) of \(frame.entryCount) entries")
      }
    }
  }

  private func damage(at offset: Int, _ finding: String) -> StoreError {
    .corrupt(Damage(file: path, offset: UInt64(offset), finding: finding))
  }
}
