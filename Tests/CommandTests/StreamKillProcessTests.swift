import Foundation
import Testing

@testable import TurbiditeCLI

#if canImport(Glibc)
import Glibc
#endif

/// The built command, killed for real while it appends to a stream and drops what is old.
@Suite("Streams and SIGKILL")
struct StreamKillProcessTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  private var store: String { place.file("store") }

  /// Runs the command, and kills it after so many microseconds unless it has ended before.
  private func runAndKill(
    _ arguments: [String], input: [UInt8], after delay: useconds_t
  ) throws {
    try place.write(input, to: "input")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: builtCommand)
    process.arguments = arguments
    process.standardInput = try FileHandle(
      forReadingFrom: URL(fileURLWithPath: place.file("input")))
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    usleep(delay)
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    if process.terminationReason == .exit { #expect(process.terminationStatus == 0) }
  }

  /// Each process appends `round/0/…`, `round/1/…` and so on to three partitions in turn.
  @Test("of what a killed process appended a prefix is there, and offsets are dense in any case")
  func killed() throws {
    let rounds =
      ProcessInfo.processInfo.environment["TURBIDITE_STREAM_KILLS"].flatMap { Int($0) } ?? 12
    var random = SeededGenerator(seed: 71)
    #expect(
      try runProgram(builtCommand, ["append", store, "s", "--create", "--partitions", "3"]).status
        == 0)
    // Several commits a process.
    let padding = String(repeating: "x", count: 200)
    var firsts: [UInt64] = [0, 0, 0]
    var found = [Int](repeating: 0, count: rounds)
    for round in 0..<rounds {
      let text = (0..<8_000).map { "\(round)/\($0)/\(padding)\n" }.joined()
      try runAndKill(
        ["append", store, "s"] + (round % 3 == 0 ? ["--synced"] : []), input: Array(text.utf8),
        after: useconds_t.random(in: 30_000..<500_000, using: &random))
      if round % 4 == 3 {
        try runAndKill(
          ["retain", store, "s", "--size", "100K"], input: [],
          after: useconds_t.random(in: 50_000..<600_000, using: &random))
      }
      try check(&firsts, &found)
    }
    #expect(try runProgram(builtCommand, ["retain", store, "s", "--size", "0"]).status == 0)
    try check(&firsts, &found)
    #expect(try runProgram(builtCommand, ["tail", store, "s"]).output.isEmpty)
    // How many were killed in between depends on the machine.
    print("killed: \(found) events of \(rounds) processes")
    #expect(try runProgram(builtCommand, ["verify", store, "--deep"]).status == 0)
  }

  @Test("a producer's input that is appended again after each kill is there once, in its order")
  func producer() throws {
    let lines = (0..<30_000).map { "line \($0) \(String(repeating: "x", count: 100))" }
    let input = Array(lines.map { $0 + "\n" }.joined().utf8)
    var random = SeededGenerator(seed: 72)
    #expect(try runProgram(builtCommand, ["append", store, "s", "--create"]).status == 0)
    let arguments = ["append", store, "s", "--producer", "web"]
    for _ in 0..<6 {
      try runAndKill(
        arguments, input: input, after: useconds_t.random(in: 20_000..<250_000, using: &random))
    }
    try place.write(input, to: "input")
    for repeats in [false, true] {
      let outcome = try runProgram(builtCommand, arguments + [place.file("input"), "--json"])
      #expect(outcome.status == 0, "\(outcome.error)")
      if repeats { #expect(outcome.text.contains("\"events\":0,\"repeated\":30000")) }
    }
    let outcome = try runProgram(builtCommand, ["tail", store, "s"])
    let found = outcome.text.split(separator: "\n").map { text in
      String(text.split(separator: "\t", omittingEmptySubsequences: false)[4])
    }
    #expect(found == lines)
    #expect(try runProgram(builtCommand, ["verify", store, "--deep"]).status == 0)
  }

  /// Reads everything: offsets are dense, those of no partition go back, and in each partition come
  /// the processes in their order, each with a prefix of what it wrote.
  private func check(_ firsts: inout [UInt64], _ found: inout [Int]) throws {
    let outcome = try runProgram(builtCommand, ["tail", store, "s"])
    #expect(outcome.status == 0, "\(outcome.error)")
    var next: [UInt64?] = [nil, nil, nil]
    var last = [(-1, -1), (-1, -1), (-1, -1)]
    var numbers: [Int: [Int]] = [:]
    for text in outcome.text.split(separator: "\n") {
      let fields = text.split(separator: "\t", omittingEmptySubsequences: false)
      let partition = try #require(Int(fields[0]))
      let offset = try #require(UInt64(fields[1]))
      if let due = next[partition] {
        #expect(offset == due)
      } else {
        #expect(offset >= firsts[partition])
        firsts[partition] = offset
      }
      next[partition] = offset + 1
      let parts = fields[4].split(separator: "/").compactMap { Int($0) }
      try #require(parts.count == 2)
      #expect(last[partition] < (parts[0], parts[1]))
      last[partition] = (parts[0], parts[1])
      numbers[parts[0], default: []].append(parts[1])
    }
    for (round, numbers) in numbers {
      let sorted = numbers.sorted()
      // What was dropped lies in front; nothing is missing in between, and nothing comes back.
      let isWhole = firsts == [0, 0, 0]
      if isWhole { #expect(sorted == Array(0..<sorted.count), "round \(round)") }
      let end = (sorted.last ?? -1) + 1
      #expect(found[round] == 0 || end <= found[round], "round \(round)")
      found[round] = max(found[round], end)
    }
  }
}
