// ThreadScope — tests that wait for processes, on threads that nobody else waits for.

import Foundation
import Testing

/// Runs each test on a thread of its own: one that blocks for long would take one of the few of the
/// co-operative pool from tests that measure time.
struct ThreadScope: TestTrait, SuiteTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await withTaskExecutorPreference(ThreadExecutor.shared) { try await function() }
  }
}

extension Trait where Self == ThreadScope {
  static var onThreadsOfItsOwn: Self { ThreadScope() }
}

/// A thread for each step of a task.
private final class ThreadExecutor: TaskExecutor {
  static let shared = ThreadExecutor()

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    Thread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }.start()
  }
}
