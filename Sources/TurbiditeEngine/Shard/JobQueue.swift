// JobQueue — background work, cut into bounded steps and ordered by urgency.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// How urgent a job is; the smaller value first.
enum JobPriority: Int, Comparable {
  case logSync
  case memory
  case flush
  case deletion
  case compaction

  static func < (one: JobPriority, other: JobPriority) -> Bool { one.rawValue < other.rawValue }
}

/// A piece of background work.
///
/// One thread at a time runs its steps, not always the same one.
///
/// Safe to share: the queue hands a job to one thread at a time, and its lock orders the hand-over.
class BackgroundJob: @unchecked Sendable {
  let priority: JobPriority

  init(priority: JobPriority) { self.priority = priority }

  /// Does one bounded piece: some hundred KiB of input, or one system call that may take long.
  ///
  /// - Returns: whether there is more to do.
  func step() throws(StoreError) -> Bool { preconditionFailure("abstract") }

  /// Ends the job after a step threw, or because the engine closes.
  ///
  /// Leaves no file behind.
  func end(_ failure: StoreError?) {}
}

/// The jobs that are ready, and when the next look for more is due.
final class JobQueue: BackgroundWork {
  private struct State {
    /// Ordered by priority; jobs that have begun before those that have not.
    var ready: [BackgroundJob] = []
    var begunCount = 0
    var runningCount = 0
    var runningCompactionCount = 0
    var isClosing = false
    /// When the engine wants to be asked again, in nanoseconds of its clock.
    var wakeUpTime: UInt64?
  }

  private let state = Mutex(State())
  private let clock: any TimeSource
  /// The engine, from when it is put together until it closes.
  ///
  /// No weak reference: one would send every count of the engine's references down the runtime's
  /// slow path, several times in each commit.
  private let owner = Mutex<Engine?>(nil)
  private let compactionLimit: Int

  init(clock: any TimeSource, compactionLimit: Int) {
    self.clock = clock
    self.compactionLimit = compactionLimit
  }

  func serve(_ engine: Engine) { owner.withLock { $0 = engine } }

  func add(_ job: BackgroundJob) {
    let accepted = state.withLock { state -> Bool in
      guard !state.isClosing else { return false }
      let index = state.ready.firstIndex { $0.priority > job.priority } ?? state.ready.count
      state.ready.insert(job, at: index)
      return true
    }
    if !accepted { job.end(nil) }
  }

  /// Asks to look for work again at `time`.
  func wakeUp(at time: UInt64) {
    state.withLock { $0.wakeUpTime = min($0.wakeUpTime ?? .max, time) }
  }

  /// When the engine will be asked again, in nanoseconds of its clock.
  var nextLook: UInt64? { state.withLock { $0.wakeUpTime } }

  /// Whether no job is ready or running.
  var isIdle: Bool { state.withLock { $0.ready.isEmpty && $0.runningCount == 0 } }

  /// Takes no more jobs, drops those that wait, and forgets the engine.
  func close() {
    // It dies, if it does, outside of the lock.
    let engine = owner.withLock { owner -> Engine? in
      defer { owner = nil }
      return owner
    }
    defer { withExtendedLifetime(engine) {} }
    let dropped = state.withLock { state -> [BackgroundJob] in
      state.isClosing = true
      defer { state.ready = [] }
      return state.ready
    }
    for job in dropped { job.end(nil) }
  }

  func runStep(choose: (Int) -> Int) -> StepOutcome {
    lookForWorkIfDue()
    guard let job = take(choose) else {
      return .idle(until: state.withLock { $0.wakeUpTime })
    }
    var goesOn = false
    do throws(StoreError) {
      goesOn = try job.step()
    } catch {
      job.end(error)
    }
    put(job, goesOn: goesOn)
    owner.withLock { $0 }?.environment.scheduler.progressWasMade()
    return .ran
  }

  private func lookForWorkIfDue() {
    let now = clock.monotonicNanoseconds()
    let isDue = state.withLock { state -> Bool in
      guard let time = state.wakeUpTime, time <= now, !state.isClosing else { return false }
      state.wakeUpTime = nil
      return true
    }
    guard isDue, let engine = owner.withLock({ $0 }) else { return }
    engine.lookForWork(now: now)
    // Somebody may wait for the time itself.
    engine.environment.scheduler.progressWasMade()
  }

  private func take(_ choose: (Int) -> Int) -> BackgroundJob? {
    state.withLock { state in
      let mayCompact = state.runningCompactionCount < compactionLimit
      let eligible = state.ready.indices.filter {
        mayCompact || state.ready[$0].priority != .compaction
      }
      guard !eligible.isEmpty else { return nil }
      let job = state.ready.remove(at: eligible[choose(eligible.count)])
      state.runningCount += 1
      if job.priority == .compaction { state.runningCompactionCount += 1 }
      return job
    }
  }

  private func put(_ job: BackgroundJob, goesOn: Bool) {
    let isDropped = state.withLock { state -> Bool in
      state.runningCount -= 1
      if job.priority == .compaction { state.runningCompactionCount -= 1 }
      guard goesOn else { return false }
      if state.isClosing { return true }
      // Before its equals: what has begun holds files and memory until it ends.
      let index = state.ready.firstIndex { $0.priority >= job.priority } ?? state.ready.count
      state.ready.insert(job, at: index)
      return false
    }
    if isDropped { job.end(nil) }
  }
}
