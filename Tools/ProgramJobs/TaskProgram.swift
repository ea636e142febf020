// TaskProgram — one program in one attempt at one task.
//
// Room:    ProgramJobs.
// Source:  Lines, keys and environment are Hadoop Streaming's (Hadoop 3, "Hadoop Streaming").

import Turbidite
import TurbiditeEngine
import TurbiditePrograms
import TurbiditeSystem

/// What the programs of a job may do, and what does not decide its results.
package struct JobSettings: Sendable {
  package var limits = ProgramLimits()
  /// How often a task is begun before its failing record is looked for.
  package var attemptCount = 3
  /// Records that may be set aside.
  package var quarantineLimit = 0
  package var workerCount: Int
  /// Bytes for what is grouped.
  package var memoryByteCount = 256 << 20

  package init(workerCount: Int) { self.workerCount = workerCount }

  /// A task for each processor.
  package static var defaultWorkerCount: Int { max(1, min(256, processorCount())) }

  /// Where the jobs of a store lie.
  package static func jobsDirectory(of store: String) -> String {
    "\(store)/\(FileNames.jobsDirectory)"
  }
}

/// Which program of a job.
enum ProgramRole: String, Sendable {
  case mapper
  case combiner
  case reducer
}

/// One attempt at a task.
struct TaskAttempt: Sendable {
  var job: JobDefinition
  var jobID: String
  var settings: JobSettings
  var task: TaskName
  var role: ProgramRole
  var number: Int
  var taskCount: Int
  let isCancelled: @Sendable () -> Bool

  private var command: String {
    switch role {
    case .mapper: job.map ?? ""
    case .combiner: job.combine ?? ""
    case .reducer: job.reduce ?? ""
    }
  }

  /// Hadoop's names of what a task may want to know, those before version 2 among them.
  private var environment: [String: String] {
    let kind = task.isMap ? "m" : "r"
    let digits = String(task.number)
    let place = String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    let taskID = "task_\(jobID)_0001_\(kind)_\(place)"
    let attemptID = "attempt_\(jobID)_0001_\(kind)_\(place)_\(number)"
    let maps = String(task.isMap ? taskCount : 0)
    let input = job.stream ?? job.keyspace ?? "default"
    var variables = [
      "mapreduce_job_id": "job_\(jobID)_0001", "mapred_job_id": "job_\(jobID)_0001",
      "mapreduce_task_id": taskID, "mapred_tip_id": taskID,
      "mapreduce_task_attempt_id": attemptID, "mapred_task_id": attemptID,
      "mapreduce_task_partition": digits, "mapred_task_partition": digits,
      "mapreduce_task_ismap": String(task.isMap), "mapred_task_is_map": String(task.isMap),
      "mapreduce_job_reduces": String(job.reducerCount),
      "mapred_reduce_tasks": String(job.reducerCount),
      "mapreduce_map_input_file": input, "map_input_file": input,
    ]
    if task.isMap {
      variables["mapreduce_job_maps"] = maps
      variables["mapred_map_tasks"] = maps
    }
    return variables.merging(job.environment) { _, given in given }
  }

  /// Runs the program.
  ///
  /// - Parameter feed: gives it its records, on a thread of the runner's; what it throws ends the
  ///   job.
  /// - Parameter take: is given what it prints, on this thread; it returns why that cannot be
  ///   taken, and what it throws ends the job.
  /// - Returns: how the program failed; nil when it did well.
  func run(
    counters: CounterBox?,
    feed: @escaping @Sendable (RecordWriter) throws(JobStop) -> Void,
    take: (UnsafeRawBufferPointer) throws(JobStop) -> String?
  ) throws(JobStop) -> ProgramFailure? {
    let program = Program(
      command: command, environment: environment, directory: job.directory,
      limits: settings.limits,
      sandbox: job.isSandboxed ? Sandbox() : nil)
    let form = job.form
    let feedStop = Guarded<JobStop?>(nil)
    let isCancelled = isCancelled
    var refusal: String?
    var stop: JobStop?
    let result = runProgram(
      program,
      feed: { input in
        let writer = RecordWriter(input, form)
        do throws(JobStop) { try feed(writer) } catch { feedStop.withLock { $0 = error } }
      },
      receive: { bytes in
        do throws(JobStop) { refusal = try take(bytes) } catch { stop = error }
        return refusal == nil && stop == nil
      },
      report: { line in counters?.take(line) },
      isCancelled: { isCancelled() || feedStop.withLock { $0 != nil } })
    if let stop = stop ?? feedStop.withLock({ $0 }) { throw stop }
    if isCancelled() { throw .cancelled }
    guard let what = refusal.map({ "printed \($0)" }) ?? result.end.failure else { return nil }
    var failure = failure(what)
    failure.errorTail = result.errorTail
    if case .launchFailed = result.end { failure.isLaunch = true }
    return failure
  }

