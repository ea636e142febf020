import Glibc
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

/// Numbered jobs; each step takes one of those that are ready and notes it.
private final class Jobs: BackgroundWork {
  struct State {
    var ready: [Int] = []
    var done: [Int] = []
    /// Jobs that become ready at a time.
    var timed: [(time: UInt64, job: Int)] = []
  }

  let state = Guarded(State())
  let clock: any TimeSource
  /// Called after each step with the job's number.
  let afterStep = Guarded<(@Sendable (Int) -> Void)?>(nil)

  init(_ clock: any TimeSource) { self.clock = clock }

  func add(_ job: Int) { state.withLock { $0.ready.append(job) } }
  /// To be asked when no step runs: the array that leaves the lock would be shared with the next
  /// step, and a sanitizer does not see the reference count that keeps the two apart.
  var done: [Int] { state.withLock { $0.done } }
  var doneCount: Int { state.withLock { $0.done.count } }
  func isDone(_ job: Int) -> Bool { state.withLock { $0.done.contains(job) } }

  func runStep(choose: (Int) -> Int) -> StepOutcome {
    let now = clock.monotonicNanoseconds()
    let (job, deadline) = state.withLock { state -> (Int?, UInt64?) in
      state.ready += state.timed.filter { $0.time <= now }.map(\.job)
      state.timed.removeAll { $0.time <= now }
      let deadline = state.timed.map(\.time).min()
      if state.ready.isEmpty { return (nil, deadline) }
      let job = state.ready.remove(at: choose(state.ready.count))
      return (job, nil)
    }
    guard let job else { return .idle(until: deadline) }
    state.withLock { $0.done.append(job) }
    afterStep.withLock { $0 }?(job)
    return .ran
  }
}

@Suite("A scheduler with a seed")
struct SeededSchedulerTests {
  private func run(seed: UInt64) -> [Int] {
    let clock = SimulatedClock()
    let jobs = Jobs(clock)
    let scheduler = SeededScheduler(random: SeededRandom(seed: seed), clock: clock)
    scheduler.start(jobs)
    for job in 0..<30 {
      jobs.add(job)
      scheduler.operationBoundary()
    }
    scheduler.wait { jobs.doneCount == 30 }
    return jobs.done
  }

  @Test("The same seed gives the same order, others give others, and all jobs are done")
  func determinism() {
    var orders: Set<[Int]> = []
    for seed in 0..<10 as Range<UInt64> {
      let order = run(seed: seed)
      #expect(order == run(seed: seed), "seed \(seed)")
      #expect(order.sorted() == Array(0..<30), "seed \(seed)")
      orders.insert(order)
    }
    #expect(orders.count == 10)
  }

  @Test("A wait lets time pass to the next deadline, and no further")
  func deadlines() {
    let clock = SimulatedClock()
    let jobs = Jobs(clock)
    jobs.state.withLock { $0.timed = [(500, 1), (900, 2)] }
    let scheduler = SeededScheduler(random: SeededRandom(seed: 1), clock: clock)
    scheduler.start(jobs)
    #expect(scheduler.runUntilIdle() == 500)
    scheduler.wait { jobs.isDone(1) }
    #expect(clock.monotonicNanoseconds() == 500)
    #expect(jobs.done == [1])
  }

  @Test("A step may wait for another step")
  func nested() {
    let clock = SimulatedClock()
    let jobs = Jobs(clock)
    let scheduler = SeededScheduler(random: SeededRandom(seed: 3), clock: clock)
    jobs.afterStep.withLock {
      $0 = { job in
        scheduler.progressWasMade()
        if job == 0 { scheduler.wait { jobs.isDone(1) } }
      }
    }
    jobs.add(0)
    jobs.add(1)
    scheduler.start(jobs)
    scheduler.wait { jobs.isDone(0) }
    #expect(jobs.done.sorted() == [0, 1] || jobs.done == [0])
    scheduler.runUntilIdle()
    #expect(jobs.done.sorted() == [0, 1])
    #expect(scheduler.stepCount == 2)
  }

