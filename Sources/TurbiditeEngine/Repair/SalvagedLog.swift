// SalvagedLog — every intact frame of a commit log, behind holes too.
//
// Room:    Engine/Repair.
// Format:  FORMAT.md section 4. A later segment supersedes an earlier one from its base on.

import TurbiditeSystem

/// The segments of a log and what is lost of them.
struct SalvagedLog {
  /// One segment, with the frames that count.
  private struct Segment {
    var number: UInt64
    var path: String
    var header: LogSegmentHeader?
    /// The first sequence number given out in it; nil if its first frame does not tell.
    var firstSequence: UInt64?
    /// That of the next segment.
    var followingSequence: UInt64?
    /// From this position on a later segment has the frames that count.
    var limit: UInt64 = .max
    /// Frames behind `limit` that end before this sequence number are in a later segment again.
    var rewrittenEnd: UInt64 = 0
  }

  private var segments: [Segment] = []
  private var files: [RepairedFile] = []
  private let fileSystem: any FileSystem
  private let store: StoreID
  private let floorPosition: UInt64
  /// Frames below this position were durable; nil when nothing tells.
  private var syncedPosition: UInt64?

  /// - Parameters:
  ///   - floor: segments before this number are no part of the store.
  ///   - floorPosition: frames before it are in tables.
  ///   - syncedPosition: what the manifest knows to be durable; nil without a manifest.
  init(
    _ fileSystem: any FileSystem, store: StoreID, floor: UInt64, floorPosition: UInt64,
    syncedPosition: UInt64?
  ) throws(StoreError) {
    self.fileSystem = fileSystem
    self.store = store
    self.floorPosition = floorPosition
    self.syncedPosition = syncedPosition
    var numbers: [UInt64] = []
    do throws(StoreError) { numbers = try LogRecovery.segmentNumbers(fileSystem) } catch {
      guard let loss = error.loss(of: FileNames.logDirectory) else { throw error }
      files.append(RepairedFile(path: FileNames.logDirectory, fate: .lost, losses: [loss]))
    }
    for (path, number) in try Self.holders(of: numbers, in: fileSystem, store) {
      guard number >= floor else {
        files.append(RepairedFile(path: path, fate: .unused, note: "its entries are in tables"))
        continue
      }
      do throws(StoreError) {
        let reader = try open(path, number)
        var segment = Segment(number: number, path: path, header: reader.header)
        var isFirst = true
        try reader.salvage { frame throws(StoreError) in
          if isFirst, frame.kind == .commit { segment.firstSequence = frame.firstSequence }
          isFirst = false
          if self.syncedPosition != nil { note(durableUpTo: frame.syncedPosition) }
        }
        segments.append(segment)
        if self.syncedPosition != nil { note(durableUpTo: reader.header?.syncedPosition) }
      } catch {
        guard let loss = error.loss(of: path) else { throw error }
        files.append(RepairedFile(path: path, fate: .lost, losses: [loss]))
      }
    }
    segments.sort { $0.number < $1.number }
    for index in segments.indices {
      let later = segments[(index + 1)...].compactMap(\.header)
      segments[index].limit = later.map(\.basePosition).min() ?? .max
      // A number that no store reaches wraps, and is then before everything.
      segments[index].rewrittenEnd = (later.map(\.lastSequence).min() ?? 0) &+ 1
      if index + 1 < segments.count {
        segments[index].followingSequence = segments[index + 1].firstSequence
      }
    }
    // Without any segment the manifest alone tells that there was a log.
    if segments.isEmpty, let durable = self.syncedPosition, durable > floorPosition {
      files.append(Self.missing(FileNames.logSegment(floor)))
    }
  }

  private static func missing(_ path: String) -> RepairedFile {
    RepairedFile(
      path: path, fate: .lost,
      losses: [RepairLoss(offset: 0, byteCount: nil, finding: "the segment is missing")])
  }

  private mutating func note(durableUpTo position: UInt64?) {
    syncedPosition = max(syncedPosition ?? 0, position ?? 0)
  }

  /// Which segment each file is: a file under another's name is known by its header.
  private static func holders(
    of numbers: [UInt64], in fileSystem: any FileSystem, _ store: StoreID
  ) throws(StoreError) -> [(path: String, number: UInt64)] {
    var holders: [(path: String, number: UInt64)] = []
    var taken: Set<UInt64> = []
    for number in numbers {
      let path = FileNames.logSegment(number)
      var stated = number
      do throws(StoreError) {
        let reader = try LogSegmentReader(
          try fileSystem.openFile(path, .read), number: number, store: nil)
        if let header = reader.header, header.store == store { stated = header.number }
      } catch {
        guard error.loss(of: path) != nil else { throw error }
      }
      if taken.insert(stated).inserted { holders.append((path, stated)) }
    }
    return holders
  }

