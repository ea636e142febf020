// CrashStateTests — every state that a crash may leave, of every short workload.

import Dispatch
import Synchronization
import Testing
import Turbidite
import TurbiditeSimulation

/// Whenever the power fails, what is found afterwards is a prefix that holds what was promised.
///
/// `TURBIDITE_CRASH_STATES` says how many distinct states to look at, at least: more seeds are run
/// until there are so many, or `TURBIDITE_SECONDS` have passed. With each seed all scripts are run,
/// all sequences of up to two calls, and one in `TURBIDITE_CRASH_STRIDE` (16) of the sequences of
/// three, other ones with the next seed: so many consecutive seeds run all of them, and twice so many
/// each with and without the turns that a store seldom takes. Without the first variable only a
/// twelfth of all that is run. Of the writes of the scripts one in `TURBIDITE_REFUSAL_STRIDE` (24) is
/// refused in turn, before all the crashes that may follow it.
@Suite("Crash states")
struct CrashStateTests {
  @Test("every crash state of short workloads recovers to a promised prefix")
  func everyState() {
    let wanted = environmentCount("TURBIDITE_CRASH_STATES", default: 0)
    let stride = environmentCount("TURBIDITE_CRASH_STRIDE", default: 16)
    var seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    var figures = CrashFigures()
    let deadline = Deadline()
    repeat {
      let explorers = Self.explorers(seed: seed, stride: stride)
      let chosen =
        wanted > 0
        ? explorers
        : explorers.enumerated().filter {
          $0.offset % 12 == Int(seed % 12)
        }.map(\.element)
      figures.add(Self.exploreAll(chosen))
      seed += 1
    } while figures.states.count < wanted && figures.violations.isEmpty && !deadline.isOver
    print("crash states: \(figures.line)")
    for violation in figures.violations.prefix(5) { Issue.record("\(violation)") }
  }

  /// What was refused is cut off again, and must not be found after any crash that follows.
  @Test("a write that was refused, though it arrived, is in no crash state that follows")
  func refusedWrite() {
    let stride = environmentCount("TURBIDITE_REFUSAL_STRIDE", default: 24)
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let isWhole = environmentCount("TURBIDITE_CRASH_STATES", default: 0) > 0
    let workloads = Workload.all.enumerated().filter {
      isWhole || $0.offset % 12 == Int(seed % 12)
    }
    let figures = Mutex(CrashFigures())
    DispatchQueue.concurrentPerform(iterations: workloads.count) { index in
      var explorer = Self.explorer(workloads[index].element, seed: seed)
      explorer.bounds.changeCount = 4
      explorer.bounds.drawnCount = 2
      var number = (Int(seed) + index) % stride
      while figures.withLock({ $0.violations.count < 5 }) {
        explorer.refusedWrite = number
        let found = explorer.explore()
        guard found.refusals > 0 else { break }
        figures.withLock { $0.add(found) }
        number += stride
      }
    }
    let total = figures.withLock { $0 }
    print("crash states, refused writes: \(total.refusals) refused, \(total.line)")
    #expect(total.refusals > 0)
    for violation in total.violations.prefix(5) { Issue.record("\(violation)") }
  }

  @Test("a crash while slots move leaves them where they were, or where they were to go")
  func resharding() {
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let rounds = UInt64(environmentCount("TURBIDITE_RESHARDING_ROUNDS", default: 1))
    let workloads = Workload.all.filter { $0.steps.contains(where: \.changesShards) }
    let explorers = (seed..<seed + rounds).flatMap { seed in
      workloads.map { workload in
        var explorer = Self.explorer(workload, seed: seed)
        explorer.bounds.changeCount = 3
        explorer.bounds.drawnCount = 2
        explorer.bounds.nameSubsetChangeCount = 2
        return explorer
      }
    }
    let figures = Self.exploreAll(explorers)
    print("crash states, resharding: \(figures.line)")
    for violation in figures.violations.prefix(5) { Issue.record("\(violation)") }
  }

  @Test("a disk that keeps the order of names, as ext4 does, is no worse")
  func orderedJournal() {
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let explorers = Self.explorers(seed: seed, stride: 64).enumerated().filter {
      $0.offset % 12 == Int(seed % 12)
    }.map {
      var explorer = $0.element
      explorer.model = .ext4Ordered
      explorer.bounds.changeCount = 4
      explorer.bounds.drawnCount = 2
      explorer.bounds.nameSubsetChangeCount = 0
      return explorer
    }
    let figures = Self.exploreAll(explorers)
    print("crash states, ext4: \(figures.line)")
    for violation in figures.violations.prefix(5) { Issue.record("\(violation)") }
  }

  /// The scripts, all sequences of one and two calls, and some of three.
  private static func explorers(seed: UInt64, stride: Int) -> [CrashExplorer] {
    var explorers = Workload.all.map { explorer($0, seed: seed) }
    let short = Step.sequences(length: 1) + Step.sequences(length: 2)
    let long = Step.sequences(length: 3).enumerated().filter {
      $0.offset % stride == Int(seed) % stride
    }
    for steps in short + long.map(\.element) {
      explorers.append(
        CrashExplorer(
          name: "\(steps)", steps: steps, firstStep: steps.count - 1,
          options: Workload.smallParts, seed: seed))
    }
    return explorers
  }

  private static func explorer(_ workload: Workload, seed: UInt64) -> CrashExplorer {
    CrashExplorer(
      name: workload.name, steps: workload.steps, options: workload.options, seed: seed)
  }

  /// Runs the explorers on all processors.
  private static func exploreAll(_ explorers: [CrashExplorer]) -> CrashFigures {
    let figures = Mutex(CrashFigures())
    DispatchQueue.concurrentPerform(iterations: explorers.count) { index in
      guard figures.withLock({ $0.violations.count < 5 }) else { return }
      let found = explorers[index].explore()
      figures.withLock { $0.add(found) }
    }
    return figures.withLock { $0 }
  }
}
