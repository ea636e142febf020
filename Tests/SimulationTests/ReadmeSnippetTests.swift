// ReadmeSnippetTests — what README shows of the simulation does what it says.

import Foundation
import Testing
import Turbidite
import TurbiditeSimulation

@Suite("README's simulation")
struct ReadmeSnippetTests {
  /// The lines below the marks are README's, to the letter: the test reads both.
  @Test("the snippet runs, and is the one in README")
  func snippet() throws {
    // begin
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open()
    try store.blocking.put("ledger/1", "10", durability: .synced)
    for survivors in machine.disk.crashSurvivors() {  // what a power loss may leave, in bounds
      let found = try machine.crashed(.these(survivors)).open()
      let value = try found.blocking.get("ledger/1")
      precondition(value == "10")
    }
    // end
    let here = URL(fileURLWithPath: #filePath)
    let source = try String(contentsOf: here, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(source.firstIndex(of: "    // begin"))
    let end = try #require(source.firstIndex(of: "    // end"))
    let lines = source[(begin + 1)..<end].map { $0.dropFirst(4) }
    let root = here.deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    let shown =
      "```swift\nimport Turbidite\nimport TurbiditeSimulation\n\n" + lines.joined(separator: "\n")
    #expect(readme.contains(shown + "\n```"))
  }
}
