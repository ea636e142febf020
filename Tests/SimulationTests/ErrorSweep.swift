// ErrorSweep — every call that a workload makes of the system fails, in every way, one at a time.

import Turbidite
import TurbiditeSimulation

/// What a sweep did and found.
struct ErrorFigures: Sendable {
  /// Calls of the system that the workloads make.
  var calls = 0
  /// Runs in which one call failed, or all from one on did.
  var runs = 0
  var refusals = 0
  var violations: [String] = []

  var line: String {
    "\(calls) calls of the system, \(runs) runs with a failure, \(refusals) calls of the store refused,"
      + " violations: \(violations.count)"
  }

  mutating func add(_ other: ErrorFigures) {
    calls += other.calls
    runs += other.runs
    refusals += other.refusals
    violations += other.violations
  }
}

/// Sweeps one workload.
///
/// Method: a first run counts the calls. Then, for each call and each way to fail, the workload runs
/// again; a call of the store that throws is taken at its word: what it says is not applied must
/// never be seen, what it leaves open may be there or not. Afterwards nothing fails any more: the
/// store shows exactly what was acknowledged; let go, it has no file open; opened again it holds
/// what was promised, takes writes, and deep verification finds neither damage nor a file that does
/// not belong to it for good.
struct ErrorSweep {
  static let faults: [Fault] =
    [5, 28, 4, 24, 12, 13, 30].map { .error($0) }
    + [.partialWrite(byteCount: 40, 28), .partialWrite(byteCount: 513, 5)]
    + [.syncFailure(.pagesLookClean), .syncFailure(.pagesRevert), .syncFailure(.dataArrived)]

  let name: String
  let options: Store.Options
  let steps: [Step]
  let seed: UInt64
  /// Of all combinations of a call and a fault one in so many is run.
  var stride = 1

  func run() -> ErrorFigures {
    var figures = ErrorFigures()
    let whole = SimulatedMachine(seed: seed)
    do { try runSteps(Client(whole, options)) } catch {
      figures.violations.append("\(name), seed \(seed), without a failure: \(error)")
      return figures
    }
    figures.calls = whole.disk.operationCount
    var combination = Int(seed)
    for call in 0..<figures.calls {
      for fault in Self.faults {
        for isSticky in [false, true] {
          combination += 1
          guard combination % stride == 0 else { continue }
          figures.runs += 1
          do { figures.refusals += try run(failing: call, fault, isSticky) } catch {
            figures.violations.append(
              "\(name), seed \(seed), \(fault) \(isSticky ? "from" : "at") call \(call): \(error)")
            if figures.violations.count > 3 { return figures }
          }
        }
      }
    }
    return figures
  }

  private func runSteps(_ client: Client) throws {
    for step in steps { try client.run(step) }
    client.abandon()
  }

  /// - Returns: the calls of the store that were refused.
  private func run(failing call: Int, _ fault: Fault, _ isSticky: Bool) throws -> Int {
    let client = Client(SimulatedMachine(seed: seed), options)
    client.mayLoseCache = Self.isFailureOfSync(fault)
    let disk = client.machine.disk
    disk.faultPlan = { operation, index in
      guard isSticky ? index >= call : index == call else { return nil }
      // A failure of another kind of call goes to the next one that is of the kind.
      return Self.fits(fault, operation) ? fault : nil
    }
    var refusals = 0
    var isCertain = true
    for step in steps {
      let commits = client.model.states.count
      let keyspaces = client.model.keyspaces.count
      do { try client.run(step) } catch let error as StoreError {
        refusals += 1
        if client.note(error, commitsBefore: commits, keyspacesBefore: keyspaces) {
          isCertain = false
          break
        }
      }
    }
    disk.faultPlan = nil
    if isCertain { try client.look() }
    client.abandon()
    guard disk.openFileCount == 0 else {
      throw Violation(description: "\(disk.openFileCount) files are open after the store is gone")
    }
    try client.open()
    try client.settle(powerFailed: client.mayLoseCache)
    try client.run(.put(1, synced: true))
    try client.look()
    try client.run(.reopen)
    client.abandon()
    try lookForLeaks(client)
    return refusals
  }

  /// A file that was being written, or was to be removed, when a life ended is left over, and the next
  /// life removes it: no number is used twice, so that a leak is a file left over by two lives.
  private func lookForLeaks(_ client: Client) throws {
    var leftOver: Set<String> = []
    for life in 0..<3 {
      try client.open()
      for key in 0..<16 { try client.run(.put(key)) }
      client.abandon()
      let findings = try client.machine.verify()
      if let damage = findings.first(where: { $0.severity == .damage }) {
        throw Violation(description: "verification: \(damage)")
      }
      // Whatever its kind: a table, a segment, a manifest, or a file under a temporary name.
      let strays = Set(findings.map(\.file))
      if life > 0, let leak = strays.intersection(leftOver).min() {
        throw Violation(description: "\(leak) is never removed")
      }
      leftOver = strays
    }
  }

  private static func fits(_ fault: Fault, _ operation: FileOperation) -> Bool {
    switch fault {
    case .error: true
    case .partialWrite: operation.systemName == "pwrite"
    case .syncFailure: operation.systemName == "fdatasync"
    }
  }

  private static func isFailureOfSync(_ fault: Fault) -> Bool {
    if case .syncFailure = fault { return true }
    return false
  }
}
