// StoreVerifier+Log — the segments of the commit log, frame by frame.
//
// Room:    Engine/Verify.
// Format:  FORMAT.md section 4.4: what counts, and what tells damage from a torn tail.

import TurbiditeSystem

/// Bytes between two good frames, or behind the last one, that are no frame.
private struct BadStretch {
  var path: String
  /// Where in the order of the segments its own is.
  var segmentIndex: Int
  var offset: UInt64
  var byteCount: UInt64
  var position: UInt64
  var text: String
  /// A good frame follows in the same segment.
  var isFollowed: Bool
}

/// What one look at the log found.
private struct LogSurvey {
  var stretches: [BadStretch] = []
  /// Bad headers, entries that cannot be read: damage whatever follows.
  var findings: [StoreFinding] = []
  /// The base position of each segment with a header, by its place in the order.
  var bases: [(segmentIndex: Int, position: UInt64)] = []
  var synced: UInt64 = 0
  var entryCount: UInt64 = 0
  var sizes: [UInt64] = []

  /// Where the segment at `index` ends at the latest: later ones supersede what is behind.
  func limit(of index: Int) -> UInt64 {
    bases.filter { $0.segmentIndex > index }.map(\.position).min() ?? .max
  }
}

extension StoreVerifier {
  mutating func verifyLog(_ found: FoundManifest, _ report: Report) throws(StoreError) {
    var survey = LogSurvey()
    var findings: [StoreFinding] = []
    // Beside a writer a segment may be read before a frame is whole, and another one, which says
    // that the frame was durable, after it: only what stays is damage.
    for _ in 0..<(isLive ? 8 : 1) {
      (survey, findings) = try judgeLog(found, report)
      if !findings.contains(where: { $0.severity == .damage }) { break }
    }
    for finding in findings where finding.severity == .damage || !isLive {
      try tell(finding, report)
    }
    count.segmentCount += survey.sizes.count
    count.entryCount += survey.entryCount
    for size in survey.sizes { try countFile(size, report) }
  }

  /// One look at the log, and what it means.
  private func judgeLog(
    _ found: FoundManifest, _ report: Report
  ) throws(StoreError) -> (LogSurvey, [StoreFinding]) {
    var survey = LogSurvey()
    survey.synced = found.state?.syncedPosition ?? 0
    for (index, number) in try segments(of: found).enumerated() {
      try look(at: number, index, found, &survey)
      // A long log must not keep a signal waiting.
      try report(.progress(count))
    }
    guard found.isWhole, let state = found.state, let store = found.store else {
      return (survey, survey.findings + standingAlone(survey))
    }
    var failure: Damage?
    let recovery = LogRecovery(
      fileSystem: fileSystem, store: store, floor: state.logFloor,
      floorPosition: state.logFloorPosition, syncedPosition: state.syncedPosition)
    if try directory(FileNames.logDirectory) != nil {
      do throws(StoreError) { _ = try recovery.recover() } catch {
        guard let damage = error.finding(of: FileNames.logDirectory) else { throw error }
        failure = damage
      }
    }
    var findings = survey.findings
    for stretch in survey.stretches where stretch.position < survey.limit(of: stretch.segmentIndex)
    {
      let isDamage = failure != nil && stretch.position < survey.synced
      findings.append(isDamage ? damage(stretch) : tail(stretch, in: survey))
    }
    if let failure, !explains(findings, failure) {
      findings.append(
        StoreFinding(.damage, failure.file, at: failure.offset, failure.finding))
    }
    return (survey, findings)
  }

  /// Whether what keeps the log from being read is among the findings.
  private func explains(_ findings: [StoreFinding], _ failure: Damage) -> Bool {
    findings.contains {
      $0.severity == .damage && $0.file == failure.file && $0.offset == failure.offset
    }
  }

  private func damage(_ stretch: BadStretch) -> StoreFinding {
    StoreFinding(
      .damage, stretch.path, at: stretch.offset, byteCount: stretch.byteCount, stretch.text)
  }

  /// Good frames behind it were acknowledged, and so perhaps was it: none was known to be durable.
  private func tail(_ stretch: BadStretch, in survey: LogSurvey) -> StoreFinding {
    let isFollowed = stretch.isFollowed || survey.limit(of: stretch.segmentIndex) < .max
    let text =
      isFollowed
      ? "not known to have been durable: opening the store cuts it off, and the good frames behind"
        + " it; a repair saves them"
      : "a tail that was being written, which opening the store cuts off"
    return StoreFinding(
      .note, stretch.path, at: stretch.offset, byteCount: stretch.byteCount,
      "\(text): \(stretch.text)")
  }

