// CorpusTests — runs every input of the corpus through the entries that the fuzzers use.

import Foundation
import Testing

@testable import TurbiditeEngine

/// What fuzzing once found stays found.
@Suite("Fuzzers")
struct CorpusTests {
  /// Where this file's neighbours are.
  private static let room = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent()

  private func corpus(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
    let directory = Self.room.appendingPathComponent("Corpus/\(target.rawValue)")
    let files = try FileManager.default.contentsOfDirectory(
      at: directory, includingPropertiesForKeys: nil)
    return try files.sorted { $0.path < $1.path }.map {
      (name: $0.lastPathComponent, bytes: [UInt8](try Data(contentsOf: $0)))
    }
  }

  @Test(
    "every input of the corpus is decoded or refused, and keeps the rules",
    arguments: FuzzTarget.allCases)
  func replay(target: FuzzTarget) throws {
    let inputs = try corpus(target)
    #expect(!inputs.isEmpty, "\(target) has no corpus")
    for input in inputs { target.run(input.bytes) }
  }

  @Test("every seed keeps the rules, whole and cut anywhere", arguments: FuzzTarget.allCases)
  func seeds(target: FuzzTarget) {
    let seeds = target.seeds
    #expect(!seeds.isEmpty)
    for seed in seeds {
      target.run(seed)
      // About forty cuts of each: the fuzzers do the rest.
      for length in stride(from: 0, to: seed.count, by: max(1, seed.count / 40)) {
        target.run(target.mended(Array(seed[..<length])))
      }
    }
  }

  @Test("the corpus stays small: at most 300 KB, no input above 8 KiB")
  func size() throws {
    var total = 0
    for target in FuzzTarget.allCases {
      for input in try corpus(target) {
        #expect(input.bytes.count <= 8192, "\(target)/\(input.name)")
        total += input.bytes.count
      }
    }
    #expect(total <= 300_000)
  }
}
