// JobsCommand — jobs that were begun: what they are, going on with them, forgetting them.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite
import TurbiditeProgramJobs

/// `turbidite jobs`.
struct JobsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "jobs", abstract: "List jobs of programs, go on with them, or remove them.",
    discussion: """
      A job that was killed keeps its input and the tasks that it had done, below DIR/jobs, until \
      it is done or removed. `turbidite jobs DIR` lists them.
      """,
    subcommands: [ListJobsCommand.self, ResumeJobCommand.self, CleanJobsCommand.self],
    defaultSubcommand: ListJobsCommand.self)

  /// The words that may follow the verb.
  static let parts = configuration.subcommands.compactMap { $0.configuration.commandName }
}

/// `turbidite jobs DIR`.
struct ListJobsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the jobs of a store.",
    discussion: "--json gives an object a line.")

  @Argument(help: "The store's directory.") var directory: String
  @Option(help: ArgumentHelp("Where jobs lie, if not in DIR/jobs.", valueName: "dir"))
  var jobs: String?
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let list = try reportingStops {
      try listJobs(below: jobs ?? JobSettings.jobsDirectory(of: directory))
    }
    let report = Report(global)
    var table = Table([
      .words("job"), .words("state"), .number("tasks done"), .number("of"),
      .number("set aside"), .words("map"), .words("reduce"),
    ])
    for job in list {
      if global.reportFormat == .json {
        try report.write(
          JSONWriter.document("job/1") { json in
            json.member("job", job.id)
            json.member("state", job.state.rawValue)
            json.member("tasks_done", job.finishedCount)
            if let count = job.taskCount { json.member("tasks", count) }
            json.member("set_aside", job.quarantinedCount)
            if let map = job.definition?.map { json.member("map", map) }
            if let reduce = job.definition?.reduce { json.member("reduce", reduce) }
          })
      } else {
        table.add([
          job.id, job.definition == nil ? "unreadable" : job.state.rawValue,
          "\(job.finishedCount)", job.taskCount.map(String.init) ?? "",
          "\(job.quarantinedCount)", Escapes.visible(job.definition?.map ?? ""),
          Escapes.visible(job.definition?.reduce ?? ""),
        ])
      }
    }
    if global.reportFormat != .json { try report.write(table) }
    try report.finish()
  }
}

/// `turbidite jobs resume DIR JOB`.
struct ResumeJobCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Go on with a job that was begun.",
    discussion: """
      It does what the command that began the job would do when given once more in the same \
      directory. Limits are given anew.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The job, as `turbidite jobs` lists it.") var job: String
  @OptionGroup var limits: JobLimitOptions
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let list = try reportingStops { try listJobs(below: limits.directory(of: directory)) }
    guard let found = list.first(where: { $0.id == job }), found.state != .finished,
      let definition = found.definition
    else {
      throw CommandFailure.usage("there is no unfinished job \(job)", remedy: "see turbidite jobs")
    }
    try JobRun(
      definition: definition, directory: directory, limits: limits, isFresh: false, global: global
    ).run()
  }
}

/// `turbidite jobs clean DIR [JOB…]`.
struct CleanJobsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "clean", abstract: "Remove jobs with what they had done.",
    discussion: "Without names, all that no process works on.")

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "Jobs, as `turbidite jobs` lists them.") var names: [String] = []
  @Option(help: ArgumentHelp("Where jobs lie, if not in DIR/jobs.", valueName: "dir"))
  var jobs: String?
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let place = jobs ?? JobSettings.jobsDirectory(of: directory)
    try reportingStops {
      let chosen =
        names.isEmpty
        ? try listJobs(below: place).filter { $0.state != .running }.map(\.id) : names
      for name in chosen { try removeJob(name, below: place) }
      global.console.note("\(Numbers.counted(chosen.count, "job")) removed")
    }
  }
}

/// Runs `body`, and says what stopped it as the command does.
private func reportingStops<Result>(_ body: () throws -> Result) throws -> Result {
  do { return try body() } catch let stop as JobStop {
    switch stop {
    case .store(let error): throw error
    case .busy(let what):
      throw CommandFailure.stated(Statement(status: ExitStatus.conflict, what: what))
    case .refused(let what): throw CommandFailure.usage(what)
    case .program, .badRecord, .taken, .cancelled: throw stop
    }
  }
}
