// RepairProof — a repair is killed: its result is whole or absent, and the original as it was.
//
// Room:    Tools/Torture.

import Foundation
import Turbidite
import TurbiditeSimulation

/// What a run of killed repairs came to.
package struct RepairSummary: Sendable {
  /// Repairs that SIGKILL ended.
  package var killCount = 0
  /// Of them, those that died at a chosen system call.
  package var exactKills = 0
  /// Kills behind which the new store stood, whole.
  package var wholeCount = 0
  /// Repairs that ended by themselves, over what a killed one had left or before their kill.
  package var finishedCount = 0
  package var storeCount = 0
  /// Stores of which something had been destroyed before the repair.
  package var damagedCount = 0
  /// Stores that were beyond repair, and were refused.
  package var refusedCount = 0
  package var canTrace = false
  package var seconds = 0.0

  /// One line; nothing that was not done is counted in it.
  package var line: String {
    let exact =
      canTrace ? "\(exactKills) at chosen system calls" : "chosen system calls: skipped, no strace"
    return
      "SIGKILL, repair: \(killCount) kills (\(exact)) of repairs of \(storeCount) stores"
      + " (\(damagedCount) damaged, \(refusedCount) beyond repair); the new store was whole"
      + " \(wholeCount) times, else absent; \(finishedCount) repairs run to their end;"
      + " broken or changed: 0; \(Int(seconds)) s"
  }
}

