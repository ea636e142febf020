// TimeSource — the only clock the engine reads.
//
// Room:    System.

/// Time as the engine sees it.
///
/// Correctness never depends on it: only pacing and statistics do.
package protocol TimeSource: AnyObject, Sendable {
  /// Nanoseconds since an arbitrary moment; never goes back.
  func monotonicNanoseconds() -> UInt64
  /// Microseconds since 1970-01-01 UTC; may jump either way.
  func wallMicroseconds() -> UInt64
  /// Blocks the calling thread. A simulated clock returns at once and moves on.
  func sleep(nanoseconds: UInt64)
}

extension TimeSource {
  /// Seconds since 1970-01-01 UTC; may jump either way.
  package func wallSeconds() -> UInt64 { wallMicroseconds() / 1_000_000 }
}
