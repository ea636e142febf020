// PlantedTree — a small repository in a temporary directory, with one thing wrong or nothing.

import Foundation

@testable import Tidy

/// Files to plant: path to text.
typealias Planting = [String: String]

/// A header that breaks no rule, for a file of the engine's room `room`.
func header(_ room: String = "Engine/Bytes") -> String {
  "// Thing — something to look at.\n//\n// Room:    \(room).\n\n"
}

/// What Tidy finds in a tree of these files alone; `bytes` holds files that are not text.
func findings(in planting: Planting, bytes: [String: [UInt8]] = [:]) throws -> [Finding] {
  let root = FileManager.default.temporaryDirectory
    .appendingPathComponent("tidy-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: root) }
  let contents = planting.mapValues { Array($0.utf8) }.merging(bytes) { $1 }
  for (path, content) in contents {
    let file = root.appendingPathComponent(path)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(content).write(to: file)
  }
  return Tidy(root: root.path).findings()
}
