// Environment — what the environment asks of the tests.

import Foundation

/// A number from the environment, or the default.
func environmentCount(_ name: String, default value: Int) -> Int {
  ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? value
}

/// When a long run begins nothing more; `TURBIDITE_SECONDS` says how long it lasts, else for ever.
///
/// The clock decides how much is tried, never what comes of it: that follows from the seeds.
struct Deadline: Sendable {
  private let end: Double

  init() {
    end =
      ProcessInfo.processInfo.systemUptime
      + Double(environmentCount("TURBIDITE_SECONDS", default: 1 << 40))
  }

  var isOver: Bool { ProcessInfo.processInfo.systemUptime >= end }
}