  private func open(_ path: String, _ number: UInt64) throws(StoreError) -> LogSegmentReader {
    try LogSegmentReader(
      try fileSystem.openFile(path, .read), number: number, store: store,
      near: max(floorPosition, syncedPosition ?? 0, segments.last?.header?.basePosition ?? 0))
  }

  /// What the files of a log were found to be.
  struct Findings {
    var files: [RepairedFile]
    /// The log has every entry from this sequence number on; nil when something of it is lost.
    var completeFrom: UInt64?

    var isWhole: Bool { files.allSatisfy { $0.fate == .whole || $0.fate == .unused } }

    /// Frames between two positions are in no file.
    ///
    /// Positions decide, not names: a segment may follow one that a recovery wrote anew and
    /// removed. A seal without its place, though, holds nothing.
    ///
    /// - Parameter missing: the file that they were in, if something names it.
    fileprivate mutating func noteGap(from end: UInt64, to start: UInt64, missing: String?) {
      guard start > end, start - end > FrameCoder.emptyByteCount else { return }
      if let missing {
        guard !files.contains(where: { $0.path == missing }) else { return }
        return files.append(SalvagedLog.missing(missing))
      }
      files.append(
        RepairedFile(
          path: FileNames.logDirectory, fate: .lost,
          losses: [
            RepairLoss(
              offset: 0, byteCount: start - end,
              finding: "frames between the log positions \(end) and \(start) are missing")
          ]))
    }
  }

  /// Calls `body` for each entry of each intact frame that counts.
  func forEachEntry(
    progress: (UInt64) throws(StoreError) -> Void,
    _ body: (LogEntry, UInt64) throws(StoreError) -> Void
  ) throws(StoreError) -> Findings {
    var findings = Findings(files: files, completeFrom: nil)
    var first: UInt64?
    // Up to here the frames are there, or their loss is told of; nil before the first that counts,
    // where only a manifest knows what should be there.
    var end: UInt64? = syncedPosition == nil ? nil : floorPosition
    var previous: UInt64 = 0
    for segment in segments {
      let reader = try open(segment.path, segment.number)
      if let header = segment.header, let end {
        let named = header.previousNumber > previous ? header.previousNumber : nil
        findings.noteGap(
          from: max(end, floorPosition), to: header.basePosition,
          missing: named.map(FileNames.logSegment))
      }
      var reached = max(end ?? 0, segment.header?.basePosition ?? 0)
      let report = try walk(reader, segment, &first, &reached, body)
      // What is lost in it has been told of as far as the file goes.
      if reader.header != nil {
        for loss in report.losses {
          // What could not be read at all has no offset among the frames.
          let lossEnd = max(Int(loss.offset + (loss.byteCount ?? 0)), LogSegmentHeader.byteCount)
          reached = max(reached, min(reader.position(of: lossEnd), segment.limit))
        }
      }
      end = reached
      previous = segment.number
      findings.files.append(report)
      try progress(UInt64(reader.byteCount))
    }
    if let syncedPosition {
      if let end {
        findings.noteGap(from: max(end, floorPosition), to: syncedPosition, missing: nil)
      }
      if findings.isWhole { findings.completeFrom = first }
    }
    return findings
  }

