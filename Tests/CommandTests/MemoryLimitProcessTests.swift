import Foundation
import Testing

@testable import TurbiditeCLI

/// The built command with less memory than it needs.
///
/// An allocation of the language's own that fails ends the process: no program in Swift can catch
/// it. What the store promises then is what it promises of any process that dies.
@Suite("Limits on memory")
struct MemoryLimitProcessTests {
  private static let tool = builtCommand

  @Test("a load that runs out of memory ends with an error or dies, and the store is whole")
  func load() throws {
    let place = try Workplace()
    let store = place.file("store")
    var text = Array("first\t1\n".utf8)
    // More than a batch, so that it is one by itself.
    for key in ["second", "third"] {
      text += Array("\(key)\t".utf8) + [UInt8](repeating: 0x78, count: 8 << 20) + [0x0a]
    }
    try place.write(text, to: "lines.tsv")
    var failures = 0
    var successes = 0
    for mebibytes in [80, 100, 120, 140, 160, 200, 4096] {
      #expect(
        try runProgram("/bin/bash", ["-c", "rm -rf '\(store)'"]).status == 0)
      let filled = try runProgram(
        Self.tool, ["put", store, "kept", "1", "--create", "--synced"])
      #expect(filled.status == 0, "\(filled.error)")
      let outcome = try runProgram(
        "/bin/bash",
        [
          "-c",
          """
          ulimit -c 0; ulimit -v \(mebibytes * 1024); export SWIFT_BACKTRACE=enable=no
          exec '\(Self.tool)' load '\(store)' '\(place.file("lines.tsv"))'
          """,
        ])
      if outcome.status == 0 { successes += 1 } else { failures += 1 }
      let verified = try runProgram(Self.tool, ["verify", store, "--deep"])
      #expect(verified.status == 0, "\(mebibytes) MiB: \(verified.error)")
      let keys = try runProgram(Self.tool, ["scan", store, "--keys-only"]).text
      let whole = [
        "kept\n", "first\nkept\n", "first\nkept\nsecond\n", "first\nkept\nsecond\nthird\n",
      ]
      #expect(whole.contains(keys), "\(mebibytes) MiB: \(keys)")
      if outcome.status == 0 { #expect(keys == whole.last) }
    }
    #expect(failures > 0 && successes > 0, "\(failures) failures, \(successes) successes")
  }
}
