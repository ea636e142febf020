// BenchCommand — how fast a store is on the user's own machine and disk.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite
import TurbiditeTorture

extension BenchWorkload: ExpressibleByArgument {}

/// `turbidite bench DIR`.
struct BenchCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure a store on this machine and disk.",
    discussion: """
      Makes a store of its own in a new directory in DIR, runs the workloads one after the other, \
      and removes it again. Fills begin with an empty store; what comes behind them works on what \
      they have left. One thread, default options, `.buffered` but for fillsync; every value that \
      a get returns is checked, and what it takes to make keys and values is part of the figures. \
      With --data it is the lines of FILE that are put, in batches of 256 KiB, under their numbers \
      (ingest), and then read in order. A machine that does other work gives other numbers: \
      compare only what was run in turn. Tools/bench compares with other engines.
      """)

  @Argument(help: "A directory on the disk to be tried.") var directory: String
  @Argument(help: "Workloads, in order; without any, most of them.")
  var workloads: [BenchWorkload] = []
  @Option(help: "Records: 1 to 1,000,000,000.") var records: UInt64 = 1_000_000
  @Option(help: "Bytes of a value: 0 to 1,048,576; half of them repeat.") var valueBytes = 100
  @Option(help: ArgumentHelp("Put and read the lines of this file.", valueName: "file"))
  var data: String?
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    guard (1...1_000_000_000).contains(records) else {
      throw ValidationError("--records is 1 to 1000000000")
    }
    guard (0...1 << 20).contains(valueBytes) else {
      throw ValidationError("--value-bytes is 0 to 1048576")
    }
    if workloads.contains(.ingest), data == nil { throw ValidationError("ingest needs --data") }
    if data != nil, workloads.contains(where: { $0.fills && $0 != .ingest }) {
      throw ValidationError("--data is put by ingest, not by other fills")
    }
  }

  func run() throws {
    let lines = try data.map { try Input.open($0) }
    let place =
      "\(directory)/turbidite-bench-\(String(UInt64.random(in: 0...UInt64(Int32.max)), radix: 16))"
    do throws(DescriptorFailure) { try createDirectory(place) } catch {
      throw CommandFailure.system(error, at: place)
    }
    let results: [BenchResult]
    do {
      results = try runAll(in: place, lines)
    } catch {
      // What a wrong answer was read from is worth keeping; nothing else is.
      if case CommandFailure.stated(let statement)? = error as? CommandFailure,
        statement.status == ExitStatus.corruption
      {
        throw error
      }
      try removeDirectory(place)
      throw error
    }
    try removeDirectory(place)
    try report(results)
  }

  private func runAll(in place: String, _ lines: Input?) throws -> [BenchResult] {
    let settings = BenchRun.Settings(
      recordCount: records, valueByteCount: valueBytes, seed: UInt64.random(in: 0...UInt64.max))
    var run = try BenchRun(settings, in: place, global)
    var chosen = workloads
    if chosen.isEmpty { chosen = data == nil ? BenchWorkload.usual : [.ingest, .readseq] }
    if data != nil, chosen[0] != .ingest { chosen.insert(.ingest, at: 0) }
    var results: [BenchResult] = []
    do {
      for workload in chosen { results.append(try run.run(workload, lines: lines)) }
    } catch {
      do throws(StoreError) { try run.end() } catch let closing {
        Console.write("turbidite: closing the store failed as well: \(closing.description)\n")
      }
      throw error
    }
    try run.end()
    return results
  }

  private func report(_ results: [BenchResult]) throws {
    let report = Report(global)
    if global.reportFormat == .json {
      try report.write(
        JSONWriter.document("bench/1") { json in
          json.member("value_bytes", valueBytes)
          json.array("workloads") { json in
            for result in results { json.object { BenchCommand.append(result, to: &$0) } }
          }
        })
      return try report.finish()
    }
    var table = Table([
      .words("workload"), .number("operations"), .number("a second"), .number("bytes"),
      .number("p50"), .number("p99"), .number("p99.9"), .number("longest"),
    ])
    for result in results {
      let seconds = max(Numbers.seconds(result.elapsed), 1e-9)
      table.add(
        [
          result.workload.rawValue, Numbers.grouped(result.operationCount),
          Numbers.grouped(Int(Double(result.operationCount) / seconds)),
          Numbers.rate(result.byteCount, over: seconds),
        ] + BenchCommand.times(result.latencies))
    }
    try report.write(table)
    try report.finish()
  }

  private static let shares = [0.5, 0.99, 0.999]

  /// A cell for each share, and one for the longest.
  private static func times(_ latencies: Latencies) -> [String] {
    guard let percentiles = latencies.percentiles(shares) else {
      return Array(repeating: "-", count: shares.count + 1)
    }
    return (percentiles + [latencies.longest]).map { nanoseconds in
      let tenths = (nanoseconds + 50) / 100
      return "\(Numbers.grouped(tenths / 10)).\(tenths % 10) us"
    }
  }

  private static func append(_ result: BenchResult, to json: inout JSONWriter) {
    json.member("workload", result.workload.rawValue)
    json.member("operations", result.operationCount)
    json.member("bytes", result.byteCount)
    json.member("nanoseconds", UInt64(Numbers.seconds(result.elapsed) * 1e9))
    guard let percentiles = result.latencies.percentiles(shares) else { return }
    for (name, nanoseconds) in zip(["p50", "p99", "p999"], percentiles) {
      json.member("\(name)_nanoseconds", nanoseconds)
    }
    json.member("longest_nanoseconds", result.latencies.longest)
  }
}
