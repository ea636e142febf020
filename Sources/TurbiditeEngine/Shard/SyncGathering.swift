// SyncGathering — a sync waits a moment for those whom the one before has just let go.
//
// Room:    Engine/Shard.
// Source:  Group commit timers: Helland, Sammer, Lyon, Carr, Garrett and Reuter, "Group Commit
//          Timers and High Volume Transaction Systems", HPTS 1987.

import Synchronization
import TurbiditeSystem

/// How many commits the next sync may expect, and how long they are worth waiting for.
///
/// Threads that commit one thing after the other come back as soon as they are told; a sync that
/// begins before they are back makes them wait for all of it, and is for few.
///
/// Any thread reads it; the leader writes it.
final class SyncGathering: Sendable {
  /// The commits of the last sync and those that were in line at its end.
  private let expected = Atomic<Int>(0)
  /// When that was, and how long it took, in nanoseconds of the engine's clock.
  private let end = Atomic<UInt64>(0)
  private let duration = Atomic<UInt64>(0)
  /// Syncs that do not wait, since too few came the last time; and how many then.
  private let passes = Atomic<Int>(0)
  private let penalty = Atomic<Int>(0)

  private static let largestPenalty = 64
  private static let yieldLimit = 1000

  /// A sync has ended, which began at `start`.
  ///
  /// - Parameter count: the commits that it was for, and those in line now.
  func note(_ count: Int, from start: UInt64, to now: UInt64) {
    expected.store(count, ordering: .relaxed)
    end.store(now, ordering: .relaxed)
    duration.store(now > start ? now - start : 0, ordering: .relaxed)
  }

  /// Whether the last sync ended so short a time ago that those it was for are still coming back.
  private func isRecent(_ now: UInt64) -> Bool {
    now &- end.load(ordering: .relaxed) < duration.load(ordering: .relaxed)
  }

  /// Whether a thread that comes now should wait in line, though nobody leads.
  func isOpen(_ clock: any TimeSource) -> Bool {
    expected.load(ordering: .relaxed) > 1 && passes.load(ordering: .relaxed) == 0
      && isRecent(clock.monotonicNanoseconds())
  }

  /// Waits until as many are in line as are expected, or for half of a sync.
  ///
  /// By the leader. Gives the processor to those who are expected.
  func wait(for queue: CommitQueue, _ clock: any TimeSource) {
    let expected = expected.load(ordering: .relaxed)
    let before = queue.syncedCount
    guard expected > before else { return }
    let passes = passes.load(ordering: .relaxed)
    guard passes == 0 else { return self.passes.store(passes - 1, ordering: .relaxed) }
    let now = clock.monotonicNanoseconds()
    guard isRecent(now) else { return }
    let limit = now &+ duration.load(ordering: .relaxed) / 2
    // Bounded, as a clock may stand.
    for _ in 0..<Self.yieldLimit where queue.syncedCount < expected {
      guard clock.monotonicNanoseconds() < limit else { break }
      yieldProcessor()
    }
    // Worth it where a sync carries half as many again, for half of a sync's time.
    if 2 * (queue.syncedCount - before) >= before {
      penalty.store(0, ordering: .relaxed)
    } else {
      let next = min(Self.largestPenalty, max(1, 2 * penalty.load(ordering: .relaxed)))
      penalty.store(next, ordering: .relaxed)
      self.passes.store(next, ordering: .relaxed)
    }
  }
}
