// ErrorSweepTests — no failing call of the system leads to a trap, a lie or a leak.

import Dispatch
import Synchronization
import Testing
import TurbiditeSimulation

@Suite("Error sweep")
struct ErrorSweepTests {
  /// `TURBIDITE_SWEEP_STRIDE` is the share of all combinations that is run: one in so many.
  @Test("every call of the system may fail in every way, once and for good")
  func sweep() {
    let stride = environmentCount("TURBIDITE_SWEEP_STRIDE", default: 211)
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let figures = Mutex(ErrorFigures())
    DispatchQueue.concurrentPerform(iterations: Workload.all.count) { index in
      let workload = Workload.all[index]
      guard figures.withLock({ $0.violations.count < 8 }) else { return }
      let found = ErrorSweep(
        name: workload.name, options: workload.options, steps: workload.steps, seed: seed,
        stride: stride
      ).run()
      figures.withLock { $0.add(found) }
    }
    let total = figures.withLock { $0 }
    print("errors: \(total.line)")
    for violation in total.violations.prefix(8) { Issue.record("\(violation)") }
  }
}
