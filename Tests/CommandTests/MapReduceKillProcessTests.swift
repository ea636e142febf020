import Foundation
import Testing

@testable import TurbiditeCLI

#if canImport(Glibc)
import Glibc
#endif

/// Jobs that are killed at any moment, and given again until they end.
///
/// TURBIDITE_JOB_KILL_ROUNDS says how many jobs each test runs so.
@Suite("Jobs of programs and SIGKILL", .serialized, .onThreadsOfItsOwn)
struct MapReduceKillProcessTests {
  private static let rounds =
    ProcessInfo.processInfo.environment["TURBIDITE_JOB_KILL_ROUNDS"].flatMap { Int($0) } ?? 4

  /// Runs the command, ends it with `signal` after so many microseconds, and says how it ended.
  private func run(
    _ words: JobPlace, _ arguments: [String], _ signal: Int32, after delay: useconds_t
  ) throws -> (status: Int32, isKilled: Bool, output: [UInt8], error: String) {
    for name in ["printed", "said"] { try words.place.write([], to: name) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: builtCommand)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(
      forWritingTo: URL(fileURLWithPath: words.place.file("printed")))
    process.standardError = try FileHandle(
      forWritingTo: URL(fileURLWithPath: words.place.file("said")))
    try process.run()
    usleep(delay)
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    return (
      process.terminationStatus, process.terminationReason == .uncaughtSignal,
      try words.place.read("printed"),
      String(decoding: try words.place.read("said"), as: UTF8.self)
    )
  }

  enum Destination: String, CaseIterable, Sendable { case directory, keyspace, stream, print }

  @Test(
    "a job that is killed and given again comes to what it would have come to",
    arguments: Destination.allCases)
  func killed(_ destination: Destination) throws {
    let words = try JobPlace(lineCount: 1_500, shards: 3)
    var random = SeededGenerator(seed: 0x6b69_6c6c)
    let output =
      switch destination {
      case .directory: words.place.file("out")
      case .keyspace: "keyspace:out"
      case .stream: "stream:out"
      case .print: "-"
      }
    let arguments = [
      "mapreduce", words.store, "--map", WordCount.awkMapper, "--combine", WordCount.awkReducer,
      "--reduce", WordCount.awkReducer, "--values-only", "--split", "6K", "--workers", "2",
      "--output", output,
    ]
    func result() throws -> String {
      switch destination {
      case .directory: return try words.results("out")
      case .keyspace:
        return try words.job("--input", "keyspace:out", "--map", "cat", "--reducers", "1").text
      case .stream:
        return try words.job("--input", "stream:out", "--map", "cat", "--values-only").text
      case .print: return ""
      }
    }
    let start = ContinuousClock.now
    let undisturbed = try words.run(arguments)
    try #require(undisturbed.status == 0, "\(undisturbed.error)")
    let milliseconds = start.duration(to: .now) / .milliseconds(1)
    let expected = destination == .print ? undisturbed.text : try result()
    var killCount = 0
    for round in 0..<Self.rounds {
      if destination == .directory {
        try FileManager.default.removeItem(atPath: words.place.file("out"))
      }
      // A keyspace that is there is replaced, so that each round is one.
      let isStored = destination == .keyspace || destination == .stream
      var printed = ""
      for attempt in 0... {
        // Most come in the first half: later the job has little left to be killed at.
        let delay = useconds_t.random(
          in: 1_000...(useconds_t(milliseconds * 800)), using: &random)
        let outcome = try run(
          words, arguments + (isStored ? ["--replace"] : []),
          Int.random(in: 0..<4, using: &random) == 0 ? SIGTERM : SIGKILL,
          after: attempt < 20 ? delay : 600_000_000 / 100)
        if outcome.status == 0, !outcome.isKilled {
          printed = String(decoding: outcome.output, as: UTF8.self)
          break
        }
        if outcome.status == 75, destination == .directory {
          // Killed when it had removed the last trace of itself, and not yet said so.
          break
        }
        killCount += 1
        let isOurs = outcome.isKilled || outcome.status == 128 + SIGTERM
        try #require(isOurs, "round \(round): \(outcome.status) \(outcome.error)")
      }
      #expect(
        try (destination == .print ? printed : result()) == expected, "round \(round)")
      try words.requireClean("round \(round)")
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: words.place.path)
          .allSatisfy { !$0.hasPrefix(".unfinished") })
    }
    // How many were killed in between depends on the machine.
    print("\(destination.rawValue): \(Self.rounds) jobs were killed \(killCount) times")
  }

  /// Whether a process has an environment with the text, and is no zombie.
  private func processes(with text: String) -> [String] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.filter { name in
      guard Int(name) != nil, let file = FileHandle(forReadingAtPath: "/proc/\(name)/environ"),
        let bytes = try? file.readToEnd()
      else { return false }
      return String(decoding: bytes, as: UTF8.self).contains(text)
    }
  }

  @Test("programs end soon after the job that was killed")
  func children() throws {
    let words = try JobPlace(lineCount: 4_000)
    for (number, command) in [
      "cat", "while read -r line; do echo $line; done", "yes", "exec sleep 600",
      "while :; do :; done",
    ].enumerated() {
      let mark = "mud_\(UUID().uuidString)"
      let outcome = try run(
        words,
        [
          "mapreduce", words.store, "--map", command, "--reduce", command, "--cmdenv",
          "MARK=\(mark)", "--workers", "2",
        ], SIGKILL, after: 400_000)
      if number >= 2 { #expect(outcome.isKilled) }
      var patience = 200
      while !processes(with: mark).isEmpty, patience > 0 {
        usleep(50_000)
        patience -= 1
      }
      #expect(processes(with: mark).isEmpty, "\(command)")
    }
  }
}
