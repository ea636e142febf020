// JobRun — a job of programs, begun or gone on with, and what the command says of it.
//
// Room:    Tools/TurbiditeCLI.

import Synchronization
import Turbidite
import TurbiditePrograms
import TurbiditeProgramJobs

/// Runs a job for the verbs that do.
struct JobRun {
  let definition: JobDefinition
  let directory: String
  let limits: JobLimitOptions
  let isFresh: Bool
  let global: GlobalOptions

  /// No program can be shut in here.
  private static let unavailable: Int32 = 69

  func run() throws {
    if definition.isSandboxed, let refusal = Sandbox.refusal() {
      throw CommandFailure.stated(
        Statement(
          status: JobRun.unavailable, what: "programs cannot be shut in here: \(refusal)",
          remedy: "install bubblewrap, or run the job without --sandbox"))
    }
    // Before a directory for the job is made in what is no store.
    _ = try inventory(at: directory)
    do {
      switch definition.destination {
      case .keyspace, .stream:
        // Open all the while: nobody else can take the store from under the results.
        try withStore(at: directory, mode: .existing) { store in
          try run(openAs: store)
        }
      case .directory, .standardOutput: try run(openAs: nil)
      }
    } catch let stop as JobStop {
      throw failure(stop)
    }
  }

  private func run(openAs store: Store?) throws {
    let console = global.console
    let meter = ProgressMeter(global)
    let job = try ProgramJob(
      definition, settings: limits.settings, jobs: limits.directory(of: directory),
      isCancelled: { Signals.pending != nil },
      status: { if !global.quiet { console.note("status: \($0)") } },
      progress: { meter.show($0) })
    if isFresh {
      try job.reset()
    } else if try job.wasBegun {
      console.note("going on with job \(definition.id), of the store as it was when that began")
    }
    let output = Output.standard()
    var summary: ProgramJobSummary?
    try output.finishing {
      summary = try job.run(
        storeAt: directory, openAs: store,
        print: { key, rest in
          try output.append { $0.append(key, rest, as: definition.form) }
        }, flush: { try output.flush() })
    }
    meter.clear()
    if let summary { try tell(summary) }
  }

  private func tell(_ summary: ProgramJobSummary) throws {
    if global.reportFormat == .json, definition.destination != .standardOutput {
      let report = Report(global)
      try report.write(
        JSONWriter.document("mapreduce/1") { json in
          json.member("job", summary.id)
          json.member("map_tasks", summary.splitCount)
          json.member("reduce_tasks", definition.reducerCount)
          json.member("tasks_done_before", summary.resumedCount)
          json.member("records", summary.recordCount)
          json.member("set_aside", summary.quarantined.count)
          for (name, value) in summary.counters.sorted(by: { $0.key < $1.key }) {
            json.member("counter:\(name)", value)
          }
        })
      return try report.finish()
    }
    let console = global.console
    if summary.wasDone {
      console.note("the results were out already")
      if let path = summary.quarantinePath { console.note("records were set aside: see \(path)") }
      return
    }
    console.note(
      "\(Numbers.counted(summary.recordCount, "record")) in"
        + " \(Numbers.counted(summary.splitCount, "map task"))"
        + (summary.resumedCount == 0
          ? "" : ", \(Numbers.counted(summary.resumedCount, "task")) done before"))
    for (name, value) in summary.counters.sorted(by: { $0.key < $1.key }) {
      console.note("counter \(name): \(Numbers.grouped(value))")
    }
    if let path = summary.quarantinePath {
      console.note(
        "\(Numbers.counted(summary.quarantined.count, "record")) set aside: see \(path)")
    }
  }

  private func failure(_ stop: JobStop) -> any Error {
    let again = "give the same command again: what was done is kept"
    switch stop {
    case .store(let error): return error
    case .cancelled: return CommandFailure.interrupted
    case .refused(let what): return CommandFailure.usage(what)
    case .taken(let what):
      return CommandFailure.stated(
        Statement(
          status: ExitStatus.conflict, what: what,
          remedy: "choose another name, or for a keyspace or a stream give --replace"))
    case .busy(let what):
      return CommandFailure.stated(
        Statement(
          status: ExitStatus.conflict, what: what, remedy: "wait for it, or end it"))
    case .badRecord(let what):
      return CommandFailure.badData(
        what, at: directory,
        remedy: "give --binary, and programs that read frames; or mend it, and give --fresh")
    case .program(let failure):
      let tail = failure.errorTail.split(separator: "\n").suffix(5).joined(separator: " | ")
      return CommandFailure.stated(
        Statement(
          status: ExitStatus.internalError, what: "the \(failure.description)",
          place: tail.isEmpty ? nil : "it said: \(tail)",
          remedy: failure.isLaunch
            ? "check the command; \(again)"
            : "mend the program, or let --quarantine set records aside; \(again)"))
    }
  }
}

/// Shows how far a job is, from any of its threads.
///
/// Safe to share: the mutex guards the line.
private final class ProgressMeter: @unchecked Sendable {
  private let progress: Mutex<Progress>

  init(_ global: GlobalOptions) {
    var progress = global.makeProgress("mapreduce", total: nil)
    progress.noun = "task"
    self.progress = Mutex(progress)
  }

  func show(_ now: ProgramJobProgress) {
    progress.withLock { progress in
      progress.total = UInt64(now.taskCount)
      let count = UInt64(now.finishedCount)
      progress.update(records: count, bytes: 0, position: count)
    }
  }

  func clear() { progress.withLock { $0.clear() } }
}
