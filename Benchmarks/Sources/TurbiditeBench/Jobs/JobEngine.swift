// JobEngine — an engine of ours that can run the jobs, each step in a process of its own.
//
// Room:    Benchmarks.

import ArgumentParser

/// Ours, as the comparison of jobs starts it.
///
/// The steps share nothing but the directory `store`. `run` is timed from the start of its process
/// to the end, as the others are; the time of `prepare` is printed beside it.
protocol JobEngine: Sendable {
  var name: String { get }

  /// Puts the input into a store, where the engine works on stores.
  func prepare(_ task: JobTask, _ paths: JobPaths) throws

  /// Does the job, and leaves the whole answer in the engine's usual form.
  func run(_ task: JobTask, _ paths: JobPaths) throws

  /// Writes the answer to `output`, when `run` has left it elsewhere. Not timed.
  func writeAnswer(_ task: JobTask, _ paths: JobPaths) throws
}

extension JobEngine {
  func prepare(_ task: JobTask, _ paths: JobPaths) throws {}
  func writeAnswer(_ task: JobTask, _ paths: JobPaths) throws {}
}

/// Ours, in the order of the table.
///
/// An engine is added here, and nowhere else.
let jobEngines: [any JobEngine] = [TurbiditeJobs(), TurbiditePrograms()]

enum JobStep: String, CaseIterable, ExpressibleByArgument {
  case prepare
  case run
  case answer
}

/// Hidden: one step of a job, by an engine of ours.
struct JobStepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "job-step", shouldDisplay: false)

  @Argument var step: JobStep
  @Option var engine: String
  @Option var task: JobTask
  @Option var input: String
  @Option var store: String
  @Option var output: String

  func run() throws {
    guard let engine = jobEngines.first(where: { $0.name == engine }) else {
      throw ValidationError("\(engine): no such engine")
    }
    let paths = JobPaths(input: input, store: store, output: output)
    switch step {
    case .prepare: try engine.prepare(task, paths)
    case .run: try engine.run(task, paths)
    case .answer: try engine.writeAnswer(task, paths)
    }
  }

  /// How it is called.
  static func arguments(
    _ step: JobStep, _ engine: String, _ task: JobTask, _ paths: JobPaths
  ) -> [String] {
    [
      "/proc/self/exe", configuration.commandName ?? "", step.rawValue, "--engine", engine,
      "--task", task.rawValue, "--input", paths.input, "--store", paths.store,
      "--output", paths.output,
    ]
  }
}

extension JobTask: ExpressibleByArgument {}