  /// Runs the program, and adds the records that it prints to a sink; on trial there is none, and
  /// they are only looked at.
  func run(
    counters: CounterBox?,
    feed: @escaping @Sendable (RecordWriter) throws(JobStop) -> Void, into sink: GroupSink?
  ) throws(JobStop) -> ProgramFailure? {
    var parser = LineParser(job.form)
    var objection: String?
    func add(_ key: RawSpan, _ value: RawSpan) {
      if let sink { return sink.add(key, value: value) }
      guard objection == nil else { return }
      objection = GroupSink.objection(
        keyByteCount: key.byteCount, valueByteCount: value.byteCount)
    }
    func parse(
      _ body: (inout LineParser) throws(PrintedFailure) -> Void
    ) throws(JobStop) -> String? {
      do throws(PrintedFailure) { try body(&parser) } catch { return error.words }
      if let objection { return "what cannot be taken: \(objection)" }
      guard let failure = sink?.failure else { return nil }
      if case .invalidArgument(let what) = failure { return "what cannot be taken: \(what)" }
      throw .store(failure)
    }
    let failure = try run(counters: counters, feed: feed) { (bytes) throws(JobStop) in
      try parse { (parser) throws(PrintedFailure) in
        try parser.feed(bytes.bytes) { add($0, $1) }
      }
    }
    if let failure { return failure }
    let what = try parse { (parser) throws(PrintedFailure) in
      try parser.finish { add($0, $1) }
    }
    return what.map { self.failure("printed \($0)") }
  }

  /// Says, piece by piece, why what is printed cannot be a result.
  struct ResultCheck {
    private var parser: LineParser
    private let needsKeys: Bool

    /// - Parameter needsKeys: whether an empty key is none.
    init(_ form: LineParser.Form, needsKeys: Bool) {
      parser = LineParser(form)
      self.needsKeys = needsKeys
    }

    /// - Parameter bytes: nil at the end.
    mutating func objection(to bytes: UnsafeRawBufferPointer?) -> String? {
      var objection: String?
      let needsKeys = needsKeys
      func look(_ key: RawSpan, _ rest: RawSpan) {
        guard objection == nil else { return }
        if needsKeys, key.byteCount == 0 { objection = "an empty key, which no keyspace can hold" }
        if let what = GroupSink.objection(
          keyByteCount: key.byteCount, valueByteCount: rest.byteCount)
        {
          objection = "what cannot be taken: \(what)"
        }
      }
      do throws(PrintedFailure) {
        if let bytes { try parser.feed(bytes.bytes, look) } else { try parser.finish(look) }
      } catch { return error.words }
      return objection
    }
  }

  func failure(_ what: String) -> ProgramFailure {
    ProgramFailure(task: "\(role.rawValue) of \(task)", what: what, errorTail: "")
  }
}

extension PrintedFailure {
  /// What was printed.
  fileprivate var words: String {
    switch self {
    case .tooLong(let count): "a record of more than \(count) bytes"
    case .cutOff(let count): "a frame that ends after \(count) bytes"
    }
  }
}

/// Counts what programs report, of one attempt.
final class CounterBox: Sendable {
  private let counters = Guarded<[String: Int]>([:])
  private let status: (@Sendable (String) -> Void)?

  init(status: (@Sendable (String) -> Void)?) { self.status = status }

  var values: [String: Int] { counters.withLock { $0 } }

  /// Takes `reporter:counter:GROUP,COUNTER,AMOUNT` and `reporter:status:TEXT`; other lines are
  /// nobody's.
  func take(_ line: String) {
    let counterPrefix = "reporter:counter:"
    let statusPrefix = "reporter:status:"
    if line.hasPrefix(counterPrefix) {
      let parts = line.dropFirst(counterPrefix.count).split(
        separator: ",", omittingEmptySubsequences: false)
      guard parts.count >= 3, let amount = Int(parts[parts.count - 1]) else { return }
      let name = parts.dropLast().joined(separator: ",")
      counters.withLock { $0[name, default: 0] &+= amount }
    } else if line.hasPrefix(statusPrefix) {
      status?(String(line.dropFirst(statusPrefix.count)))
    }
  }
}
