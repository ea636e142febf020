// LogRecovery — finds out what the commit log holds after a stop of any kind.
//
// Room:    Engine/Log.
// Format:  FORMAT.md section 4.4 states these rules for an independent reader.

import TurbiditeSystem

/// What a store's log holds: the parts to replay, in order, and where it ends.
struct RecoveredLog {
  /// The frames of one segment that count.
  struct Part: Hashable {
    var number: UInt64
    var basePosition: UInt64
    var endPosition: UInt64
  }

  /// In log order; their positions join without a gap.
  var parts: [Part] = []
  /// The end of the last frame that counts.
  var endPosition: UInt64 = 0
  /// Everything below was durable before the stop.
  ///
  /// `endPosition` at most.
  var syncedPosition: UInt64 = 0
  /// The largest sequence number in a frame that counts, or 0.
  var lastSequence: UInt64 = 0
  /// Bytes of a torn tail: written, never acknowledged as durable, and cut.
  var tornByteCount: UInt64 = 0
  var frameCount = 0
}

/// Reads a log without changing it.
struct LogRecovery {
  let fileSystem: any FileSystem
  let store: StoreID
  /// Segments below this number are obsolete, says the manifest.
  let floor: UInt64
  /// Frames below this position are obsolete, says the manifest; those from it on must be there.
  let floorPosition: UInt64
  /// Every frame below this was durable, says the manifest.
  let syncedPosition: UInt64

  /// One segment, as the first look at it found it.
  private struct Survey {
    var number: UInt64
    var path: String
    var header: LogSegmentHeader
    /// The position and file offset behind the last good frame.
    var endPosition: UInt64
    var endOffset: Int
    var bad: String?
    var byteCount: Int
  }

  /// Decides what the log holds.
  ///
  /// - Throws: ``StoreError/corrupt(_:)`` when a frame that had been durable is not there.
  func recover() throws(StoreError) -> RecoveredLog {
    var synced = syncedPosition
    var headerDamage: StoreError?
    let surveys = try survey(&synced, &headerDamage)
    var log = RecoveredLog()
    // The log begins at the floor and nowhere else: a segment that begins later, without the one
    // before it, is the rest of a log whose beginning was lost, or of one that was superseded.
    log.endPosition = floorPosition
    for (index, survey) in surveys.enumerated() {
      // A later segment that begins earlier supersedes what is here from its beginning on.
      let next = surveys[(index + 1)...].map(\.header.basePosition).min()
      let base = survey.header.basePosition
      if let next, base >= next { continue }
      guard base == log.endPosition || planted(.recoverBeyondGap) else {
        if log.endPosition < synced { throw headerDamage ?? gap(after: log, before: survey) }
        log.tornByteCount += UInt64(survey.byteCount)
        continue
      }
      let end = min(survey.endPosition, next ?? .max)
      log.parts.append(.init(number: survey.number, basePosition: base, endPosition: end))
      log.endPosition = end
      let isTorn = survey.bad != nil || next.map { survey.endPosition < $0 } ?? false
      if isTorn && (next == nil || survey.endPosition < next ?? 0) {
        if end < synced {
          // This segment is whole; the one behind it has lost its header.
          if survey.bad == nil, let headerDamage { throw headerDamage }
          throw damage(
            survey.path, UInt64(survey.endOffset),
            "\(survey.bad ?? "frames are missing"), below log position \(synced), which was durable"
          )
        }
        log.tornByteCount += UInt64(survey.byteCount - survey.endOffset)
      }
    }
    if log.endPosition < synced {
      if let headerDamage { throw headerDamage }
      // One without a header is what was lost, if there is one.
      let last = surveys.last
      let number = try LogRecovery.segmentNumbers(fileSystem).last { $0 >= floor }
      throw damage(
        last?.path ?? FileNames.logSegment(number ?? floor), UInt64(last?.endOffset ?? 0),
        "the log ends at position \(log.endPosition), but was durable through \(synced)")
    }
    // What lies below the floor is in tables: it need not be written anew, and nothing that is
    // written anew may be placed below it, where the next recovery would not look.
    log.syncedPosition = max(floorPosition, min(synced, log.endPosition))
    try count(&log)
    return log
  }