/// Kills repairs at random moments and at chosen system calls, and checks after each.
///
/// Method: a writer is killed, some of its files are cut, changed or removed, and the store is
///         repaired once without a kill. What that repair made is the measure of all others: a new
///         store that is there after a kill holds the same, and deep verification finds it clean.
package struct RepairProof {
  private let settings: ProofSettings
  private let random: SeededRandom
  private let tracer: Tracer?
  private var summary = RepairSummary()
  private var specimen: Specimen?

  /// A damaged store, and what its repair comes to.
  private struct Specimen {
    /// Every file's bytes, and every directory.
    var picture: [String: Data]
    var repaired: [String: [Entry]]
    var milliseconds: Int
    var usesLeft: Int
  }

  package init(_ settings: ProofSettings) {
    self.settings = settings
    random = SeededRandom(seed: settings.seed)
    tracer = Tracer.find()
    summary.canTrace = tracer != nil
  }

  /// Runs until the kills are done or the time is over.
  ///
  /// - Throws: ``TortureFailure``, with the directory kept.
  package mutating func run() throws -> RepairSummary {
    let (start, deadline) = (ProofSettings.now, settings.deadline)
    try makeDirectory(settings.directory)
    var attempts = 0
    while summary.killCount < settings.rounds, ProofSettings.now < deadline,
      !settings.isCancelled()
    {
      attempts += 1
      try require(
        attempts <= 4 * settings.rounds + 100,
        "\(attempts) repairs were started, and \(summary.killCount) could be killed")
      do {
        try round()
      } catch {
        throw TortureFailure("attempt \(attempts), seed \(settings.seed), \(original): \(error)")
      }
    }
    summary.seconds = ProofSettings.now - start
    return summary
  }

  private var original: String { settings.directory + "/original" }
  private var target: String { settings.directory + "/new" }
  /// Where a repair builds before its result gets its name.
  private var unfinished: String { settings.directory + "/.new.repair" }

  private mutating func round() throws {
    guard var specimen = try specimen ?? makeSpecimen() else { return }
    specimen.usesLeft -= 1
    self.specimen = specimen.usesLeft > 0 ? specimen : nil
    let plain = settings.child + [original, target, Child.repairWord]
    let isExact = tracer != nil && random.isOne(in: 2)
    let words = isExact ? tracer?.words(killing: plain, isRepair: true, random) ?? plain : plain
    let child = try ChildProcess(words, scratch: settings.directory)
    if isExact {
      child.listen(milliseconds: 10_000)
    } else if random.isOne(in: 4) {
      waitForResult(child)
    } else {
      child.listen(milliseconds: random.below(specimen.milliseconds * 5 / 4 + 2))
    }
    let wasFirst = child.hasClosed
    let end = try child.end()
    try require(
      end.wasKilled || end.signal == 0 && end.status == 0,
      "the repair ended by itself: \(end.explanation)")
    try require(try picture() == specimen.picture, "the repair changed the original")
    let isThere = FileManager.default.fileExists(atPath: target)
    if end.wasKilled {
      summary.killCount += 1
      if isExact && wasFirst { summary.exactKills += 1 }
      if isThere { summary.wholeCount += 1 }
    } else {
      summary.finishedCount += 1
      try require(isThere, "the repair succeeded and made nothing")
    }
    if isThere {
      try checkResult(specimen)
      if random.isOne(in: 4) { try refuseSecond(specimen) }
      try removeDirectory(target)
    } else if random.isOne(in: 3) {
      // Otherwise the next repair meets what this one has left, and may die over it.
      try finish(specimen)
    }
  }

  /// Waits for the moment in which the result has got its name, and that may not be durable yet.
  private func waitForResult(_ child: ChildProcess) {
    let deadline = ProofSettings.now + 10
    while !child.hasClosed, access(target, F_OK) != 0, ProofSettings.now < deadline {
      _ = child.countSentences()
    }
  }

  /// A repair that nobody kills, over whatever a killed one has left.
  private mutating func finish(_ specimen: Specimen) throws {
    let end = try runRepair()
    try require(end.status == 0, "run again, the repair ended with \(end.explanation)")
    summary.finishedCount += 1
    try require(try picture() == specimen.picture, "the repair run again changed the original")
    try checkResult(specimen)
    try require(
      !FileManager.default.fileExists(atPath: unfinished), "\(unfinished) stayed behind")
    try removeDirectory(target)
  }

  /// A repair into a name that is taken changes nothing.
  private func refuseSecond(_ specimen: Specimen) throws {
    let end = try runRepair()
    try require(
      end.signal == 0 && end.status == Child.failedStatus,
      "a repair over the finished store ended with \(end.explanation)")
    try checkResult(specimen)
  }

  private func runRepair() throws -> ChildEnd {
    let child = try ChildProcess(
      settings.child + [original, target, Child.repairWord], scratch: settings.directory)
    child.listen(milliseconds: 60_000)
    try require(child.hasClosed, "a repair has not ended in a minute")
    return try child.end()
  }

  private func checkResult(_ specimen: Specimen) throws {
    let found = try Self.contents(of: target)
    for name in Set(found.keys).union(specimen.repaired.keys) {
      try require(
        found[name] == specimen.repaired[name],
        "the new store holds \(found[name]?.count ?? 0) entries of keyspace '\(name)', and the"
          + " repair without a kill \(specimen.repaired[name]?.count ?? 0), or others")
    }
    let verified = try verify(storeAt: target, deep: true)
    try require(verified.isClean, "the new store has \(verified.damageCount) damages")
  }

  // MARK: - Stores to repair

  /// A store whose writer was killed, with up to three of its files damaged; nil when it is beyond
  /// repair.
  private mutating func makeSpecimen() throws -> Specimen? {
    for path in [original, target, unfinished] { try removeDirectory(path) }
    let writer = try ChildProcess(
      settings.child + [original, "\(random.next() >> 1)", Phase.write.rawValue],
      scratch: settings.directory)
    try require(writer.listenForOpening(milliseconds: 20_000), "no store was made in 20 s")
    writer.listen(milliseconds: 60 + random.below(400))
    let end = try writer.end()
    try require(end.wasKilled, "the writer ended by itself: \(end.explanation)")
    let isDamaged = try damage()
    let intact = isDamaged ? nil : try Self.contents(of: original)
    let before = try picture()
    let start = ProofSettings.now
    let repair = try runRepair()
    let milliseconds = Int((ProofSettings.now - start) * 1000)
    try require(try picture() == before, "the first repair changed the original")
    if isDamaged, repair.status == Child.failedStatus, repair.complaint.contains("no store") {
      summary.refusedCount += 1
      return nil
    }
    try require(
      repair.signal == 0 && repair.status == 0, "the first repair: \(repair.explanation)")
    summary.storeCount += 1
    summary.damagedCount += isDamaged ? 1 : 0
    let repaired = try Self.contents(of: target)
    let specimen = Specimen(
      picture: before, repaired: repaired, milliseconds: milliseconds, usesLeft: 12)
    try checkResult(specimen)
    if let intact {
      try require(repaired == intact, "the repair of an intact store does not hold the same")
    }
    try removeDirectory(target)
    return specimen
  }

  /// Cuts, changes or removes up to three files of the store.
  private func damage() throws -> Bool {
    let files = try picture().filter { !$0.value.isEmpty }.keys.sorted()
    let count = random.below(4)
    for _ in 0..<count {
      let url = URL(fileURLWithPath: original + "/" + files[random.below(files.count)])
      guard FileManager.default.fileExists(atPath: url.path) else { continue }
      var bytes = try Data(contentsOf: url)
      if bytes.isEmpty { continue }
      switch random.below(6) {
      case 0: try FileManager.default.removeItem(at: url)
      case 1: try bytes.prefix(random.below(bytes.count)).write(to: url)
      default:
        for _ in 0...random.below(8) {
          bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255))
        }
        try bytes.write(to: url)
      }
    }
    return count > 0
  }

  /// All files of the original with their bytes; a directory has none, and a name that ends in `/`.
  private func picture() throws -> [String: Data] {
    var picture: [String: Data] = [:]
    for path in try FileManager.default.subpathsOfDirectory(atPath: original) {
      let url = URL(fileURLWithPath: original + "/" + path)
      if try url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true {
        picture[path + "/"] = Data()
      } else {
        picture[path] = try Data(contentsOf: url)
      }
    }
    return picture
  }

  /// The entries of every keyspace of a store, opened read-only.
  private static func contents(of path: String) throws -> [String: [Entry]] {
    let store = try Store.Blocking.open(at: path, mode: .readOnly)
    var contents = ["": try Ledger.entries(store.blocking.scan())]
    for name in try store.blocking.keyspaces() {
      let keyspace = try store.blocking.keyspace(name)
      contents[name] = try Ledger.entries(store.blocking.scan(in: keyspace))
    }
    try store.blocking.close()
    return contents
  }
}
