// Trial — one engine through one group of workloads, once, in a process of its own.
//
// Room:    Benchmarks.

import Glibc

/// What a trial is told by the process that starts it.
struct TrialSettings: Sendable {
  var engine: String
  var round: Int
  var recordCount: Int
  var isQuick: Bool
  /// Workloads by name, or by the beginning of it before a hyphen; empty means all.
  var selection: [String]
  var directory: String

  func selects(_ workload: String) -> Bool {
    selection.isEmpty
      || selection.contains { workload == $0 || workload.hasPrefix($0 + "-") }
  }
}

final class Trial {
  let settings: TrialSettings
  let kind: PeerKind
  private(set) var outcomes: [Outcome] = []
  private var storeDirectory = ""
  /// What ledgers and orders of more than a few MiB take: no memory of the engine's.
  var harnessByteCount = 0

  init(_ settings: TrialSettings) throws {
    self.settings = settings
    kind = try PeerKind.named(settings.engine)
  }

  var recordCount: Int { settings.recordCount }

  /// For workloads that need not run to an end.
  func extent(_ count: Int, quickSeconds: Double = 2.5) -> Extent {
    Extent(count: count, seconds: settings.isQuick ? quickSeconds : 8)
  }

  /// For workloads that do.
  func whole(_ count: Int) -> Extent { Extent(count: count, seconds: 3600) }

  func wants(_ workload: String) -> Bool { settings.selects(workload) }

  // MARK: - Stores

  /// Opens a store in the directory of that name; what follows is measured on it.
  func open(_ name: String, _ terms: PeerTerms = PeerTerms()) throws -> any Peer {
    guard let open = kind.open else { throw Stop("\(kind.name) is not in this build") }
    storeDirectory = settings.directory + "/" + name
    return try open(storeDirectory, terms)
  }

  func path(_ name: String) -> String { settings.directory + "/" + name }

  func removeStore(_ name: String) throws {
    let status = try run(["rm", "-rf", path(name)])
    guard status == 0 else { throw Stop("rm -rf \(path(name)): status \(status)") }
  }

  /// Walks the whole store: every record is there, as last written, and no other.
  ///
  /// Gives how many there are.
  @discardableResult
  func verify(_ peer: any Peer, _ ledger: Ledger) throws -> Int {
    let session = try peer.session()
    defer { session.end() }
    var check = WalkCheck(ledger)
    try session.scan(Walk()) { check.accept($0, $1) }
    try check.finish()
    return check.count
  }

  /// Waits until this process is idle: background work has come to rest.
  func settle(limitSeconds: Double = 20) {
    let total = Stopwatch()
    while total.seconds < limitSeconds {
      let before = ResourceUse()
      usleep(300_000)
      if ResourceUse().processorSeconds - before.processorSeconds < 0.01 { return }
    }
  }

  // MARK: - Measuring

  /// Runs `body`, which gives the number of operations, and notes what it cost.
  ///
  /// - Parameter userByteCount: Bytes of keys and values that an operation writes.
  func measure(
    _ workload: String, userByteCount: Int = 0, _ body: (inout Latencies) throws -> Int
  ) throws {
    var latencies = Latencies()
    try ResourceUse.resetPeak()
    var before = ResourceUse()
    before.wall = nanoseconds()
    let operations = try body(&latencies)
    let after = ResourceUse()
    try note(
      workload, operations, latencies, before, after, userByteCount: userByteCount * operations)
  }

  func note(
    _ workload: String, _ operations: Int, _ latencies: Latencies, _ before: ResourceUse,
    _ after: ResourceUse, userByteCount: Int
  ) throws {
    guard wants(workload) else { return }
    outcomes.append(
      Outcome(
        workload: workload, engine: kind.name, round: settings.round, operations: operations,
        seconds: Double(after.wall - before.wall) / 1e9,
        p50: latencies.percentile(50), p99: latencies.percentile(99),
        p999: latencies.percentile(99.9), longest: latencies.percentile(100),
        processorSeconds: after.processorSeconds - before.processorSeconds,
        peakMebibytes: processMebibytes("VmHWM") - Double(harnessByteCount) / 1_048_576,
        diskByteCount: try turbidite_bench.diskByteCount(of: storeDirectory),
        writtenByteCount: after.writtenByteCount - before.writtenByteCount,
        userByteCount: userByteCount))
  }
}
