// Environment — what the environment asks of the tests.

import Foundation

/// A number from the environment, or the default.
func environmentCount(_ name: String, default value: Int) -> Int {
  ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? value
}
