// BenchCommandProcessTests — the command that measures a store on the user's disk.

import Foundation
import Testing

@testable import TurbiditeCLI

/// `turbidite bench` says what it measured, in every form, and leaves nothing behind.
@Suite("Bench command process", .serialized)
struct BenchCommandProcessTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  private func run(_ arguments: [String], input: [UInt8] = []) throws -> Outcome {
    let bundle = Bundle.allBundles.map(\.bundlePath).first { $0.hasSuffix(".xctest") }
    let tests = URL(fileURLWithPath: bundle ?? CommandLine.arguments[0])
    let tool = tests.deletingLastPathComponent().appendingPathComponent("turbidite").path
    return try runProgram(tool, arguments, input: input)
  }

  private var isEmpty: Bool {
    get throws { try FileManager.default.contentsOfDirectory(atPath: place.path).isEmpty }
  }

  @Test("the usual workloads are run, and the directory is gone afterwards")
  func usual() throws {
    let outcome = try run(["bench", place.path, "--records", "500", "--format", "tsv"])
    #expect(outcome.status == 0, "\(outcome.error)")
    let rows = outcome.text.split(separator: "\n").map { $0.split(separator: "\t") }
    #expect(rows.dropFirst().map { String($0[0]) } == BenchWorkload.usual.map(\.rawValue))
    #expect(rows.allSatisfy { $0.count == rows[0].count })
    for row in rows.dropFirst() {
      #expect(["500", "50", "1"].contains(row[1]), "\(row)")
    }
    #expect(try isEmpty)
  }

  @Test("JSON is JSON, with a member for each figure")
  func json() throws {
    let outcome = try run([
      "bench", place.path, "readmissing", "readseq", "--records", "300", "--value-bytes", "7",
      "--json",
    ])
    #expect(outcome.status == 0, "\(outcome.error)")
    let document = try JSONSerialization.jsonObject(with: Data(outcome.output)) as? [String: Any]
    #expect(document?["schema"] as? String == "turbidite.bench/1")
    let workloads = try #require(document?["workloads"] as? [[String: Any]])
    #expect(workloads.map { $0["workload"] as? String } == ["readmissing", "readseq"])
    #expect(workloads.allSatisfy { $0["operations"] as? Int == 300 })
    #expect(workloads[0]["p999_nanoseconds"] is Int && workloads[1]["p50_nanoseconds"] == nil)
    #expect(workloads[1]["bytes"] as? Int == 300 * 23)
    #expect(try isEmpty)
  }

  @Test("lines of a file are put and read back, the last one without a newline too")
  func lines() throws {
    let text = Array("one\n\nthree\nand four".utf8)
    let outcome = try run(["bench", place.path, "--data", "-", "--json"], input: text)
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.text.contains(#""workload":"ingest","operations":4,"bytes":80"#))
    #expect(outcome.text.contains(#""workload":"readseq","operations":4,"bytes":80"#))
    #expect(try isEmpty)
    let empty = try run(["bench", place.path, "--data", "-", "--json"])
    #expect(empty.status == 0, "\(empty.error)")
    #expect(empty.text.contains(#""workload":"readseq","operations":0"#))
    #expect(try run(["bench", place.path, "readrandom", "--data", "-"]).status == 64)
    #expect(try isEmpty)
  }

  @Test(
    "what makes no sense is a usage error, and a bad place is told",
    arguments: [
      (["--records", "0"], 64), (["nonsense"], 64), (["ingest"], 64),
      (["fillseq", "--data", "x"], 64), (["--value-bytes", "-1"], 64),
      (["--data", "/absent/file"], 66),
    ] as [([String], Int32)])
  func refused(_ words: [String], _ status: Int32) throws {
    #expect(try run(["bench", place.path] + words).status == status)
    #expect(try isEmpty)
    #expect(try run(["bench", place.file("absent"), "--records", "1"]).status == 66)
  }

  @Test("of many latencies every second is kept, and the longest always")
  func latencies() {
    var latencies = Latencies(sampleLimit: 1000)
    for number in 1...7000 { latencies.add(.nanoseconds(number == 77 ? 1_000_000_000 : number)) }
    #expect(latencies.count == 7000)
    #expect(latencies.longest == 1_000_000_000)
    let median = latencies.percentiles([0.5])?[0] ?? 0
    #expect((3400..<3600).contains(median), "\(median)")
  }
}