  /// Calls `body` for each entry that counts, with its segment's number.
  func replay(
    _ log: RecoveredLog, _ body: (LogEntry, UInt64, UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    for part in log.parts {
      let segment = try open(part.number)
      _ = try segment.walk(until: part.endPosition) { frame throws(StoreError) in
        try segment.forEachEntry(of: frame) { entry, sequence throws(StoreError) in
          try body(entry, sequence, part.number)
        }
      }
    }
  }

  /// Calls `body` for each frame from the synced position on: the tail that must be written anew.
  func tail(
    of log: RecoveredLog, _ body: (LogFrame) throws(StoreError) -> Void
  ) throws(StoreError) {
    for part in log.parts where part.endPosition > log.syncedPosition {
      let segment = try open(part.number)
      _ = try segment.walk(until: part.endPosition) { frame throws(StoreError) in
        guard frame.kind != .seal else { return }
        if segment.position(of: frame.offset) >= log.syncedPosition { try body(frame) }
      }
    }
  }

  // MARK: - How

  private func open(
    _ number: UInt64, near position: UInt64? = nil
  ) throws(StoreError) -> LogSegmentReader {
    let path = FileNames.logSegment(number)
    let file: any File
    do throws(SystemError) { file = try fileSystem.open(path, .read) } catch {
      throw error.isAbsent
        ? damage(path, 0, "the segment is missing") : StoreError(error)
    }
    return try LogSegmentReader(
      file, number: number, store: store,
      near: max(floorPosition, syncedPosition, position ?? 0))
  }

  private func survey(
    _ synced: inout UInt64, _ headerDamage: inout StoreError?
  ) throws(StoreError) -> [Survey] {
    var surveys: [Survey] = []
    for number in try LogRecovery.segmentNumbers(fileSystem) where number >= floor {
      // Where the one before begins is nearer than what the manifest knows.
      let segment = try open(number, near: surveys.last?.header.basePosition)
      var largest = segment.header?.syncedPosition ?? 0
      let (endOffset, bad) = try segment.walk { frame in
        largest = max(largest, frame.syncedPosition)
      }
      largest = max(largest, segment.syncedPosition(searchingFrom: endOffset))
      if !planted(.forgetSyncedPosition) { synced = max(synced, largest) }
      // Without a header the segment was being created: none of its frames was ever durable, or
      // the search above has found the proof that some was, and the end check reports it.
      guard let header = segment.header else {
        if planted(.condemnTornHeader), let damage = segment.headerDamage { throw damage }
        headerDamage = headerDamage ?? segment.headerDamage
        continue
      }
      surveys.append(
        Survey(
          number: number, path: segment.path, header: header,
          endPosition: segment.position(of: endOffset), endOffset: endOffset, bad: bad,
          byteCount: segment.byteCount))
    }
    return surveys
  }

  /// Counts frames and sequence numbers, and checks that numbers only grow.
  private func count(_ log: inout RecoveredLog) throws(StoreError) {
    var last: UInt64 = 0
    var frames = 0
    for part in log.parts {
      let segment = try open(part.number)
      _ = try segment.walk(until: part.endPosition) { frame throws(StoreError) in
        frames += 1
        guard frame.kind == .commit else { return }
        guard frame.firstSequence > last else {
          throw damage(
            segment.path, UInt64(frame.offset),
            "sequence number \(frame.firstSequence) follows \(last)")
        }
        last = frame.endSequence - 1
      }
    }
    log.lastSequence = last
    log.frameCount = frames
  }

  private func gap(after log: RecoveredLog, before survey: Survey) -> StoreError {
    damage(
      survey.path, 0,
      "the log ends at position \(log.endPosition) and goes on at \(survey.header.basePosition)")
  }

  private func damage(_ path: String, _ offset: UInt64, _ finding: String) -> StoreError {
    .corrupt(Damage(file: path, offset: offset, finding: finding))
  }

  /// The numbers of all segments in the directory, ascending.
  static func segmentNumbers(_ fileSystem: any FileSystem) throws(StoreError) -> [UInt64] {
    let names: [String]
    do throws(SystemError) { names = try fileSystem.list(FileNames.logDirectory) } catch {
      throw StoreError(error)
    }
    return names.compactMap { name -> UInt64? in
      if case .logSegment(let number) = FileNames.kind(of: "\(FileNames.logDirectory)/\(name)") {
        return number
      }
      return nil
    }.sorted()
  }
}
