// TortureCommandTests — the command that kills itself on the user's disk.

import Foundation
import Testing

@testable import TurbiditeCLI

/// `turbidite torture` counts its kills, leaves nothing behind, and refuses what makes no sense.
@Suite("Torture command process", .serialized)
struct TortureCommandProcessTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  private func run(_ arguments: [String]) throws -> Outcome {
    let bundle = Bundle.allBundles.map(\.bundlePath).first { $0.hasSuffix(".xctest") }
    let tests = URL(fileURLWithPath: bundle ?? CommandLine.arguments[0])
    let tool = tests.deletingLastPathComponent().appendingPathComponent("turbidite").path
    return try runProgram(tool, arguments)
  }

  @Test("a short run says what it did, and its directory is gone afterwards")
  func short() throws {
    let outcome = try run(["torture", place.path, "--rounds", "4", "--seed", "3"])
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.text.hasPrefix("SIGKILL: 4 kills"), "\(outcome.text)")
    #expect(outcome.text.contains("lost: 0") && outcome.text.contains("seed 3"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.path).isEmpty)
  }

  @Test(
    "a number outside its range is a usage error",
    arguments: [
      ["--rounds", "0"], ["--seconds", "0"], ["--rounds", "1000001"], ["--seed", "-1"],
    ])
  func range(_ words: [String]) throws {
    #expect(try run(["torture", place.path] + words).status == 64)
  }

  @Test("help names the verb, and not its child")
  func help() throws {
    let text = try run(["help"]).text
    #expect(text.contains("torture"))
    #expect(!text.contains("torture-child"))
  }
}
