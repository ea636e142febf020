// KillTests — a real process writes to a real disk and is killed at any moment.

import Foundation
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

/// SIGKILL at any instant loses nothing that was acknowledged, and leaves no batch half there.
///
/// Method: `turbidite-kill-writer` runs three writers, each with a counter, over one store, and
///         sends an acknowledgement for every batch through a pipe. It is killed after a random
///         delay, while it opens, recovers, writes, flushes or compacts. What the store must hold
///         follows from the counters it holds: the whole contents are compared, and each counter
///         must be the last one acknowledged, or the one after it, which was in flight. Stores grow
///         over many rounds.
@Suite("Kill", .serialized)
struct KillTests {
  @Test("a store whose writer was killed holds every acknowledged batch, and whole ones only")
  func kill() throws {
    let rounds = environmentCount("TURBIDITE_KILL_ROUNDS", default: 200)
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let random = SeededRandom(seed: seed)
    var ledger = KillLedger()
    var directory = ScratchDirectory()
    var (acknowledged, inFlight, unborn) = (0, 0, 0)
    for round in 0..<rounds {
      if round > 0 && random.isOne(in: 20) {
        directory = ScratchDirectory()
        ledger = KillLedger()
      }
      let path = directory.file("store")
      let before = ledger
      do {
        let delay = 1000 + random.below(39_000)
        let acks = try KillRound(path: path, seed: random.next())
          .run(microseconds: delay, fromFirstAcknowledgement: random.isOne(in: 2))
        try ledger.take(acks)
        acknowledged += acks.count / 16
        let outcome = try ledger.check(path, readOnlyFirst: random.isOne(in: 2))
        inFlight += outcome.inFlight
        unborn += outcome.isUnborn ? 1 : 0
      } catch {
        Issue.record(
          """
          round \(round), before it \(before.last): \(error)
          replay: TURBIDITE_SEED=\(seed) TURBIDITE_KILL_ROUNDS=\(round + 1) \
          swift test --filter KillTests
          """)
        return
      }
    }
    print(
      "kill: \(rounds) rounds, seed \(seed): \(acknowledged) acknowledgements,"
        + " \(inFlight) batches in flight were there, \(unborn) kills before the store was made")
  }
}

/// What the writers have been promised, and what the store must therefore hold.
struct KillLedger {
  static let laneCount = 3
  static let window = 300
  static let sharedKeyCount = 40

  /// The last batch of each lane that is known to be there.
  var last = [Int](repeating: 0, count: laneCount)

