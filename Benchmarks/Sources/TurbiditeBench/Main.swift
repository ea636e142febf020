// Main — the workloads by name, each in a process of its own.
//
// Room:    Benchmarks.

import Glibc

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

private typealias Workload = @Sendable (Settings, inout Report) throws -> Void

private let workloads: [(name: String, summary: String, run: Workload)] = [
  ("fill", "writes: batches, single records, synced records", measureFill),
  ("read", "random gets of present and absent keys", measureRead),
  ("scan", "ordered walks over everything", measureScan),
  ("reopen", "opening an empty store, a small one, one after a kill", measureReopen),
  ("spaceamp", "disk taken after overwrites, against the least possible", measureSpace),
  ("memory", "peak memory of loading and scanning ten million records", measureMemory),
]

@main
private enum Bench {
  static func main() {
    do {
      exit(try run(Array(CommandLine.arguments.dropFirst())))
    } catch {
      complain("turbidite-bench: \(error)")
      exit(70)
    }
  }

  /// Does what the command line asks.
  ///
  /// Status 0: every target met. 1: one missed. 64: not understood. 70: wrong data or no answer.
  private static func run(_ arguments: [String]) throws -> Int32 {
    if arguments.count == 2, arguments[0] == "leave-log" { try leaveLog(at: arguments[1]) }
    var settings = Settings()
    var names: [String] = []
    var isPart = false
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--help", "-h":
        say(usage)
        return 0
      case "--verbose": settings.isVerbose = true
      case "--part": isPart = true
      case "--records":
        guard let text = rest.popFirst(), let count = Int(text), count >= 1000 else {
          return refuse("--records needs a number of at least 1000")
        }
        settings.recordCount = count
      case let name where workloads.contains { $0.name == name }: names.append(name)
      default: return refuse("\(argument): no such workload or option")
      }
    }
    if names.isEmpty { names = workloads.map(\.name) }
    var report = Report()
    if isPart {
      for workload in workloads where names.contains(workload.name) {
        try workload.run(settings, &report)
      }
      return report.passes ? 0 : 1
    }
    return try runApart(names, arguments, report)
  }

  /// One process a workload: the peak memory of one is not that of another.
  private static func runApart(
    _ names: [String], _ arguments: [String], _ report: Report
  ) throws -> Int32 {
    #if DEBUG
    complain("turbidite-bench: this is a debug build; its figures mean nothing")
    #endif
    say("machine: \(machineLine())")
    report.printHeader()
    let options = arguments.filter { argument in !workloads.contains { $0.name == argument } }
    var worst: Int32 = 0
    for name in names {
      let status = try turbidite_bench.run(["/proc/self/exe", "--part", name] + options)
      worst = max(worst, status & 0x7f == 0 ? status >> 8 & 0xff : 70)
    }
    return worst
  }

  private static func refuse(_ reason: String) -> Int32 {
    complain("turbidite-bench: \(reason)\n\(usage)")
    return 64
  }

  private static var usage: String {
    let list = workloads.map { workload in
      "  \(workload.name)" + String(repeating: " ", count: 11 - workload.name.count)
        + workload.summary
    }
    return """
      Usage: turbidite-bench [--records N] [--verbose] [workload ...]

      \(list.joined(separator: "\n"))

      Runs all when none is named. Stores are made in TMPDIR and removed. Status 1: a target is
      missed; 70: a value read is not the value written.
      """
  }
}
