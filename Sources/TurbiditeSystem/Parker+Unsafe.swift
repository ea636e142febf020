// Parker — one thread sleeps until another calls it.
//
// Room:    System.
// Source:  The three states follow the Rust standard library (library/std/src/sys/sync/
//          thread_parking/futex.rs); the futex, Franke, Russell and Kirkwood, OLS 2002.
// Limits:  One thread parks at a time; any number may unpark.

import CTurbiditeShims
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// A token that `unpark` leaves and `park` takes.
///
/// Safe to share: the word lives at a fixed address of its own, is atomic, and is freed when nobody
/// refers to the parker; who unparks holds a reference until the wake-up call has returned.
@safe
package final class Parker: @unchecked Sendable {
  private let word: UnsafeMutablePointer<Atomic<UInt32>>

  private static let empty: UInt32 = 0
  private static let notified: UInt32 = 1
  /// `empty` less one: `park` moves from `notified` to `empty`, or from `empty` to here, in one
  /// subtraction.
  private static let parked: UInt32 = .max

  package init() {
    unsafe word = .allocate(capacity: 1)
    // Safe: the memory was allocated on the line above.
    unsafe word.initialize(to: Atomic(Self.empty))
  }

  deinit {
    // Safe: nobody holds a reference any more.
    unsafe word.deinitialize(count: 1)
    unsafe word.deallocate()
  }

  /// Sleeps until ``unpark()`` was called, before or during the sleep.
  ///
  /// What the caller of `unpark` did before is visible when this returns.
  ///
  /// - Parameter yieldCount: how often other threads may have the processor first. To sleep and to
  ///   be woken takes longer than most of what one waits for.
  package func park(afterYields yieldCount: Int = 0) {
    // Safe: `word` is initialised as long as the parker lives, here and below.
    for _ in 0..<yieldCount where unsafe word.pointee.load(ordering: .relaxed) == Self.empty {
      sched_yield()
    }
    let before = unsafe word.pointee.wrappingSubtract(1, ordering: .acquiring).oldValue
    assert(before != Self.parked, "two threads park")
    if before == Self.notified { return }
    while true {
      unsafe turbidite_futex_wait(word, Self.parked, -1)
      // The kernel may wake for no reason: only the token counts.
      let (taken, _) = unsafe word.pointee.compareExchange(
        expected: Self.notified, desired: Self.empty, successOrdering: .acquiring,
        failureOrdering: .acquiring)
      if taken { return }
    }
  }

  /// Wakes the thread that parks, or the one that will.
  ///
  /// Several calls before a `park` are one.
  package func unpark() {
    // Safe: `word` is initialised as long as the parker lives.
    let before = unsafe word.pointee.exchange(Self.notified, ordering: .releasing)
    if before == Self.parked { unsafe turbidite_futex_wake(word, 1) }
  }
}
