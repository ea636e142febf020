import Foundation
import Testing

@testable import TurbiditeCLI

/// Fifty times as much data as memory.
@Suite("Jobs of programs, with little memory", .onThreadsOfItsOwn)
struct MapReduceMemoryProcessTests {
  /// Runs the command, and returns its largest resident size in KiB beside what it did.
  private func measured(
    _ arguments: [String]
  ) throws -> (outcome: Outcome, residentKibibytes: Int) {
    let script = """
      import resource, subprocess, sys
      status = subprocess.run(sys.argv[1:]).returncode
      sys.stderr.write("\\n%d" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
      sys.exit(status)
      """
    let outcome = try runProgram(
      "/usr/bin/env", ["python3", "-c", script, builtCommand] + arguments, input: [])
    let last = outcome.error.split(separator: "\n").last.flatMap { Int($0) }
    return (outcome, try #require(last, "\(outcome.error)"))
  }

  @Test("a job over fifty times its memory gives the whole answer, within it")
  func fiftyfold() throws {
    let place = try Workplace()
    var random = SeededGenerator(seed: 50)
    var text: [UInt8] = []
    var lines: [String] = []
    // Fewer keys than records, and values of every size.
    for number in 0..<30_000 {
      let digits = (0..<Int.random(in: 1...200, using: &random)).map { _ in
        String(random.next(), radix: 36)
      }
      lines.append("k\(number * 7 % 9_973)\t\(number) \(digits.joined())")
    }
    for (number, line) in lines.enumerated() {
      text += Array("\(100_000 + number)\t\(line.replacing("\t", with: "\\t"))\n".utf8)
    }
    #expect(text.count > 35 << 20)
    let store = place.file("store")
    let loaded = try runProgram(builtCommand, ["load", store, "-", "--create"], input: text)
    try #require(loaded.status == 0, "\(loaded.error)")

    let options = ["--values-only", "--map", "cat", "--reduce", "cat", "--memory", "1M"]
    let small = try measured(
      ["mapreduce", store, "--to", "100010", "--output", place.file("few")] + options)
    #expect(small.outcome.status == 0, "\(small.outcome.error)")
    let large = try measured(["mapreduce", store, "--output", place.file("all")] + options)
    #expect(large.outcome.status == 0, "\(large.outcome.error)")

    // Whole, and of a key in the order of the input.
    var found: [Substring: [Substring]] = [:]
    for part in 0..<2 {
      let output = String(decoding: try place.read("all/part-0000\(part)"), as: UTF8.self)
      for line in output.split(separator: "\n") {
        let fields = line.split(separator: "\t", maxSplits: 1)
        found[fields[0], default: []].append(fields[1])
      }
    }
    var expected: [Substring: [Substring]] = [:]
    for line in lines {
      let fields = line.split(separator: "\t", maxSplits: 1)
      expected[fields[0], default: []].append(fields[1])
    }
    #expect(found == expected)
    // Beside the tables there are buffers of pipes, files and merges; but never the data.
    let growth = large.residentKibibytes - small.residentKibibytes
    #expect(growth < 12 << 10, "\(small.residentKibibytes) and \(large.residentKibibytes) KiB")
  }
}
