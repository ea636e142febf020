// Threads — the same work on several threads at once.
//
// Room:    Benchmarks.

import Glibc
import Synchronization

/// Calls `body` with 0, 1, … on a thread each and gives what they gave, in order.
///
/// Throws the first error, after all have ended.
func onThreads<Value: Sendable>(
  _ count: Int, _ body: @escaping @Sendable (Int) throws -> Value
) throws -> [Value] {
  let outcomes = Outcomes<Value>()
  var threads: [pthread_t] = []
  for index in 0..<count {
    let work = Work {
      let outcome = Result { try body(index) }
      outcomes.all.withLock { $0.append((index, outcome)) }
    }
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    guard code == 0 else { throw Stop("pthread_create: errno \(code)") }
    threads.append(thread)
  }
  for thread in threads { pthread_join(thread, nil) }
  return try outcomes.all.withLock { all in
    try all.sorted { $0.0 < $1.0 }.map { try $0.1.get() }
  }
}

/// Calls `body` on so many threads, each with latencies of its own; gives the sum of the counts.
func onThreads(
  _ count: Int, _ latencies: inout Latencies,
  _ body: @escaping @Sendable (Int, inout Latencies) throws -> Int
) throws -> Int {
  let parts = try onThreads(count) { thread in
    var latencies = Latencies()
    let count = try body(thread, &latencies)
    return (count, latencies)
  }
  for part in parts { latencies.add(part.1) }
  return parts.reduce(0) { $0 + $1.0 }
}

private final class Work: Sendable {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private final class Outcomes<Value: Sendable>: Sendable {
  let all = Mutex<[(Int, Result<Value, any Error>)]>([])
}

/// Runs a task from synchronous code and blocks this thread until it has ended.
func waitForTask<Value: Sendable>(
  _ body: @escaping @Sendable () async throws -> Value
) throws -> Value {
  let outcomes = Outcomes<Value>()
  let done = Flag()
  Task.detached {
    let outcome: Result<Value, any Error>
    do {
      outcome = .success(try await body())
    } catch {
      outcome = .failure(error)
    }
    outcomes.all.withLock { $0.append((0, outcome)) }
    done.raise()
  }
  done.wait()
  return try outcomes.all.withLock { try $0[0].1.get() }
}

/// Safe to share: what it holds is a semaphore.
private final class Flag: @unchecked Sendable {
  private let semaphore: UnsafeMutablePointer<sem_t>

  init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func raise() { sem_post(semaphore) }

  func wait() { while sem_wait(semaphore) != 0 && errno == EINTR {} }
}
