// StreamWatch — who waits for a stream's next events.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// Tells those who have read a stream to its end that there is more.
///
/// A generation is taken before events are looked for; who then waits for the next one misses
/// nothing that happens in between.
package final class StreamWatch: Sendable {
  private struct State {
    /// For each partition one more than the offset of the last event that was announced; 0 before
    /// the first, and none for any before the first of all: most streams of a store are at rest.
    var ends: [UInt64] = []
    var waiters: [UInt64: @Sendable () -> Void] = [:]
    var nextWaiter: UInt64 = 0
  }

  private let partitionCount: Int
  private let state = Mutex(State())
  private let changes = EventCount()

  init(partitionCount: Int) { self.partitionCount = partitionCount }

  /// Grows with each change; to be read before the events are.
  package var generation: UInt64 { changes.generation }

  /// For each of `partitions`, the offset behind the last event that was announced; 0 where none
  /// was since the store was opened.
  package func ends(of partitions: [Int]) -> [UInt64] {
    state.withLock { state in
      state.ends.isEmpty
        ? [UInt64](repeating: 0, count: partitions.count) : partitions.map { state.ends[$0] }
    }
  }

  /// Blocks the calling thread until there was a change after `seen`, or until the monotonic time
  /// `deadline`, in nanoseconds.
  package func wait(after seen: UInt64, until deadline: UInt64?) {
    changes.wait(after: seen, until: deadline)
  }

  /// Has `body` called once when there was a change after `seen`.
  ///
  /// It is called by whoever commits: it must be short, and must not come back here.
  ///
  /// - Returns: what ``cancel(_:)`` takes; nil when the change is there already, and `body` will
  ///   not be called.
  package func call(after seen: UInt64, _ body: @escaping @Sendable () -> Void) -> UInt64? {
    state.withLock { state in
      guard changes.generation == seen else { return nil }
      state.nextWaiter += 1
      state.waiters[state.nextWaiter] = body
      return state.nextWaiter
    }
  }

  /// Forgets a waiter; its body may be running, or have run.
  package func cancel(_ waiter: UInt64) {
    state.withLock { _ = $0.waiters.removeValue(forKey: waiter) }
  }

  /// Announces that events up to these ends are visible.
  func announce(_ ends: [(partition: UInt32, end: UInt64)]) {
    state.withLock { state in
      if state.ends.isEmpty { state.ends = [UInt64](repeating: 0, count: partitionCount) }
      for (partition, end) in ends {
        state.ends[Int(partition)] = max(state.ends[Int(partition)], end)
      }
    }
    wakeAll()
  }

  /// Wakes everyone: there is news, there will be none any more, or partitions changed hands.
  package func wakeAll() {
    // First the number, so that who looks at it under the lock is not left behind.
    changes.notify()
    let waiters = state.withLock { state in
      defer { state.waiters = [:] }
      return state.waiters
    }
    for body in waiters.values { body() }
  }
}
