// Main — the command line.
//
// Room:    Benchmarks.

import ArgumentParser
import Glibc

@main
private struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "Tools/bench",
    abstract: "Turbidite beside the engines that its users would otherwise pick.",
    subcommands: [
      Compare.self, JobsCommand.self, AloneCommand.self, TrialCommand.self, LogCommand.self,
      JobDataCommand.self, JobStepCommand.self,
    ],
    defaultSubcommand: Compare.self)

  static func main() {
    if let first = CommandLine.arguments.dropFirst().first, ["-h", "--help"].contains(first) {
      say(Compare.helpMessage())
      return
    }
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let code as ExitCode {
      Glibc.exit(code.rawValue)
    } catch {
      // What the parser does not know is a run that failed, not a call for help or a bad option.
      guard exitCode(for: error) == .failure else { exit(withError: error) }
      complain("turbidite-bench: \(error)")
      Glibc.exit(70)
    }
  }
}

/// Hidden: one workload of ours alone, in a process of its own.
private struct AloneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "alone", shouldDisplay: false)

  @Argument var name: String
  @Option var records: Int?
  @Flag var verbose = false

  func run() throws {
    guard let workload = AloneWorkload.all.first(where: { $0.name == name }) else {
      throw ValidationError("\(name): no such workload")
    }
    var report = Report()
    try workload.run(Settings(recordCount: records, isVerbose: verbose), &report)
    if !report.passes { throw ExitCode(1) }
  }
}

/// Hidden: one engine through one group of workloads.
private struct TrialCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "trial", shouldDisplay: false)

  @Argument var group: String
  @Option var engine: String
  @Option var round: Int
  @Option var records: Int
  @Option var directory: String
  @Option var output: String
  @Option var select: [String] = []
  @Flag var quick = false

  func run() throws {
    guard let group = WorkloadGroup(rawValue: group) else {
      throw ValidationError("\(group): no such group")
    }
    let trial = try Trial(
      TrialSettings(
        engine: engine, round: round, recordCount: records, isQuick: quick, selection: select,
        directory: directory))
    try group.run(trial)
    try write(encoded(trial.outcomes), toFile: output)
  }
}

/// Hidden: leaves a store whose process was killed.
private struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "leave-log", shouldDisplay: false)

  @Option(help: "Without it, the store that the workload `reopen` opens.") var engine: String?
  @Option var directory: String

  func run() throws {
    guard let engine else { try leaveLog(at: directory) }
    try leaveLog(try PeerKind.named(engine), at: directory)
  }
}