  private func walk(
    _ reader: LogSegmentReader, _ segment: Segment, _ first: inout UInt64?,
    _ reached: inout UInt64, _ body: (LogEntry, UInt64) throws(StoreError) -> Void
  ) throws(StoreError) -> RepairedFile {
    var report = RepairedFile(path: segment.path, fate: .whole)
    let usual = FileNames.logSegment(segment.number)
    if segment.path != usual { report.note = "this is \(usual) under another name" }
    if let damage = reader.headerDamage, let loss = damage.loss(of: segment.path) {
      report.rebuilt.append(loss)
    }
    var end = LogSegmentHeader.byteCount
    var nextSequence: UInt64?
    var isSealed = false
    try reader.salvage { frame throws(StoreError) in
      if frame.offset > end {
        let hole = Hole(from: end, to: frame.offset, nextSequence, frame.firstSequence)
        judge(hole, reader, segment, &report)
      }
      end = frame.offset + frame.byteCount
      nextSequence = frame.endSequence
      isSealed = frame.kind == .seal
      if reader.header != nil {
        let position = reader.position(of: frame.offset)
        // What was written again is good in its first place too; the rest was never to be kept.
        let counts = position < segment.limit || frame.endSequence <= segment.rewrittenEnd
        guard counts, position >= floorPosition else { return }
      }
      // Where a segment without its header ends is not known.
      let position = reader.header == nil ? .max : reader.position(of: end)
      if position <= segment.limit || reader.header == nil { reached = max(reached, position) }
      guard frame.kind != .seal else { return }
      if frame.kind == .commit { first = first ?? frame.firstSequence }
      do throws(StoreError) {
        try reader.forEachEntry(of: frame) { entry, sequence throws(StoreError) in
          report.entryCount += 1
          try body(entry, sequence)
        }
      } catch {
        guard let loss = error.loss(of: segment.path) else { throw error }
        report.losses.append(loss)
      }
    }
    if reader.header == nil, reader.headerDamage == nil, nextSequence == nil, !reader.isEmpty {
      report.losses.append(
        RepairLoss(
          offset: 0, byteCount: UInt64(reader.byteCount),
          finding: "there is no header, and no intact frame"))
    } else if !isSealed, let tail = reader.tail(from: end) {
      judgeTail(
        tail, Hole(from: end, to: reader.byteCount, nextSequence, segment.followingSequence),
        reader,
        segment, &report)
    }
    if !report.losses.isEmpty { report.fate = report.entryCount == 0 ? .lost : .partly }
    return report
  }

  /// Bytes that are no frame, and the sequence numbers around them.
  private struct Hole {
    var start: Int
    var end: Int
    var nextSequence: UInt64?
    var followingSequence: UInt64?

    init(from start: Int, to end: Int, _ nextSequence: UInt64?, _ followingSequence: UInt64?) {
      (self.start, self.end) = (start, end)
      (self.nextSequence, self.followingSequence) = (nextSequence, followingSequence)
    }
  }

  /// Between two frames: lost, unless a later segment supersedes it.
  private func judge(
    _ hole: Hole, _ reader: LogSegmentReader, _ segment: Segment, _ report: inout RepairedFile
  ) {
    guard isWanted(hole, reader, segment) else { return }
    report.losses.append(loss(hole, "no intact frame is found here; one follows"))
  }

  /// Behind the last frame: lost if it had been durable.
  private func judgeTail(
    _ finding: String, _ hole: Hole, _ reader: LogSegmentReader, _ segment: Segment,
    _ report: inout RepairedFile
  ) {
    guard isWanted(hole, reader, segment) else { return }
    var hole = hole
    if reader.header != nil {
      let start = reader.position(of: hole.start)
      let end = min(segment.limit, syncedPosition ?? .max)
      guard start < end else {
        report.hasTornTail = true
        report.note =
          "a write was under way at offset \(hole.start) when the log ended, or was damaged since"
        return
      }
      hole.end = hole.start + Int(min(UInt64(hole.end - hole.start), end - start))
    }
    // A seal, for one: a frame without entries.
    if hole.end - hole.start <= FrameCoder.emptyByteCount {
      report.rebuilt.append(loss(hole, finding))
    } else {
      report.losses.append(loss(hole, finding))
    }
  }

  private func loss(_ hole: Hole, _ finding: String) -> RepairLoss {
    var loss = RepairLoss(
      offset: UInt64(hole.start), byteCount: UInt64(hole.end - hole.start), finding: finding)
    if let first = hole.nextSequence, let next = hole.followingSequence, next > first {
      loss.finding += "; sequence numbers \(first) to \(next - 1)"
      loss.sequences = first..<next
    }
    return loss
  }

  private func isWanted(_ hole: Hole, _ reader: LogSegmentReader, _ segment: Segment) -> Bool {
    guard reader.header != nil else { return true }
    return reader.position(of: hole.start) < segment.limit
      && reader.position(of: hole.end) > floorPosition
  }
}

extension StoreError {
  /// The error as a loss of bytes of a file; nil when it says nothing of the file.
  func loss(of path: String) -> RepairLoss? {
    switch self {
    case .corrupt(let damage): RepairLoss(offset: damage.offset, finding: damage.finding)
    case .io: RepairLoss(offset: 0, finding: "cannot be read: \(self)")
    default: nil
    }
  }
}
