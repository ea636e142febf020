// AloneWorkloads — what is measured of our store alone, by name, each in a process of its own.
//
// Room:    Benchmarks.

/// What the command line asked for.
struct Settings {
  /// Instead of each workload's own number.
  var recordCount: Int?
  /// Prints notes about the store's shape to standard error.
  var isVerbose = false

  func note(_ text: @autoclosure () throws -> String) rethrows {
    if isVerbose { complain("  \(try text())") }
  }
}

struct AloneWorkload: Sendable {
  var name: String
  var summary: String
  var run: @Sendable (Settings, inout Report) throws -> Void

  static let all = [
    AloneWorkload(
      name: "fill", summary: "writes: batches, single records, synced records", run: measureFill),
    AloneWorkload(
      name: "read", summary: "random gets of present and absent keys", run: measureRead),
    AloneWorkload(name: "scan", summary: "ordered walks over everything", run: measureScan),
    AloneWorkload(
      name: "reopen", summary: "opening an empty store, a small one, one after a kill",
      run: measureReopen),
    AloneWorkload(
      name: "spaceamp", summary: "disk taken after overwrites, against the least possible",
      run: measureSpace),
    AloneWorkload(
      name: "memory", summary: "peak memory of loading and scanning ten million records",
      run: measureMemory),
    AloneWorkload(
      name: "budget", summary: "peak memory of large values, large blocks and many threads",
      run: measureBudget),
    AloneWorkload(
      name: "streams",
      summary: "appends and tails beside Redis and NATS JetStream, where those are there",
      run: measureStreams),
  ]

  /// One process a workload: the peak memory of one is not that of another.
  ///
  /// Status 0: every target met. 1: one missed. 70: wrong data or no answer.
  static func runApart(_ names: [String], _ settings: Settings) throws -> Int32 {
    Report().printHeader()
    var options: [String] = []
    if let count = settings.recordCount { options += ["--records", "\(count)"] }
    if settings.isVerbose { options.append("--verbose") }
    var worst: Int32 = 0
    for name in names {
      let status = try turbidite_bench.run(["/proc/self/exe", "alone", name] + options)
      worst = max(worst, status & 0x7f == 0 ? status >> 8 & 0xff : 70)
    }
    return worst
  }
}