  /// Takes what came through the pipe; each lane counts without a gap.
  mutating func take(_ acknowledgements: [UInt8]) throws {
    guard acknowledgements.count % 16 == 0 else {
      throw Disagreement(description: "\(acknowledgements.count) bytes of acknowledgements")
    }
    for start in stride(from: 0, to: acknowledgements.count, by: 16) {
      let record = Array(acknowledgements[start..<(start + 16)])
      let lane = record[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      let batch = record[8..<16].reversed().reduce(0) { $0 << 8 | Int($1) }
      guard record.starts(with: "ACKN".utf8), lane < KillLedger.laneCount,
        batch == last[lane] + 1
      else {
        throw Disagreement(description: "lane \(lane): \(batch) was acknowledged, behind \(last)")
      }
      last[lane] = batch
    }
  }

  /// Opens the store, compares it, and goes on from what it holds.
  mutating func check(
    _ path: String, readOnlyFirst: Bool
  ) throws -> (inFlight: Int, isUnborn: Bool) {
    let promised = last
    if readOnlyFirst {
      do {
        let store = try Store.Blocking.open(at: path, mode: .readOnly)
        try compare(store)
        try store.blocking.close()
      } catch StoreError.noStore where promised == [0, 0, 0] {
        // Killed while it was being created: there is nothing yet, and nothing was promised.
        return (0, true)
      }
      return (zip(last, promised).reduce(0) { $0 + $1.0 - $1.1 }, false)
    }
    let store = try Store.Blocking.open(at: path, options: Store.Options(shardCount: 3))
    try compare(store)
    try store.blocking.close()
    let settled = last
    let again = try Store.Blocking.open(at: path, mode: .existing)
    try compare(again)
    try again.blocking.close()
    guard last == settled else {
      throw Disagreement(description: "a second opening gave \(last), the first \(settled)")
    }
    return (zip(last, promised).reduce(0) { $0 + $1.0 - $1.1 }, false)
  }

  private mutating func compare(_ store: Store) throws {
    for lane in last.indices {
      let value = try store.blocking.get(Bytes("\(lane)/n"))?.text
      let found = value.flatMap { Int($0) } ?? 0
      guard found == last[lane] || found == last[lane] + 1 else {
        throw Disagreement(
          description: "lane \(lane) is at \(found), and was acknowledged to be at \(last[lane])")
      }
      last[lane] = found
    }
    let expected = contents()
    var found: [Entry] = []
    let scan = try store.blocking.scan()
    while let entry = try scan.next() { found.append(entry) }
    guard found == expected else {
      let index = zip(found, expected).prefix { $0 == $1 }.count
      throw Disagreement(
        description: "the store at \(last) holds \(found.count) entries, not \(expected.count);"
          + " they differ at \(index): \(Self.name(found, index)), not"
          + " \(Self.name(expected, index))")
    }
  }

  private static func name(_ entries: [Entry], _ index: Int) -> String {
    guard index < entries.count else { return "the end" }
    return "\(entries[index].key) = \(entries[index].value.description.prefix(20))"
  }

  /// What the lanes have written, sorted: Tools/KillWriter says the same in its own words.
  private func contents() -> [Entry] {
    var entries: [Entry] = []
    for (lane, last) in last.enumerated() where last > 0 {
      entries.append(Entry(key: Bytes("\(lane)/n"), value: Bytes("\(last)")))
      for batch in max(1, last - Self.window + 1)...last {
        for part in 0..<5 {
          let filler = String(repeating: ".", count: (batch * 7 + part * 131) % 700)
          entries.append(
            Entry(key: Bytes("\(lane)/b/\(batch)/\(part)"), value: Bytes("\(batch)\(filler)")))
        }
      }
      var shared: [Int: Int] = [:]
      for batch in max(1, last - 2 * Self.sharedKeyCount)...last {
        shared[batch * batch % Self.sharedKeyCount] = batch
      }
      for (key, batch) in shared {
        entries.append(Entry(key: Bytes("\(lane)/k/\(key)"), value: Bytes("\(batch)")))
      }
    }
    return entries.sorted { $0.key < $1.key }
  }
}

/// One life of a writer.
struct KillRound {
  let path: String
  let seed: UInt64

  /// Starts the writer, kills it, and returns what came through the pipe.
  func run(microseconds: Int, fromFirstAcknowledgement: Bool) throws -> [UInt8] {
    var ends: [Int32] = [-1, -1]
    try require(pipe(&ends) == 0, "pipe")
    defer { close(ends[0]) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    // F_SETPIPE_SZ, which Glibc's module lacks: room for what a writer can say in its life, so that
    // it does not wait for us.
    _ = fcntl(ends[0], 1031, 1 << 20)
    let process: pid_t
    do {
      defer { close(ends[1]) }
      process = try spawn(output: ends[1])
    }
    var received: [UInt8] = []
    if fromFirstAcknowledgement {
      // A writer that fails closes its end: the read then returns.
      received = readSome(ends[0])
    }
    usleep(UInt32(microseconds))
    kill(process, SIGKILL)
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    while case let more = readSome(ends[0]), !more.isEmpty { received += more }
    try require(status & 0x7f == SIGKILL, "the writer ended by itself, with status \(status)")
    return received
  }

  private func spawn(output: Int32) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    let words = [buildProduct("turbidite-kill-writer"), path, "\(seed)", "\(KillLedger.laneCount)"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    let bug = environmentValue("TURBIDITE_PLANTED_BUG") ?? ""
    let variables = ["SWIFT_BACKTRACE=enable=no", "TURBIDITE_PLANTED_BUG=\(bug)"]
    var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
    defer { (arguments + environment).forEach { free($0) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, words[0], &actions, nil, &arguments, &environment)
    try require(code == 0, "starting \(words[0]) gave \(code)")
    return process
  }

  private func readSome(_ descriptor: Int32) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let count = read(descriptor, &buffer, buffer.count)
    return count > 0 ? Array(buffer.prefix(count)) : []
  }

  private func require(_ condition: Bool, _ finding: String) throws {
    if !condition { throw Disagreement(description: finding) }
  }
}

/// The path of an executable of this package, built beside the tests.
func buildProduct(_ name: String) -> String {
  let bundle = Bundle.allBundles.map(\.bundlePath).first { $0.hasSuffix(".xctest") }
  let test = bundle ?? CommandLine.arguments[0]
  return URL(fileURLWithPath: test).deletingLastPathComponent().appendingPathComponent(name).path
}
