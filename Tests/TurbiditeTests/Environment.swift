// Environment — what the caller of the tests asks for, and scratch directories.

import Foundation

func environmentValue(_ name: String) -> String? {
  ProcessInfo.processInfo.environment[name]
}

/// A directory that is removed at the end of its scope.
final class ScratchDirectory {
  let path: String

  init() {
    path = NSTemporaryDirectory() + "turbidite-test-" + UUID().uuidString
    try! FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    do { try FileManager.default.removeItem(atPath: path) } catch {
      print("could not remove \(path): \(error)")
    }
  }

  func file(_ name: String) -> String { path + "/" + name }
}

/// A number from the environment, or the default.
func environmentCount(_ name: String, default value: Int) -> Int {
  environmentValue(name).flatMap(Int.init) ?? value
}