  @Test("While paused no step runs between operations; after a stop none runs at all")
  func pauses() {
    let clock = SimulatedClock()
    let jobs = Jobs(clock)
    let scheduler = SeededScheduler(
      random: SeededRandom(seed: 1), clock: clock, stepsPerBoundary: 5)
    scheduler.start(jobs)
    jobs.add(1)
    scheduler.isPaused = true
    for _ in 0..<50 { scheduler.operationBoundary() }
    #expect(jobs.done == [])
    scheduler.stop()
    scheduler.isPaused = false
    for _ in 0..<50 { scheduler.operationBoundary() }
    #expect(jobs.done == [])
  }

  @Test("A wait that nothing can end stops the program instead of hanging it")
  func deadlock() async {
    await #expect(processExitsWith: .failure) {
      let clock = SimulatedClock()
      let scheduler = SeededScheduler(random: SeededRandom(seed: 1), clock: clock)
      scheduler.start(Jobs(clock))
      scheduler.wait { false }
    }
  }
}

@Suite("A scheduler with threads")
struct ThreadSchedulerTests {
  @Test("Every job that was announced is done, once", arguments: [1, 4])
  func allDone(threadCount: Int) throws {
    let jobs = Jobs(SystemClock())
    let scheduler = try ThreadScheduler(threadCount: threadCount)
    jobs.afterStep.withLock { $0 = { _ in scheduler.progressWasMade() } }
    scheduler.start(jobs)
    // One at a time: each is a chance to lose a wake-up, which would hang the test.
    for job in 0..<2000 {
      jobs.add(job)
      scheduler.workIsReady()
      if job % 3 == 0 { scheduler.wait { jobs.doneCount == job + 1 } }
    }
    scheduler.wait { jobs.doneCount == 2000 }
    #expect(jobs.done.sorted() == Array(0..<2000))
    jobs.afterStep.withLock { $0 = nil }
    scheduler.stop()
    scheduler.stop()
    jobs.add(-1)
    scheduler.workIsReady()
    #expect(!jobs.isDone(-1))
  }

  @Test("A step may announce work, and wait for it")
  func fromInside() throws {
    let jobs = Jobs(SystemClock())
    let scheduler = try ThreadScheduler(threadCount: 2)
    jobs.afterStep.withLock {
      $0 = { job in
        if job == 0 {
          jobs.add(1)
          scheduler.workIsReady()
          scheduler.wait { jobs.isDone(1) }
          jobs.add(2)
          scheduler.workIsReady()
        }
        scheduler.progressWasMade()
      }
    }
    jobs.add(0)
    scheduler.start(jobs)
    scheduler.wait { jobs.doneCount == 3 }
    #expect(jobs.done == [0, 1, 2])
    scheduler.stop()
    jobs.afterStep.withLock { $0 = nil }
  }

  @Test("A deadline is kept without anyone announcing it")
  func deadline() throws {
    let clock = SystemClock()
    let jobs = Jobs(clock)
    let time = clock.monotonicNanoseconds() + 2_000_000
    jobs.state.withLock { $0.timed = [(time, 1)] }
    let scheduler = try ThreadScheduler(threadCount: 2)
    jobs.afterStep.withLock { $0 = { _ in scheduler.progressWasMade() } }
    scheduler.start(jobs)
    scheduler.wait { jobs.isDone(1) }
    #expect(clock.monotonicNanoseconds() >= time)
    scheduler.stop()
    jobs.afterStep.withLock { $0 = nil }
  }

  @Test("Two threads that wait for each other's progress never miss it")
  func progress() throws {
    let scheduler = try ThreadScheduler(threadCount: 1)
    let turn = Atomic(0)
    let rounds = 3000
    let other = try SystemThread(name: "other") {
      for round in 0..<rounds {
        scheduler.wait { turn.load(ordering: .acquiring) == 2 * round + 1 }
        turn.store(2 * round + 2, ordering: .releasing)
        scheduler.progressWasMade()
      }
    }
    for round in 0..<rounds {
      turn.store(2 * round + 1, ordering: .releasing)
      scheduler.progressWasMade()
      scheduler.wait { turn.load(ordering: .acquiring) == 2 * round + 2 }
    }
    other.join()
    scheduler.stop()
  }

  @Test("A scheduler that was never started, or is forgotten, ends")
  func forgotten() throws {
    try ThreadScheduler(threadCount: 2).stop()
    _ = try ThreadScheduler(threadCount: 2)
  }
}
