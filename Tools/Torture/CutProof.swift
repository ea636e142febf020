// CutProof — the power of a real file system is cut under a child that writes.
//
// Room:    Tools/Torture.
// Limits:  Root only; the caller stands in a mount namespace of its own. The ioctl is no single
//          instant: an fdatasync that runs beside it may return 0 with nothing written (Linux 6.18,
//          ext4 and XFS; a program of 30 lines that only writes and syncs sees it in one cut of
//          five). So a sync counts as such when its acknowledgement was heard before the ioctl.

import TurbiditeSimulation

/// What a run of power cuts came to on one file system.
package struct CutSummary: Sendable {
  package var fileSystem: CutFileSystem
  /// Cuts, in each phase of the child.
  package var cuts: [Phase: Int] = [:]
  /// Cuts right after a recovery, with no writer at all.
  package var idleCuts = 0
  package var acknowledgements = 0
  /// Of them, those that a cut may not take: synced, or covered by a sync.
  package var durableAcknowledgements = 0
  /// Synced commits that returned while the power was going: they count as buffered.
  package var doubtfulSyncs = 0
  /// Buffered batches that were gone, as they may be.
  package var lostBuffered = 0
  /// Cuts before there was a store.
  package var unborn = 0
  package var seconds = 0.0

  package var cutCount: Int { cuts.values.reduce(idleCuts, +) }

  package var line: String {
    let phases = Phase.allCases.map { "\($0.rawValue) \(cuts[$0] ?? 0)" }.joined(separator: ", ")
    return "power cuts, \(fileSystem.rawValue): \(cutCount) cuts (\(phases), idle \(idleCuts)),"
      + " \(acknowledgements) acknowledgements, \(durableAcknowledgements) of them synced"
      + " (\(doubtfulSyncs) more during the cut itself, counted as buffered),"
      + " \(lostBuffered) buffered batches gone as a prefix allows, \(unborn) before there was a"
      + " store; synced lost: 0; \(Int(seconds)) s"
  }
}

/// Cuts the power at random moments, and checks after each.
package struct CutProof {
  private let settings: ProofSettings
  private let random: SeededRandom
  private let disk: CutDisk
  private var ledger = Ledger()
  private var summary: CutSummary
  private var generation = 0

  package init(_ fileSystem: CutFileSystem, _ settings: ProofSettings) throws {
    self.settings = settings
    random = SeededRandom(seed: settings.seed)
    try makeDirectory(settings.directory)
    disk = try CutDisk(fileSystem, directory: settings.directory)
    summary = CutSummary(fileSystem: fileSystem)
  }

  /// Runs until the cuts are done or the time is over.
  ///
  /// - Throws: ``TortureFailure``, with the image kept.
  package mutating func run() throws -> CutSummary {
    let (start, deadline) = (ProofSettings.now, settings.deadline)
    while summary.cutCount < settings.rounds, ProofSettings.now < deadline,
      !settings.isCancelled()
    {
      let before = ledger
      do {
        try round()
      } catch {
        throw TortureFailure(
          "cut \(summary.cutCount), seed \(settings.seed), image in \(settings.directory),"
            + " store \(path): \(error); before it: \(before)")
      }
    }
    summary.seconds = ProofSettings.now - start
    try disk.remove()
    return summary
  }

  private var path: String { "\(disk.mountPoint)/store-\(generation)" }

  private mutating func round() throws {
    if random.isOne(in: 20) {
      try removeDirectory(path)
      generation += 1
      ledger = Ledger()
    }
    let phase: Phase =
      switch random.below(10) {
      case 0..<7: .write
      case 7..<8: .recover
      default: .upkeep
      }
    let child = try ChildProcess(
      settings.child + [path, "\(random.next() >> 1)", phase.rawValue], scratch: settings.directory)
    if phase == .recover || random.isOne(in: 6) {
      child.listen(milliseconds: 1 + random.below(20))
    } else if child.listenForOpening(milliseconds: 5000) {
      child.listen(milliseconds: random.below(50))
    }
    let firmCount = child.countSentences()
    let hasEnded = child.hasClosed
    try disk.cut(logIsFlushed: random.isOne(in: 3))
    let end = try child.end()
    try require(!end.isTrap, "the child (\(phase.rawValue)) died: \(end.explanation)")
    try require(
      !hasEnded || phase.ends && end.signal == 0 && end.status == 0,
      "the child (\(phase.rawValue)) ended before the cut: \(end.explanation)")
    summary.cuts[phase, default: 0] += 1
    let promised = ledger.durable
    try ledger.take(end.sentences, firmCount: firmCount)
    summary.doubtfulSyncs += end.sentences.dropFirst(firmCount).count { $0.kind == .synced }
    summary.acknowledgements += end.sentences.count { $0.kind == .buffered || $0.kind == .synced }
    summary.durableAcknowledgements += zip(ledger.durable, promised).reduce(0) { $0 + $1.0 - $1.1 }
    try check()
    if random.isOne(in: 4) {
      // What the check has seen a recovery show must not go, although nothing was written since.
      try disk.cut(logIsFlushed: random.isOne(in: 3))
      summary.idleCuts += 1
      try check()
    }
  }

  private mutating func check() throws {
    try disk.restart()
    let outcome = try Checker.check(
      path, &ledger, after: .powerCut, readOnly: random.isOne(in: 3))
    summary.lostBuffered += outcome.cut
    summary.unborn += outcome.isUnborn ? 1 : 0
  }
}
