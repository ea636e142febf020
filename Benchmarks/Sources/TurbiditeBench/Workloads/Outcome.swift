// Outcome — what one workload cost one engine in one round.
//
// Room:    Benchmarks.

import Glibc

/// A line of the raw results.
struct Outcome: Codable, Sendable {
  var workload: String
  var engine: String
  var round: Int
  var operations: Int
  var seconds: Double
  /// Microseconds; absent where single operations were not timed.
  var p50: Double?
  var p99: Double?
  var p999: Double?
  var longest: Double?
  /// Of all threads, in user and kernel mode.
  var processorSeconds: Double
  /// Resident memory at its highest during the workload; for LMDB with the mapped pages.
  var peakMebibytes: Double
  /// Blocks of the store's files at the end.
  var diskByteCount: Int
  /// Bytes that the process caused to be written to the disk during the workload.
  var writtenByteCount: Int
  /// Bytes of keys and values that the workload wrote.
  var userByteCount: Int

  var operationsPerSecond: Double { Double(operations) / seconds }
  var writeAmplification: Double { Double(writtenByteCount) / Double(userByteCount) }
}

/// What this process has used so far.
struct ResourceUse {
  var wall = nanoseconds()
  var processorSeconds = ResourceUse.processorSeconds
  var writtenByteCount = ResourceUse.writtenByteCount

  private static var processorSeconds: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  private static var writtenByteCount: Int {
    for line in contents(ofFile: "/proc/self/io").split(separator: "\n") {
      guard line.hasPrefix("write_bytes: ") else { continue }
      return Int(line.dropFirst("write_bytes: ".count)) ?? 0
    }
    return 0
  }

  /// Lets the kernel measure the peak of resident memory anew.
  static func resetPeak() throws {
    guard let file = fopen("/proc/self/clear_refs", "w") else {
      throw Stop("/proc/self/clear_refs: errno \(errno)")
    }
    fputs("5", file)
    guard fclose(file) == 0 else { throw Stop("/proc/self/clear_refs: errno \(errno)") }
  }
}
