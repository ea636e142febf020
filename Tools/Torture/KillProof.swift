// KillProof — a child writes, is killed, and nothing that it was promised is lost.
//
// Room:    Tools/Torture.

import TurbiditeSimulation

/// What a run of kills came to.
package struct KillSummary: Sendable {
  /// Children that SIGKILL ended, in each phase.
  package var kills: [Phase: Int] = [:]
  /// Of them, those that died at a chosen system call.
  package var exactKills = 0
  /// Children that ended by themselves before their kill: no kills.
  package var ended = 0
  package var acknowledgements = 0
  package var inFlight = 0
  /// Kills before there was a store.
  package var unborn = 0
  /// Whether kills at chosen calls could be tried.
  package var canTrace = false
  package var seconds = 0.0

  package var killCount: Int { kills.values.reduce(0, +) }

  /// One line; nothing that was not done is counted in it.
  package var line: String {
    let phases = Phase.allCases.map { "\($0.rawValue) \(kills[$0] ?? 0)" }.joined(separator: ", ")
    let exact =
      canTrace ? "\(exactKills) at chosen system calls" : "chosen system calls: skipped, no strace"
    return
      "SIGKILL: \(killCount) kills (\(phases); \(exact)), \(acknowledgements) acknowledgements,"
      + " \(inFlight) batches in flight kept whole, \(unborn) before there was a store; lost: 0;"
      + " \(Int(seconds)) s"
  }
}

/// Kills children at random moments and at chosen system calls, and checks after each.
package struct KillProof {
  private let settings: ProofSettings
  private let random: SeededRandom
  private let tracer: Tracer?
  private var ledger = Ledger()
  private var summary = KillSummary()
  private var generation = 0

  package init(_ settings: ProofSettings) {
    self.settings = settings
    random = SeededRandom(seed: settings.seed)
    tracer = Tracer.find()
    summary.canTrace = tracer != nil
  }

  /// Runs until the kills are done or the time is over.
  ///
  /// - Throws: ``TortureFailure``, with the directory kept.
  package mutating func run() throws -> KillSummary {
    let (start, deadline) = (ProofSettings.now, settings.deadline)
    try makeDirectory(settings.directory)
    var attempts = 0
    while summary.killCount < settings.rounds, ProofSettings.now < deadline,
      !settings.isCancelled()
    {
      attempts += 1
      try require(
        attempts <= 3 * settings.rounds + 50,
        "\(attempts) children were started, and \(summary.killCount) could be killed")
      let before = ledger
      do {
        try round()
      } catch {
        throw TortureFailure(
          "attempt \(attempts), seed \(settings.seed), store \(path): \(error);"
            + " before it: \(before)"
        )
      }
    }
    summary.seconds = ProofSettings.now - start
    return summary
  }

  private var path: String { "\(settings.directory)/store-\(generation)" }

  private mutating func round() throws {
    if random.isOne(in: 20) {
      try removeDirectory(path)
      generation += 1
      ledger = Ledger()
    }
    // Of ten children, six write; recovery and upkeep end by themselves unless killed early.
    let phase: Phase =
      switch random.below(10) {
      case 0..<6: .write
      case 6..<8: .recover
      default: .upkeep
      }
    let plain = settings.child + [path, "\(random.next() >> 1)", phase.rawValue]
    // A phase that ends soon is met by a call better than by the clock.
    let isExact = tracer != nil && random.below(10) < (phase == .write ? 3 : 7)
    let words = isExact ? tracer?.words(killing: plain, random) ?? plain : plain
    let child = try ChildProcess(words, scratch: settings.directory)
    wait(for: child, phase, isExact: isExact)
    let wasFirst = child.hasClosed
    let end = try child.end()
    try require(
      end.wasKilled || phase.ends && end.signal == 0 && end.status == 0,
      "the child (\(phase.rawValue)) ended by itself: \(end.explanation)")
    if end.wasKilled {
      summary.kills[phase, default: 0] += 1
      if isExact && wasFirst { summary.exactKills += 1 }
    } else {
      summary.ended += 1
    }
    try ledger.take(end.sentences)
    summary.acknowledgements += end.sentences.count { $0.kind == .buffered || $0.kind == .synced }
    let outcome = try Checker.check(
      path, &ledger, after: .processDeath, readOnly: random.isOne(in: 2))
    summary.inFlight += outcome.inFlight
    summary.unborn += outcome.isUnborn ? 1 : 0
  }

  /// Waits for the moment to kill: a chosen call comes by itself, or else does not within the time.
  private func wait(for child: ChildProcess, _ phase: Phase, isExact: Bool) {
    if isExact {
      child.listen(milliseconds: phase == .write ? 500 : 5000)
    } else if phase == .write, random.isOne(in: 2) {
      if child.listenForOpening(milliseconds: 5000) {
        child.listen(milliseconds: random.below(40))
      }
    } else if phase == .upkeep {
      if child.listenForOpening(milliseconds: 5000) {
        child.listen(milliseconds: random.below(25))
      }
    } else {
      child.listen(milliseconds: 1 + random.below(phase == .recover ? 20 : 39))
    }
  }
}
