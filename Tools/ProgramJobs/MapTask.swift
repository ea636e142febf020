// MapTask — one part of the input through the mapper, and what it prints into sorted runs.
//
// Room:    ProgramJobs.

import Turbidite
import TurbiditeEngine
import TurbiditePrograms
import TurbiditeSystem

/// Performs a map task.
struct MapTask: Sendable {
  let job: ProgramJob
  let task: TaskName
  let input: JobInput
  /// Tasks at once, which share the memory.
  let workerCount: Int

  /// Numbers of runs of one task.
  private static let runLimit: UInt64 = 1 << 20

  func run() throws(JobStop) -> FinishedTask {
    var done = FinishedTask()
    let loop = TaskLoop(
      attemptCount: job.settings.attemptCount, quarantine: job,
      recordCount: { () throws(JobStop) in try count() },
      name: { (index) throws(JobStop) in try name(of: index) })
    do throws(JobStop) {
      done.quarantined = try loop.run(task) { (number, selection, isTrial) throws(JobStop) in
        let (failure, finished) = try attempt(number, selection, isTrial: isTrial)
        if failure == nil, !isTrial { done = finished }
        return failure
      }
    } catch {
      // Nobody comes back for them, and they may be why the disk is full.
      do throws(StoreError) { try removeRuns() } catch _ {}
      throw error
    }
    return done
  }

  private func removeRuns() throws(StoreError) {
    let first = UInt64(task.number) * MapTask.runLimit + 1
    let names = try job.directory.names().filter { name in
      guard name.hasSuffix(".run"), let number = UInt64(name.dropLast(4)) else { return false }
      return first..<first + MapTask.runLimit ~= number
    }
    for name in names { try job.directory.remove(name) }
  }

  private func attempt(
    _ number: Int, _ selection: RecordSelection, isTrial: Bool
  ) throws(JobStop) -> (ProgramFailure?, FinishedTask) {
    let combining = Guarded<JobStop?>(nil)
    let counters = CounterBox(status: job.status)
    let runs = TaskRuns(
      split: task.number, partitionCount: job.definition.reducerCount,
      tableByteCount: max(1 << 20, job.settings.memoryByteCount / 2 / workerCount),
      disk: disk(isKept: !isTrial), combine: combiner(number, isTrial ? nil : counters, combining))
    let sink: GroupSink
    do throws(StoreError) { sink = try runs.makeSink() } catch { throw .store(error) }
    let read = Guarded(0)
    var failure: ProgramFailure?
    do throws(JobStop) {
      if job.definition.map == nil {
        try feed(selection, read) { key, value in
          if job.definition.takesValuesOnly {
            addLines(value, to: sink)
          } else if job.definition.form == .frames {
            sink.add(key, value: value)
          } else {
            Bytes.lending([0x09] + Bytes(copying: value).array) { sink.add(key, value: $0) }
          }
          return sink.failure == nil
        }
        if let failure = sink.failure { throw .store(failure) }
      } else {
        failure = try attempt(.mapper, number).run(
          counters: isTrial ? nil : counters,
          feed: { (writer) throws(JobStop) in
            try self.feed(selection, read) { key, value in
              // A line that is all value is all key to who takes it apart again.
              !self.job.definition.takesValuesOnly
                ? writer.writeRecord(key, value)
                : self.job.definition.form == .frames
                  ? writer.write(RawSpan(), value) : writer.write(value, RawSpan())
            }
          }, into: sink)
      }
      if failure == nil {
        do throws(StoreError) { try sink.finish() } catch { throw .store(error) }
      }
    } catch {
      // A combiner that failed is why the sink did.
      guard let stop = combining.withLock({ $0 }) else { throw error }
      guard case .program(let what) = stop else { throw stop }
      failure = what
    }
    var done = FinishedTask()
    done.runs = runs.runs
    done.recordCount = read.withLock { $0 }
    done.counters = counters.values
    return (failure, done)
  }

  /// Adds a value as a mapper would that prints what it reads.
  private func addLines(_ value: RawSpan, to sink: GroupSink) {
    if job.definition.form == .frames { return sink.add(RawSpan(), value: value) }
    var start = 0
    while start <= value.byteCount {
      let rest = value.extracting(start...)
      let line = rest.extracting(..<(rest.firstIndex(of: 0x0a) ?? rest.byteCount))
      let end = line.firstIndex(of: 0x09) ?? line.byteCount
      sink.add(line.extracting(..<end), value: line.extracting(end...))
      start += line.byteCount + 1
    }
  }

