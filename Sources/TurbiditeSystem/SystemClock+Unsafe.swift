// SystemClock — the clocks of the kernel.
//
// Room:    System.

#if canImport(Glibc)
import Glibc
#endif

/// Real time: CLOCK_MONOTONIC and CLOCK_REALTIME.
package final class SystemClock: TimeSource {
  package init() {}

  package func monotonicNanoseconds() -> UInt64 { Self.now(CLOCK_MONOTONIC) }

  package func wallMicroseconds() -> UInt64 { Self.now(CLOCK_REALTIME) / 1000 }

  package func sleep(nanoseconds: UInt64) {
    // The moment of waking is fixed first, so that an interrupted sleep is not prolonged.
    let (sum, overflows) = monotonicNanoseconds().addingReportingOverflow(nanoseconds)
    var target = timespec(nanoseconds: overflows ? .max : sum)
    // Safe: `target` is a local, and nothing is written back for an absolute time.
    while unsafe clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &target, nil) == EINTR {}
  }

  private static func now(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    // Safe: `time` is a local that clock_gettime fills; both clocks exist on every Linux.
    unsafe clock_gettime(clock, &time)
    return UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

extension timespec {
  /// `nanoseconds` since the clock's zero.
  init(nanoseconds: UInt64) {
    self.init(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
  }
}
