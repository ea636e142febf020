// JobTrial — one run of one tool: its steps, what they took, and whether the answer is right.
//
// Room:    Benchmarks.

/// A line of the raw results.
struct JobOutcome: Codable, Sendable {
  var tool: String
  var task: JobTask
  var share: JobShare
  var round: Int
  var cost: JobCost
  /// Of ours alone.
  var preparation: JobCost?

  /// For the whole input: measured, or ten times what the tenth took.
  var seconds: Double { cost.seconds * share.factor }
  var processorSeconds: Double { cost.processorSeconds * share.factor }
}

struct JobTrial {
  var tool: JobTool
  var task: JobTask
  var data: JobData
  var round: Int

  /// Runs the steps in an empty directory.
  ///
  /// A tool that fails is a `Stop`, a wrong answer a `WrongAnswer`.
  func run() throws -> JobOutcome {
    try withDirectory { directory in
      let log = directory + "/log"
      let paths = JobPaths(
        input: data.input(task, tool.share), store: directory + "/store",
        output: directory + "/output")
      try makeDirectory(paths.store)
      var preparation: JobCost?
      if tool.isOurs {
        preparation = try measureProcess(
          JobStepCommand.arguments(.prepare, tool.name, task, paths), log: log)
      }
      try readAhead(paths)
      let cost = try measureProcess(tool.command(task, paths), log: log)
      if tool.isOurs {
        _ = try measureProcess(
          JobStepCommand.arguments(.answer, tool.name, task, paths), log: log)
      }
      try check(paths)
      return JobOutcome(
        tool: tool.name, task: task, share: tool.share, round: round, cost: cost,
        preparation: preparation)
    }
  }

  /// Input and store are in the system's cache for everybody.
  private func readAhead(_ paths: JobPaths) throws {
    let script = #"sync; find "$@" -type f -exec cat {} + >/dev/null"#
    guard
      try turbidite_bench.run(["sh", "-c", script, "sh", paths.input, paths.store]) == 0
    else { throw Stop("cannot read \(paths.input)") }
  }

  /// Every byte of the answer, in the order of the bytes, is that of the expected one.
  private func check(_ paths: JobPaths) throws {
    let script = "export LC_ALL=C; { \(tool.lines); } | sort | cmp - \"$2\""
    let arguments = ["sh", "-c", script, "sh", paths.output, data.answer(task, tool.share)]
    guard try turbidite_bench.run(arguments) == 0 else {
      throw WrongAnswer(description: "\(tool.title), \(task.title): a wrong answer")
    }
  }
}

struct WrongAnswer: Error, CustomStringConvertible {
  var description: String
}
