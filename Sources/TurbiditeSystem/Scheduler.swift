// Scheduler — who runs the engine's background steps, and how a client waits for them.
//
// Room:    System. Knows that there are steps, not what they do.
// Source:  The split into bounded steps under a chosen order follows FoundationDB's simulation
//          (Zhou et al., SIGMOD 2021, section 4).

/// Work that is cut into bounded steps.
package protocol BackgroundWork: AnyObject, Sendable {
  /// Runs one bounded step, or none.
  ///
  /// - Parameter choose: given the number of steps that are ready, in order of urgency, returns
  ///   the index of the one to run. Threads choose 0; a simulation draws.
  func runStep(choose: (Int) -> Int) -> StepOutcome
}

/// What came of a call of ``BackgroundWork/runStep(choose:)``.
package enum StepOutcome: Sendable, Hashable {
  /// A step ran; there may be more.
  case ran
  /// Nothing was ready. Ask again when told, or at this monotonic time at the latest.
  case idle(until: UInt64?)
}

/// Runs background steps: on threads in production, one at a time in an order drawn from a seed in
/// simulation.
package protocol Scheduler: AnyObject, Sendable {
  /// Begins to run the steps of `work`. Called once.
  func start(_ work: any BackgroundWork)

  /// Says that a step became ready. Cheap; may be called from any thread.
  func workIsReady()

  /// Says that something a waiting client may wait for has changed.
  func progressWasMade()

  /// Blocks until `condition` holds. It is evaluated again after each ``progressWasMade()``, by the
  /// waiting thread and under no lock: it must be short and must not call the scheduler. What it
  /// reads is changed before `progressWasMade()` is called.
  func wait(until condition: () -> Bool)

  /// A point between two operations of a client, where a simulation may run some steps. Threads
  /// do nothing here.
  func operationBoundary()

  /// Ends the running of steps: returns when none runs, and none will.
  func stop()
}