  private func attempt(_ role: ProgramRole, _ number: Int) -> TaskAttempt {
    TaskAttempt(
      job: job.definition, jobID: job.definition.id, settings: job.settings, task: task,
      role: role, number: number, taskCount: input.partCount, isCancelled: job.isCancelled)
  }

  /// Gives the records that are selected to `body`, until it returns false.
  private func feed(
    _ selection: RecordSelection, _ read: Guarded<Int>, _ body: (RawSpan, RawSpan) -> Bool
  ) throws(JobStop) {
    let valuesOnly = job.definition.takesValuesOnly
    let isLines = job.definition.form == .lines
    var index = 0
    var stop: JobStop?
    do throws(StoreError) {
      try input.forEach(part: task.number) { record in
        if index >= selection.range.upperBound { return false }
        defer { index += 1 }
        guard selection.contains(index) else { return true }
        if index & 0xff == 0, job.isCancelled() {
          stop = .cancelled
          return false
        }
        if isLines, let what = objection(to: record, valuesOnly) {
          stop = .badRecord(
            "\(what) in the record with key \(Bytes(copying: record.key)), which a line cannot hold"
          )
          return false
        }
        return body(record.key, record.value)
      }
    } catch { throw .store(error) }
    if let stop { throw stop }
    read.withLock { $0 = index }
  }

  /// Without keys the input is text, and a value may be several lines of it.
  private func objection(to record: JobRecord, _ valuesOnly: Bool) -> String? {
    if valuesOnly { return nil }
    if FieldScan.contains(record.key, 0x0a) { return "there is a newline in the key" }
    if FieldScan.contains(record.key, 0x09) { return "there is a tab in the key" }
    return FieldScan.contains(record.value, 0x0a) ? "there is a newline in the value" : nil
  }

  private func count() throws(JobStop) -> Int {
    var count = 0
    do throws(StoreError) {
      try input.forEach(part: task.number) { _ in
        count += 1
        return true
      }
    } catch { throw .store(error) }
    return count
  }

  private func name(of wanted: Int) throws(JobStop) -> String {
    var index = 0
    var name = ""
    var failure: StoreError?
    do throws(StoreError) {
      try input.forEach(part: task.number) { record in
        defer { index += 1 }
        guard index == wanted else { return true }
        do throws(StoreError) {
          if let event = try record.event() {
            name = "partition \(event.position.partition) offset \(event.position.offset)"
          } else {
            name = "key \(Bytes(copying: record.key))"
          }
        } catch { failure = error }
        return false
      }
    } catch { failure = error }
    if let failure { throw .store(failure) }
    return name
  }

  /// Where the task's runs go: files with names, which the next attempt replaces, or on trial
  /// without.
  private func disk(isKept: Bool) -> RunDisk {
    let count = Guarded<UInt64>(0)
    let first = UInt64(task.number) * MapTask.runLimit + 1
    let directory = job.directory
    return RunDisk(store: JobStore.id) { () throws(StoreError) -> RunFile in
      let number = count.withLock { count -> UInt64 in
        defer { count += 1 }
        return first + count
      }
      guard number < first + MapTask.runLimit else {
        throw .resourceExhausted("a map task has more than \(MapTask.runLimit) runs")
      }
      let file = try directory.makeFile(TaskName.runName(number))
      if !isKept { try directory.remove(TaskName.runName(number)) }
      return RunFile(file: file, number: number)
    }
  }

  /// Has the combiner go over what is grouped before it is written.
  private func combiner(
    _ number: Int, _ counters: CounterBox?, _ stop: Guarded<JobStop?>
  ) -> Combine? {
    guard job.definition.combine != nil else { return nil }
    let attempt = attempt(.combiner, number)
    return { (reader, sink) throws(StoreError) in
      let lent = LentReader(reader)
      do throws(JobStop) {
        let failure = try attempt.run(
          counters: counters,
          feed: { (writer) throws(JobStop) in
            _ = try writer.write(lent.reader, .all, isCancelled: attempt.isCancelled)
          }, into: sink)
        if let failure { throw .program(failure) }
      } catch {
        stop.withLock { if $0 == nil { $0 = error } }
        throw .cancelled
      }
    }
  }
}

/// A reader on its way to the thread that feeds a program.
///
/// Safe to share: who lends it waits until that thread is done with it.
private final class LentReader: @unchecked Sendable {
  let reader: GroupReader

  init(_ reader: GroupReader) { self.reader = reader }
}
