// SeedTests — many lives of a store, each from one number.

import Dispatch
import Synchronization
import Testing
import TurbiditeSimulation

/// Whatever fails, and whenever the machine stops: an open store shows exactly what was
/// acknowledged, and a reopened one a prefix that holds what was promised.
@Suite("Seeds")
struct SeedTests {
  @Test("random calls, failures and crashes leave no violation")
  func seeds() {
    let count = environmentCount("TURBIDITE_SEEDS", default: 100)
    let first = environmentCount("TURBIDITE_SEED", default: 1)
    let figures = Mutex(SimulationFigures())
    let deadline = Deadline()
    DispatchQueue.concurrentPerform(iterations: count) { index in
      guard !deadline.isOver, figures.withLock({ $0.violations.count < 5 }) else { return }
      let found = Simulation(seed: UInt64(first + index)).run(callCount: 120)
      figures.withLock { $0.add(found) }
    }
    let total = figures.withLock { $0 }
    print("seeds: \(total.line)")
    let rare = total.rarePaths.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    print("seeds: rare paths:", rare.isEmpty ? "none in this build" : rare.joined(separator: ", "))
    for violation in total.violations.prefix(5) { Issue.record("\(violation)") }
  }

  @Test("the same seed gives the same trace of disk operations, another seed another")
  func sameSeedSameTrace() {
    func traces(_ seed: UInt64) -> [UInt64] {
      let simulation = Simulation(seed: seed)
      _ = simulation.run(callCount: 80)
      return simulation.traces
    }
    for seed in UInt64(1)...8 {
      #expect(traces(seed) == traces(seed), "seed \(seed)")
      #expect(traces(seed) != traces(seed + 100))
    }
  }
}
