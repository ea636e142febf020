// ThreadScheduler — background steps on threads of the engine's own.
//
// Room:    System.

/// A few threads that run what is most urgent, and sleep when nothing is.
///
/// Deadlines that the work gives are times of the kernel's monotonic clock (``SystemClock``).
package final class ThreadScheduler: Scheduler {
  private let core = Core()

  /// Makes the threads; they sleep until ``start(_:)``.
  package init(threadCount: Int) throws(SystemError) {
    precondition(threadCount > 0, "background work needs a thread")
    let core = core
    for index in 0..<threadCount {
      do throws(SystemError) {
        try core.addThread("turbidite-bg-\(index)")
      } catch {
        core.askToStop()
        throw error
      }
    }
  }

  /// A scheduler that was forgotten ends its threads, without waiting for them.
  deinit { core.askToStop() }

  package func start(_ work: any BackgroundWork) { core.start(work) }

  package func workIsReady() { core.work.notify() }

  package func progressWasMade() { core.progress.notify() }

  package func wait(until condition: () -> Bool) {
    while true {
      let seen = core.progress.generation
      if condition() { return }
      // What changes from here on raises the generation, and the sleep ends or does not begin.
      core.progress.wait(after: seen, until: nil)
    }
  }

  package func operationBoundary() {}

  /// Ends the running of steps.
  ///
  /// Not to be called from a step.
  package func stop() { core.stop() }
}

/// What the threads share; it outlives a scheduler that was forgotten.
///
/// Invariant: `state` is touched under its own lock only.
private final class Core: Sendable {
  private struct State {
    var work: (any BackgroundWork)?
    var isStarted = false
    var isStopping = false
    var threads: [SystemThread] = []
    var runningCount = 0
  }

  private let state = Guarded(State())
  /// Raised when a step may be ready.
  let work = EventCount()
  /// Raised when a waiting client should look again.
  let progress = EventCount()
  /// Raised when a thread has ended.
  private let ends = EventCount()

  /// A deadline that has passed already is looked at again after this long, not at once: work that
  /// keeps naming one must not occupy a processor.
  private static let shortestNapNanoseconds: UInt64 = 1_000_000

  func addThread(_ name: String) throws(SystemError) {
    state.withLock { $0.runningCount += 1 }
    do throws(SystemError) {
      let thread = try SystemThread(name: name) { self.runSteps() }
      state.withLock { $0.threads.append(thread) }
    } catch {
      state.withLock { $0.runningCount -= 1 }
      throw error
    }
  }

  func start(_ newWork: any BackgroundWork) {
    state.withLock { state in
      precondition(!state.isStarted, "a scheduler starts once")
      state.isStarted = true
      state.work = newWork
    }
    work.notify()
  }

  func askToStop() {
    state.withLock { $0.isStopping = true }
    work.notify()
  }

  func stop() {
    askToStop()
    let threads = state.withLock { state -> [SystemThread] in
      defer { state.threads = [] }
      return state.threads
    }
    for thread in threads { thread.join() }
    // Another caller of `stop` may be the one who joins.
    while true {
      let seen = ends.generation
      if state.withLock({ $0.runningCount == 0 }) { break }
      ends.wait(after: seen, until: nil)
    }
    state.withLock { $0.work = nil }
    progress.notify()
  }

  private func runSteps() {
    let clock = SystemClock()
    while true {
      let seen = work.generation
      let (current, isStopping) = state.withLock { ($0.work, $0.isStopping) }
      if isStopping { break }
      guard let current else {
        work.wait(after: seen, until: nil)
        continue
      }
      guard case .idle(let deadline) = current.runStep(choose: { _ in 0 }) else { continue }
      let earliest = clock.monotonicNanoseconds() + Self.shortestNapNanoseconds
      work.wait(after: seen, until: deadline.map { max($0, earliest) })
    }
    state.withLock { $0.runningCount -= 1 }
    ends.notify()
  }
}
