// JobsCommand — runs the same jobs through every tool in turn, and prints what came of it.
//
// Room:    Benchmarks.

import ArgumentParser
import Glibc

struct JobsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "jobs",
    abstract: "Word count and group-by-sum beside the tools that do such jobs.",
    usage: "Tools/bench jobs [<option> ...]",
    discussion: """
      Each tool reads a text or a table of words and numbers, and writes all counts or sums; it \
      has two threads or processes, if it can use them. A time is that of its process, from start \
      to end; the files are in the system's cache. Every answer is compared byte for byte with the \
      right one.

      Tools: \(JobTool.all.map(\.name).joined(separator: ", ")). Those from PyPI are installed \
      into a virtual environment in Benchmarks/.build, where the data are kept, too. Outputs are \
      made in TMPDIR and removed. Status 70: a wrong answer.
      """)

  @Option(help: "Tools, separated by commas; without it, all that are there.")
  var engines: String?

  @Option(help: "Tasks, separated by commas; without it, wordcount,groupsum.")
  var tasks: String?

  @Option(help: "Rounds, in which the tools take turns.")
  var rounds = 1

  @Option(help: "Millions of bytes of text, and of numbers.")
  var megabytes = 300

  @Option(help: "Writes every round's results to this file.")
  var json: String?

  func validate() throws {
    guard rounds >= 1 else { throw ValidationError("--rounds is at least 1") }
    guard (1...10_000).contains(megabytes) else {
      throw ValidationError("--megabytes may be 1 to 10,000")
    }
    _ = try chosenTasks()
  }

  func run() throws {
    guard access(PythonEnvironment.scripts, F_OK) == 0 else {
      throw Stop("\(PythonEnvironment.scripts) is not here; run Tools/bench jobs")
    }
    say("machine: \(machineLine())")
    let tasks = try chosenTasks()
    let data = try JobData(megabytes: megabytes, below: "Benchmarks/.build/jobs")
    for task in tasks { say(data.description(of: task)) }
    var tools = try presentTools()
    var outcomes: [JobOutcome] = []
    for round in 0..<rounds {
      for task in tasks {
        let first = round % max(1, tools.count)
        for tool in tools[first...] + tools[..<first] {
          do {
            let trial = JobTrial(tool: tool, task: task, data: data, round: round)
            let outcome = try trial.run()
            complain("round \(round + 1) of \(rounds), \(describe(outcome))")
            outcomes.append(outcome)
          } catch let error as Stop {
            complain("\(tool.name): left out from here: \(error)")
            tools.removeAll { $0.name == tool.name }
          }
        }
      }
    }
    if let json { try write(try encoded(outcomes), toFile: json) }
    let table = JobTable(outcomes)
    say("\n" + table.text)
    if let ratios = table.ratios { say("\n" + ratios) }
  }

  private func chosenTasks() throws -> [JobTask] {
    guard let tasks else { return JobTask.allCases }
    return try tasks.split(separator: ",").map { name in
      guard let task = JobTask(rawValue: String(name)) else {
        throw ValidationError("\(name): no such task")
      }
      return task
    }
  }

  private func presentTools() throws -> [JobTool] {
    let names = engines?.split(separator: ",").map(String.init)
    let tools = try names?.map(JobTool.named) ?? JobTool.all
    let present = try withDirectory { directory in
      tools.filter { isThere($0, log: directory + "/log") }
    }
    if present.isEmpty { throw Stop("none of these tools is here") }
    return present
  }

  private func isThere(_ tool: JobTool, log: String) -> Bool {
    do {
      for program in tool.programs {
        _ = try measureProcess(["sh", "-c", "command -v \(program)"], log: log)
      }
      if let package = tool.package {
        say("\(package) \(try PythonEnvironment.version(of: package, log: log))")
      }
      return true
    } catch {
      complain("\(tool.name): skipped: \(error)")
      return false
    }
  }

  private func describe(_ outcome: JobOutcome) -> String {
    let cost = outcome.cost
    var text = "\(outcome.tool), \(outcome.task.title): \(rounded(cost.seconds)) s"
    if outcome.share == .tenth { text += " for a tenth" }
    if let load = outcome.preparation { text += ", loaded in \(rounded(load.seconds)) s" }
    return text
  }
}
