// Latencies — how long single operations took.
//
// Room:    Benchmarks.
// Limits:  A thousandth of each value, up to an hour.

import Glibc
import Histogram

/// Nanoseconds of a clock that never goes back; about 25 ns a call.
@inline(__always)
func nanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
    &+ UInt64(truncatingIfNeeded: time.tv_nsec)
}

struct Latencies: Sendable {
  private(set) var histogram = Histogram<UInt64>(highestTrackableValue: 3_600_000_000_000)

  @inline(__always)
  mutating func record(_ duration: UInt64) { histogram.record(duration) }

  mutating func add(_ other: Latencies) { histogram.add(other.histogram) }

  /// In microseconds; nil when nothing was recorded.
  func percentile(_ percent: Double) -> Double? {
    if histogram.totalCount == 0 { return nil }
    return Double(histogram.valueAtPercentile(percent)) / 1000
  }
}

/// How often, and how long at most.
struct Extent: Sendable {
  var count: Int
  var seconds: Double

  /// Calls `operation` with 0, 1, 2 … until either is used up; gives the number of calls.
  ///
  /// One look at the clock a call: the end of one is the start of the next.
  @inline(__always)
  func run(_ latencies: inout Latencies, _ operation: (Int) throws -> Void) rethrows -> Int {
    var last = nanoseconds()
    let end = last + UInt64(seconds * 1e9)
    for number in 0..<count {
      try operation(number)
      let time = nanoseconds()
      latencies.record(time &- last)
      last = time
      if time > end { return number + 1 }
    }
    return count
  }
}
