// IOThreads — where calls that block are run for callers that must not.
//
// Room:    System.

/// A small pool of threads, each started when it is first needed.
///
/// Invariant: a body that was submitted runs, once; after ``stop()`` on the thread of its caller.
package final class IOThreads: Sendable {
  private let core: Core
  private let limit: Int

  /// A pool of at most `count` threads; none is started yet.
  package init(count: Int) {
    precondition(count > 0, "a pool needs a thread")
    limit = count
    core = Core()
  }

  /// A pool that was forgotten runs what was submitted, and ends its threads.
  deinit { core.askToStop() }

  /// Runs `body` on a thread of the pool, in the order of submission.
  ///
  /// Does not block, unless the system refuses the very first thread, or the pool has stopped: then
  /// the caller runs the body.
  package func submit(_ body: @escaping @Sendable () -> Void) {
    switch core.enqueue(body, threadLimit: limit) {
    case .queued: return
    case .needsThread(let index):
      // The body is in the queue: if this fails, another thread will come to it.
      let core = core
      do throws(SystemError) {
        let thread = try SystemThread(name: "turbidite-io-\(index)") { core.runBodies() }
        core.add(thread)
      } catch {
        // The refusal is not lost on the caller: with no thread at all, it does the work itself.
        core.threadWasRefused()
      }
    case .stopped:
      body()
    }
  }

  /// Runs `body` on a thread of the pool while the caller is suspended; no thread of the
  /// cooperative pool is blocked.
  package func run<Value: Sendable, Failure: Error>(
    _ body: @escaping @Sendable () throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    // A lock hands the result over: the thread sanitizer does not see that a continuation does, and
    // beside the change of threads it costs nothing.
    let result = Guarded<Result<Value, Failure>?>(nil)
    // What a body holds on to is the caller's alone once it goes on: who lets a store go then, say,
    // is the last to have it.
    let work = Guarded<(@Sendable () throws(Failure) -> Value)?>(body)
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      submit {
        Self.run(work, into: result)
        continuation.resume()
      }
    }
    guard let result = result.withLock({ $0.take() }) else {
      preconditionFailure("a body has ended without a result")
    }
    return try result.get()
  }

  private static func run<Value: Sendable, Failure: Error>(
    _ work: Guarded<(@Sendable () throws(Failure) -> Value)?>,
    into result: Guarded<Result<Value, Failure>?>
  ) {
    guard let body = work.withLock({ $0.take() }) else { return }
    do throws(Failure) {
      let value = try body()
      result.withLock { $0 = .success(value) }
    } catch {
      result.withLock { $0 = .failure(error) }
    }
  }

  /// Runs what was submitted, and ends the threads.
  ///
  /// Not to be called from a body.
  package func stop() { core.stop() }
}

/// What the threads share; it outlives a pool that was forgotten.
private final class Core: Sendable {
  typealias Body = @Sendable () -> Void

  enum Acceptance {
    case queued
    /// The caller must start the thread with this number.
    case needsThread(Int)
    case stopped
  }

  private struct State {
    var queue: [Body] = []
    /// The bodies before this index have been taken.
    var head = 0
    var threads: [SystemThread] = []
    /// Threads that run, or are being started.
    var runningCount = 0
    /// Threads that sleep and are not spoken for.
    var idleCount = 0
    var isStopping = false

    mutating func takeFirst() -> Body? {
      guard head < queue.count else { return nil }
      let body = queue[head]
      head += 1
      if head == queue.count {
        queue.removeAll(keepingCapacity: true)
        head = 0
      } else if head >= 64 && head * 2 >= queue.count {
        queue.removeFirst(head)
        head = 0
      }
      return body
    }
  }

  private let state = Guarded(State())
  private let changes = EventCount()

  func enqueue(_ body: @escaping Body, threadLimit: Int) -> Acceptance {
    let acceptance = state.withLock { state -> Acceptance in
      if state.isStopping { return .stopped }
      state.queue.append(body)
      let waiting = state.queue.count - state.head
      guard state.idleCount < waiting, state.runningCount < threadLimit else { return .queued }
      state.runningCount += 1
      return .needsThread(state.runningCount - 1)
    }
    if case .queued = acceptance { changes.notify() }
    return acceptance
  }

  func add(_ thread: SystemThread) { state.withLock { $0.threads.append(thread) } }

  func threadWasRefused() {
    let isAlone = state.withLock { state -> Bool in
      state.runningCount -= 1
      return state.runningCount == 0
    }
    changes.notify()
    guard isAlone else { return }
    while let body = state.withLock({ $0.takeFirst() }) { body() }
  }

  func runBodies() {
    while true {
      let seen = changes.generation
      let (body, isStopping) = state.withLock { state -> (Body?, Bool) in
        let body = state.takeFirst()
        if body == nil { state.idleCount += 1 }
        return (body, state.isStopping)
      }
      if let body {
        body()
        continue
      }
      if !isStopping { changes.wait(after: seen, until: nil) }
      state.withLock { $0.idleCount -= 1 }
      if isStopping { break }
    }
    state.withLock { $0.runningCount -= 1 }
    changes.notify()
  }

  func askToStop() {
    state.withLock { $0.isStopping = true }
    changes.notify()
  }

  func stop() {
    askToStop()
    // A thread that was being started when the stop came is added and ends by itself.
    while true {
      let seen = changes.generation
      let (threads, runningCount) = state.withLock { state -> ([SystemThread], Int) in
        defer { state.threads = [] }
        return (state.threads, state.runningCount)
      }
      for thread in threads { thread.join() }
      if threads.isEmpty && runningCount == 0 { return }
      if threads.isEmpty { changes.wait(after: seen, until: nil) }
    }
  }
}
