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

  @Test("a place where no directory can be made is told with its path, and with its status")
  func unusablePlace() throws {
    try place.write([1], to: "file")
    let cases: [(directory: String, status: Int32)] = [
      (place.file("absent"), 66), (place.file("file"), 66),
      (place.file(String(repeating: "x", count: 300)), 74),
    ]
    for (directory, status) in cases {
      let outcome = try run(["torture", directory, "--rounds", "1"])
      #expect(outcome.status == status, "\(outcome.error)")
      #expect(outcome.error.contains("mkdir failed: "), "\(outcome.error)")
      #expect(outcome.error.contains("where: \(directory)/turbidite-torture-"), "\(outcome.error)")
      #expect(!outcome.error.contains("NSCocoa"))
    }
  }

  @Test("help names the verb, and not its child")
  func help() throws {
    let text = try run(["help"]).text
    #expect(text.contains("torture"))
    #expect(!text.contains("torture-child"))
  }
}
