// Command — a program of the system, run to its end.
//
// Room:    Tools/Torture.

import Foundation

/// A program with its arguments.
struct Command {
  private let words: [String]

  init(_ words: [String]) { self.words = words }

  /// Runs it, and returns its status and what it printed; status -1 when it could not be started.
  func run() -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    do {
      try process.run()
    } catch {
      return (-1, "\(error)")
    }
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }

  /// Runs it, and throws unless it succeeds.
  @discardableResult
  func require() throws(TortureFailure) -> String {
    let result = run()
    if result.status != 0 {
      throw TortureFailure(
        "\(words.joined(separator: " ")) gave \(result.status): \(result.output)")
    }
    return result.output
  }
}

/// The path of the program that runs.
package func ownExecutablePath() throws -> String {
  try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
}
