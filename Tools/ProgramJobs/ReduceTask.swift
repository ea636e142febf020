// ReduceTask — the groups of one partition through the reducer, and what it prints into a file.
//
// Room:    ProgramJobs.

import Turbidite
import TurbiditeEngine
import TurbiditePrograms
import TurbiditeSystem

/// Performs a reduce task.
struct ReduceTask: Sendable {
  let job: ProgramJob
  let task: TaskName
  let shuffle: Shuffle

  func run() throws(JobStop) -> FinishedTask {
    var done = FinishedTask()
    let loop = TaskLoop(
      attemptCount: job.settings.attemptCount, quarantine: job,
      recordCount: { () throws(JobStop) in try find(nil).count },
      name: { (index) throws(JobStop) in try find(index).name })
    let quarantined = try loop.run(task) { (number, selection, isTrial) throws(JobStop) in
      let counters = CounterBox(status: job.status)
      let (failure, groupCount) = try attempt(number, selection, isTrial ? nil : counters)
      if failure == nil, !isTrial {
        done.recordCount = groupCount
        done.counters = counters.values
        do throws(StoreError) {
          done.output = try OutputMark(of: job.directory.openFile(task.outputName))
        } catch { throw .store(error) }
      }
      return failure
    }
    done.quarantined = quarantined
    return done
  }

  /// - Parameter counters: nil on trial: nothing is kept then.
  private func attempt(
    _ number: Int, _ selection: RecordSelection, _ counters: CounterBox?
  ) throws(JobStop) -> (ProgramFailure?, groupCount: Int) {
    let output: OutputFile?
    do throws(StoreError) {
      output = counters == nil ? nil : OutputFile(try job.directory.makeFile(task.outputName))
    } catch { throw .store(error) }
    let groupCount = Guarded(0)
    guard job.definition.reduce != nil else {
      return (nil, try copy(to: output))
    }
    let attempt = TaskAttempt(
      job: job.definition, jobID: job.definition.id, settings: job.settings, task: task,
      role: .reducer, number: number, taskCount: 0, isCancelled: job.isCancelled)
    // What goes to a directory goes there as it was printed.
    var check: TaskAttempt.ResultCheck?
    switch job.definition.destination {
    case .directory: break
    case .keyspace: check = .init(job.definition.form, needsKeys: true)
    case .stream, .standardOutput: check = .init(job.definition.form, needsKeys: false)
    }
    var failure = try attempt.run(
      counters: counters,
      feed: { (writer) throws(JobStop) in
        let count = try writer.write(
          try reader(), selection, isCancelled: attempt.isCancelled)
        groupCount.withLock { $0 = count }
      },
      take: { (bytes) throws(JobStop) in
        do throws(StoreError) { try output?.append(bytes) } catch { throw .store(error) }
        return check?.objection(to: bytes)
      })
    if failure == nil, let what = check?.objection(to: nil) {
      failure = attempt.failure("printed \(what)")
    }
    if failure == nil {
      do throws(StoreError) { try output?.finish() } catch { throw .store(error) }
    }
    return (failure, groupCount.withLock { $0 })
  }

  private func reader() throws(JobStop) -> GroupReader {
    do throws(StoreError) { return try shuffle.reader(partition: task.number) } catch {
      throw .store(error)
    }
  }

  /// What was emitted, as it was, when there is no reducer.
  private func copy(to output: OutputFile?) throws(JobStop) -> Int {
    let reader = try reader()
    var count = 0
    do throws(StoreError) {
      while try reader.next() {
        count += 1
        if count & 0x3ff == 0, job.isCancelled() { throw .cancelled }
        try reader.withGroup { (key, _) throws(StoreError) in
          while try reader.nextValue() {
            try reader.withValue { rest -> StoreError? in
              output?.append(key, rest, job.definition.form)
            }.map { (failure) throws(StoreError) in throw failure }
          }
        }
      }
      try output?.finish()
    } catch { throw error == .cancelled ? .cancelled : .store(error) }
    return count
  }

  /// The groups, and what people call one of them.
  private func find(_ wanted: Int?) throws(JobStop) -> (count: Int, name: String) {
    let reader = try reader()
    var count = 0
    var name = ""
    do throws(StoreError) {
      while try reader.next() {
        if count == wanted {
          name = try reader.withGroup { (key, _) throws(StoreError) in
            "key \(Bytes(copying: key))"
          }
          break
        }
        count += 1
      }
    } catch { throw .store(error) }
    return (count, name)
  }
}

/// A file that is written from its beginning to its end.
final class OutputFile {
  private let file: any File
  private var offset: UInt64 = 0
  private var bytes: [UInt8] = []

  private static let bufferByteCount = 256 << 10

  init(_ file: any File) { self.file = file }

  func append(_ piece: UnsafeRawBufferPointer) throws(StoreError) {
    bytes.append(contentsOf: piece)
    if bytes.count >= Self.bufferByteCount { try flush() }
  }

  /// Appends a record.
  ///
  /// - Returns: why that failed.
  func append(_ key: RawSpan, _ rest: RawSpan, _ form: LineParser.Form) -> StoreError? {
    bytes.append(key, rest, as: form)
    guard bytes.count >= Self.bufferByteCount else { return nil }
    do throws(StoreError) {
      try flush()
      return nil
    } catch { return error }
  }

  /// Writes what is left, and makes the whole durable.
  func finish() throws(StoreError) {
    try flush()
    try file.syncBytes()
  }

  private func flush() throws(StoreError) {
    guard !bytes.isEmpty else { return }
    let failure = Bytes.lending(bytes) { span -> StoreError? in
      do throws(SystemError) {
        try file.write(span, at: offset)
        return nil
      } catch { return StoreError(error) }
    }
    if let failure { throw failure }
    offset += UInt64(bytes.count)
    bytes.removeAll(keepingCapacity: true)
  }
}
