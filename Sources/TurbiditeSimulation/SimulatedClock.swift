// SimulatedClock — time that passes only when told to.
//
// Room:    Simulation.

import Synchronization
public import TurbiditeSystem

/// A clock for tests and simulation.
///
/// A sleeper returns at once, and the time has passed.
public final class SimulatedClock: TimeSource {
  private struct Times {
    var monotonic: UInt64
    /// What the wall clock showed when the monotonic one stood at `wallOrigin`.
    var wallSeconds: UInt64
    var wallOrigin: UInt64
  }

  private let times: Mutex<Times>

  /// A clock that stands at `nanoseconds`, `wallSeconds` after the beginning of 1970.
  public init(nanoseconds: UInt64 = 0, wallSeconds: UInt64 = 1_700_000_000) {
    times = Mutex(
      Times(monotonic: nanoseconds, wallSeconds: wallSeconds, wallOrigin: nanoseconds))
  }

  package func monotonicNanoseconds() -> UInt64 { times.withLock { $0.monotonic } }

  package func wallMicroseconds() -> UInt64 {
    times.withLock { $0.wallSeconds &* 1_000_000 &+ ($0.monotonic - $0.wallOrigin) / 1000 }
  }

  package func sleep(nanoseconds: UInt64) { advance(by: nanoseconds) }

  /// Lets time pass.
  ///
  /// It stops at the largest number.
  public func advance(by nanoseconds: UInt64) {
    times.withLock {
      let (sum, overflows) = $0.monotonic.addingReportingOverflow(nanoseconds)
      $0.monotonic = overflows ? .max : sum
    }
  }

  /// Lets time pass up to `nanoseconds`.
  ///
  /// It never goes back.
  public func advance(to nanoseconds: UInt64) {
    times.withLock { $0.monotonic = max($0.monotonic, nanoseconds) }
  }

  /// Sets the wall clock, as an administrator may at any moment.
  public func setWall(seconds: UInt64) {
    times.withLock {
      $0.wallSeconds = seconds
      $0.wallOrigin = $0.monotonic
    }
  }
}
