// Compare — runs the engines in turn, round by round, and prints what came of it.
//
// Room:    Benchmarks.

import ArgumentParser
import Glibc

struct Compare: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Runs the same workloads through every engine and prints the ratios.",
    usage: "Tools/bench [<workload> ...] [<option> ...]",
    discussion: """
      Workloads: \(WorkloadGroup.allCases.flatMap(\.workloads).joined(separator: ", ")). A name \
      also stands for all that begin with it and a hyphen; without names, all are run.

      Of ours alone, with targets: \
      \(AloneWorkload.all.map { "\($0.name) (\($0.summary))" }.joined(separator: "; ")).

      Beside tools for map and reduce: Tools/bench jobs --help.

      Stores are made in TMPDIR and removed. Status 1: a target of ours alone is missed; 70: a \
      value that was read is not the value written, or a record is missing.
      """)

  @Argument(help: "Workloads.")
  var workloads: [String] = []

  @Option(help: "Engines, separated by commas; without it, all that are installed.")
  var engines: String?

  @Option(help: "Records; 1,000,000 without it, with --quick 200,000.")
  var records: Int?

  @Option(help: "Rounds; 3 without it, with --quick 1. Stores grow in the first only.")
  var rounds: Int?

  @Flag(help: "One round of 200,000 records: an idea in minutes.")
  var quick = false

  @Option(help: "Writes every round's results to this file.")
  var json: String?

  @Option(help: "Runs nothing, and shows what --json has written to this file.")
  var from: String?

  @Option(help: "Writes benchmarks.md and its charts into this directory.")
  var report: String?

  @Flag(help: "Says more about workloads of ours alone.")
  var verbose = false

  private var recordCount: Int { records ?? (quick ? 200_000 : 1_000_000) }
  private var roundCount: Int { rounds ?? (quick ? 1 : 3) }

  func validate() throws {
    if let records, records < 10_000 || records > 1 << 31 {
      throw ValidationError("--records may be 10,000 to 2,147,483,648")
    }
    if let rounds, rounds < 1 { throw ValidationError("--rounds is at least 1") }
    let known = WorkloadGroup.allCases.flatMap(\.workloads)
    for name in workloads where !AloneWorkload.all.contains(where: { $0.name == name }) {
      guard known.contains(where: { $0 == name || $0.hasPrefix(name + "-") }) else {
        throw ValidationError("\(name): no such workload")
      }
    }
  }

  func run() throws {
    #if DEBUG
    complain("turbidite-bench: this is a debug build; its figures mean nothing")
    #endif
    if let from {
      let kept = try OutcomeFile(path: from)
      try show(Comparison(outcomes: kept.outcomes, recordCount: kept.run.recordCount), kept.run)
      return
    }
    let machine = machineLine()
    say("machine: \(machine)")
    let alone = AloneWorkload.all.map(\.name).filter(workloads.contains)
    let selection = workloads.filter { !alone.contains($0) }
    var status: Int32 = 0
    if !alone.isEmpty {
      let settings = Settings(recordCount: records, isVerbose: verbose)
      status = try AloneWorkload.runApart(alone, settings)
    }
    if !selection.isEmpty || alone.isEmpty { try compare(selection, machine) }
    if status != 0 { throw ExitCode(status) }
  }

  private func compare(_ selection: [String], _ machine: String) throws {
    let disk = try diskLine()
    say("disk: \(disk)")
    let total = Stopwatch()
    let kinds = try chosenEngines()
    var comparison = Comparison(outcomes: [], recordCount: recordCount)
    for round in 0..<roundCount {
      for group in WorkloadGroup.allCases {
        let settings = TrialSettings(
          engine: "", round: round, recordCount: recordCount, isQuick: quick,
          selection: selection, directory: "")
        guard group.workloads.contains(where: settings.selects), round == 0 || !group.isLong
        else { continue }
        // Each engine goes first in its turn.
        let first = round % kinds.count
        for kind in kinds[first...] + kinds[..<first]
        where kind.name == PeerKind.ours || !group.isOursAlone {
          let seconds = Stopwatch()
          comparison.outcomes += try runTrial(group, kind, settings)
          complain(
            "round \(round + 1) of \(roundCount), \(group.rawValue), \(kind.name): "
              + "\(rounded(seconds.seconds)) s")
        }
      }
    }
    let terms = RunTerms(
      machine: machine, disk: disk, command: RunTerms.command, date: RunTerms.today,
      recordCount: recordCount, roundCount: roundCount, minutes: total.seconds / 60)
    if let json {
      try OutcomeFile(run: terms, outcomes: comparison.outcomes).write(to: json)
    }
    try show(comparison, terms)
  }

  private func show(_ comparison: Comparison, _ terms: RunTerms) throws {
    say(
      "\(terms.summary); ratio of medians (least..greatest of a round); above 1, ours is better\n")
    say(Table(comparison).text)
    if let report {
      let measured = PeerKind.all.filter { kind in
        comparison.outcomes.contains { $0.engine == kind.name }
      }
      try ReportPage(comparison: comparison, terms: terms, engines: measured).write(into: report)
    }
  }

  private func chosenEngines() throws -> [PeerKind] {
    let names = engines?.split(separator: ",").map(String.init)
    let kinds = try names?.map(PeerKind.named) ?? PeerKind.all
    let present = kinds.filter { kind in
      if kind.open != nil { return true }
      complain("\(kind.name): skipped, because \(kind.aptPackage) was not there to build with")
      return false
    }
    if present.isEmpty { throw Stop("none of these engines is in this build") }
    return present
  }

  private func runTrial(
    _ group: WorkloadGroup, _ kind: PeerKind, _ settings: TrialSettings
  ) throws -> [Outcome] {
    // The next must not wait for what this one has left to be written: it is removed first.
    defer { sync() }
    return try withDirectory { directory in
      let output = directory + "/outcomes.json"
      var arguments = [
        "/proc/self/exe", "trial", group.rawValue, "--engine", kind.name,
        "--round", "\(settings.round)", "--records", "\(settings.recordCount)",
        "--directory", directory, "--output", output,
      ]
      if settings.isQuick { arguments.append("--quick") }
      for name in settings.selection { arguments += ["--select", name] }
      let status = try turbidite_bench.run(arguments)
      guard status == 0 else {
        let signal = status & 0x7f
        let end = signal == 0 ? "status \(status >> 8 & 0xff)" : "signal \(signal)"
        throw Stop("\(kind.name), \(group.rawValue): the trial ended with \(end)")
      }
      return try decodedOutcomes(fromFile: output)
    }
  }
}
