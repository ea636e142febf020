// ErrorSweepTests — no failing call of the system leads to a trap, a lie or a leak.

import Dispatch
import Synchronization
import Testing
import TurbiditeSimulation

@Suite("Error sweep")
struct ErrorSweepTests {
  /// `TURBIDITE_SWEEP_STRIDE` is the share of all combinations that is run: one in so many.
  ///
  /// With `TURBIDITE_SECONDS` it is run again, for the next seed and so another share, until so long has
  /// passed or all shares had their turn.
  @Test("every call of the system may fail in every way, once and for good")
  func sweep() {
    let stride = environmentCount("TURBIDITE_SWEEP_STRIDE", default: 211)
    let first = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let passCount = environmentCount("TURBIDITE_SECONDS", default: 0) > 0 ? stride : 1
    let deadline = Deadline()
    let figures = Mutex(ErrorFigures())
    var passes = 0
    for pass in 0..<passCount where pass == 0 || !deadline.isOver {
      passes += 1
      DispatchQueue.concurrentPerform(iterations: Workload.all.count) { index in
        let workload = Workload.all[index]
        guard figures.withLock({ $0.violations.count < 8 }) else { return }
        var found = ErrorSweep(
          name: workload.name, options: workload.options, steps: workload.steps,
          seed: first + UInt64(pass), stride: stride
        ).run()
        // The same calls, and others of their failures.
        if pass > 0 { found.calls = 0 }
        figures.withLock { $0.add(found) }
      }
    }
    let total = figures.withLock { $0 }
    print("errors: \(passes) of \(stride) shares, \(total.line)")
    for violation in total.violations.prefix(8) { Issue.record("\(violation)") }
  }
}
