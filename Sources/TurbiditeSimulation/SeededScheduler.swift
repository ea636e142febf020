// SeededScheduler — background steps one at a time, in an order drawn from a seed.
//
// Room:    Simulation.
// Source:  Deterministic simulation as in FoundationDB (Zhou et al., SIGMOD 2021, section 4).
// Limits:  For one thread. A step that waits runs other steps inside its wait.

import Synchronization
package import TurbiditeSystem

/// The scheduler of a simulation: the same seed gives the same order.
package final class SeededScheduler: Scheduler {
  private struct State {
    var work: (any BackgroundWork)?
    var isStarted = false
    var isPaused = false
    var stepCount = 0
  }

  /// So many idle answers in a row, each with a new deadline, are a wait that nothing will end.
  private static let idleLimit = 100_000
  /// A deadline that has passed already moves the clock by this much, so that time goes on.
  private static let nudgeNanoseconds: UInt64 = 1_000_000

  private let random: any RandomSource
  private let clock: SimulatedClock
  private let stepsPerBoundary: Int
  private let state = Mutex(State())

  /// - Parameter stepsPerBoundary: the most steps that run between two operations of a client.
  package init(random: any RandomSource, clock: SimulatedClock, stepsPerBoundary: Int = 2) {
    precondition(stepsPerBoundary >= 0)
    self.random = random
    self.clock = clock
    self.stepsPerBoundary = stepsPerBoundary
  }

  /// The steps that have run.
  package var stepCount: Int { state.withLock { $0.stepCount } }

  /// While true, steps run only inside ``wait(until:)`` and ``runUntilIdle()``.
  package var isPaused: Bool {
    get { state.withLock { $0.isPaused } }
    set { state.withLock { $0.isPaused = newValue } }
  }

  package func start(_ work: any BackgroundWork) {
    state.withLock { state in
      precondition(!state.isStarted, "a scheduler starts once")
      state.isStarted = true
      state.work = work
    }
  }

  package func workIsReady() {}

  package func progressWasMade() {}

  package func wait(until condition: () -> Bool) {
    var idleCount = 0
    var isLastChance = false
    while !condition() {
      guard let outcome = runStep() else {
        preconditionFailure("deadlock: a client waits, and no steps are being run")
      }
      switch outcome {
      case .ran:
        idleCount = 0
        isLastChance = false
      case .idle(let deadline):
        guard let deadline else {
          // The last look at the work may have changed what the client waits for, and who looks
          // at that may ask to be woken.
          precondition(!isLastChance, "deadlock: a client waits, and no step is ready or will be")
          isLastChance = true
          continue
        }
        isLastChance = false
        idleCount += 1
        precondition(idleCount < Self.idleLimit, "deadlock: a client waits, and time alone passes")
        pass(to: deadline)
      }
    }
  }

  package func operationBoundary() {
    guard !isPaused else { return }
    for _ in 0..<random.below(stepsPerBoundary + 1) {
      guard runStep() == .ran else { return }
    }
  }

  /// Runs steps until none is ready, without letting time pass.
  ///
  /// - Returns: when the work wants to be asked again.
  @discardableResult
  package func runUntilIdle() -> UInt64? {
    while let outcome = runStep() {
      if case .idle(let deadline) = outcome { return deadline }
    }
    return nil
  }

  package func stop() { state.withLock { $0.work = nil } }

  /// - Returns: nil before the start and after the stop.
  private func runStep() -> StepOutcome? {
    guard let work = state.withLock({ $0.work }) else { return nil }
    let random = random
    // Outside the lock: the step may call back, and may wait.
    let outcome = work.runStep { count in random.below(count) }
    if outcome == .ran { state.withLock { $0.stepCount += 1 } }
    return outcome
  }

  private func pass(to deadline: UInt64) {
    if deadline > clock.monotonicNanoseconds() {
      clock.advance(to: deadline)
    } else {
      clock.advance(by: Self.nudgeNanoseconds)
    }
  }
}