  /// Without the whole manifest only a good frame behind a bad stretch proves that it was no tail.
  private func standingAlone(_ survey: LogSurvey) -> [StoreFinding] {
    survey.stretches.filter { $0.position < survey.limit(of: $0.segmentIndex) }.map {
      $0.isFollowed ? damage($0) : tail($0, in: survey)
    }
  }

  // MARK: - One segment

  private func look(
    at number: UInt64, _ index: Int, _ found: FoundManifest, _ survey: inout LogSurvey
  ) throws(StoreError) {
    let path = FileNames.logSegment(number)
    let segment: LogSegmentReader
    do throws(StoreError) {
      let file = try fileSystem.openFile(path, .read)
      survey.sizes.append(try file.byteCount())
      segment = try LogSegmentReader(
        file, number: number, store: found.store, near: found.state?.syncedPosition ?? 0)
    } catch {
      if case .unsupportedFormat = error {
        survey.findings.append(StoreFinding(.damage, path, "\(error)"))
        return
      }
      guard let damage = error.finding(of: path) else { throw error }
      survey.findings.append(
        StoreFinding(
          .damage, path, at: damage.offset, byteCount: UInt64(LogSegmentHeader.byteCount),
          damage.finding))
      return
    }
    guard let header = segment.header else {
      survey.findings.append(
        StoreFinding(
          .note, path, byteCount: UInt64(segment.byteCount), "a segment that was being created"))
      return
    }
    survey.bases.append((index, header.basePosition))
    survey.synced = max(survey.synced, header.syncedPosition)
    try walk(segment, index, found, &survey)
  }

  private func walk(
    _ segment: LogSegmentReader, _ index: Int, _ found: FoundManifest, _ survey: inout LogSurvey
  ) throws(StoreError) {
    var start = LogSegmentHeader.byteCount
    while true {
      var isSealed = false
      let (end, bad) = try segment.walk(from: start) { frame throws(StoreError) in
        survey.synced = max(survey.synced, frame.syncedPosition)
        isSealed = frame.kind == .seal
        if isDeep { try checkEntries(of: frame, in: segment, found, &survey) }
      }
      if isSealed { return }
      let next = segment.nextFrame(behind: end)
      if let text = bad ?? (next == nil ? nil : "zeros stand before a frame") {
        let stop = next ?? segment.byteCount
        survey.stretches.append(
          BadStretch(
            path: segment.path, segmentIndex: index, offset: UInt64(end),
            byteCount: UInt64(stop - end), position: segment.position(of: end), text: text,
            isFollowed: next != nil))
      }
      guard let next else { return }
      start = next
    }
  }

  /// What the frame holds must be something that a replay can take.
  private func checkEntries(
    of frame: LogFrame, in segment: LogSegmentReader, _ found: FoundManifest,
    _ survey: inout LogSurvey
  ) throws(StoreError) {
    var unknown: UInt32?
    do throws(StoreError) {
      try segment.forEachEntry(of: frame) { entry, _ in
        survey.entryCount += 1
        if let state = found.state, found.isWhole, entry.keyspace >= state.nextKeyspaceID {
          unknown = entry.keyspace
        }
      }
    } catch {
      guard let damage = error.finding(of: segment.path) else { throw error }
      survey.findings.append(
        StoreFinding(
          .damage, segment.path, at: damage.offset, byteCount: UInt64(frame.byteCount),
          damage.finding))
    }
    if let unknown {
      survey.findings.append(
        StoreFinding(
          .damage, segment.path, at: UInt64(frame.offset), byteCount: UInt64(frame.byteCount),
          "an entry of keyspace \(unknown), which does not exist"))
    }
  }
}

extension StoreError {
  /// The error as a finding about a file; nil when it says nothing of one, as a lack of permission
  /// does.
  func finding(of path: String) -> Damage? {
    switch self {
    case .corrupt(let damage): damage
    case .io:
      Damage(file: path, offset: 0, finding: "cannot be read: \(description)")
    default: nil
    }
  }
}
