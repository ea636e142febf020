// ProgramJob — a job of other people's programs, from its input to its results.
//
// Room:    ProgramJobs.
// Limits:  Needs room for a second set of links to the store's tables, and for all that is emitted.

import Synchronization
import Turbidite
import TurbiditeEngine
import TurbiditePrograms
import TurbiditeSystem

/// How far a job of programs is.
package struct ProgramJobProgress: Sendable, Hashable {
  package var isMapping: Bool
  package var finishedCount: Int
  package var taskCount: Int
}

/// What a job of programs did.
package struct ProgramJobSummary: Sendable {
  /// The job's directory, where it stays for the sake of ``quarantined``.
  package var id: String
  package var splitCount = 0
  /// Tasks that had been finished before the job was begun again.
  package var resumedCount = 0
  package var recordCount = 0
  package var counters: [String: Int] = [:]
  package var quarantined: [QuarantinedRecord] = []
  /// Whether the results had come out before, and only what the job had kept was to be removed.
  package var wasDone = false
  /// Where the list of records that were set aside is.
  package var quarantinePath: String?
}

/// Runs jobs of programs over one store.
package final class ProgramJob: Sendable {
  let definition: JobDefinition
  let settings: JobSettings
  let directory: JobDirectory
  let isCancelled: @Sendable () -> Bool
  private let tell: @Sendable (ProgramJobProgress) -> Void
  private let quarantinedCount = Atomic<Int>(0)
  let status: (@Sendable (String) -> Void)?

  /// Takes up a job, which may have been begun before.
  ///
  /// - Parameter jobs: the directory of the jobs of the store.
  package init(
    _ definition: JobDefinition, settings: JobSettings, jobs: String,
    isCancelled: @escaping @Sendable () -> Bool,
    status: (@Sendable (String) -> Void)? = nil,
    progress: @escaping @Sendable (ProgramJobProgress) -> Void
  ) throws(JobStop) {
    self.definition = definition
    self.settings = settings
    self.isCancelled = isCancelled
    self.status = status
    tell = progress
    directory = try JobDirectory(definition.id, below: jobs)
  }

  /// Whether a part of the job was done before.
  package var wasBegun: Bool {
    get throws(JobStop) {
      do throws(StoreError) {
        guard try directory.definition() != nil else { return false }
        return try directory.hasInput
      } catch { throw .store(error) }
    }
  }

  /// Forgets what was done before.
  package func reset() throws(JobStop) {
    do throws(StoreError) { try directory.clear(keeping: []) } catch { throw .store(error) }
  }

  /// Runs the job to its results.
  ///
  /// - Parameter path: the store's directory.
  /// - Parameter store: the store, open for writing, if the results go there.
  /// - Parameter print: takes the results that go to standard output.
  /// - Parameter flush: makes sure that all that was printed is where it is to go: only then does
  ///   the job forget what it has done.
  package func run(
    storeAt path: String, openAs store: Store?,
    print: (_ key: RawSpan, _ rest: RawSpan) throws -> Void, flush: () throws -> Void
  ) throws -> ProgramJobSummary {
    let results = JobResults(self)
    if let summary = try prepare(results, store, at: path) { return summary }
    do throws(StoreError) {
      try directory.write(definition)
      if try !directory.hasInput {
        try jobCheckpoint(
          storeAt: path, openAs: store, into: JobDirectory.inputName, of: directory.fileSystem)
      }
    } catch { throw JobStop.store(error) }
    let input: Store
    do throws(StoreError) {
      input = try Store.Blocking.open(at: directory.inputPath, mode: .readOnly)
    } catch { throw JobStop.store(error) }
    var summary = try runTasks(input)
    do throws(StoreError) { try input.blocking.close() } catch { throw JobStop.store(error) }
    try results.publish(into: store, print: print)
    try flush()
    try finish(&summary)
    return summary
  }

  /// Looks whether the job can be done, before any work is.
  ///
  /// - Returns: what to say of a job that was killed when it was done and cleared up.
  private func prepare(
    _ results: JobResults, _ store: Store?, at path: String
  ) throws(JobStop) -> ProgramJobSummary? {
    do throws(StoreError) {
      let wasBegun = try directory.definition() != nil
      if try results.areOut(in: store) {
        if wasBegun { return nil }
        var summary = ProgramJobSummary(id: definition.id)
        summary.wasDone = true
        try clearUp(&summary)
        return summary
      }
      // What a killed removal has left is no part of this job.
      if !wasBegun { try directory.clear(keeping: []) }
      do throws(StoreError) {
        guard try results.haveNoPlace(in: store, at: path) else { return nil }
      } catch {
        if !wasBegun { try directory.removeAll() }
        throw error
      }
      if !wasBegun { try directory.removeAll() }
    } catch { throw .store(error) }
    throw .taken("what the results are to go to is there already")
  }

  private func runTasks(_ store: Store) throws(JobStop) -> ProgramJobSummary {
    let parts: JobInput
    do throws(StoreError) {
      let source: JobSource
      do throws(StoreError) { source = try definition.source(in: store) } catch {
        // Kept, the job would not see what it reads when that is made later.
        try directory.removeAll()
        throw error
      }
      var cuts = try directory.cuts()
      if cuts == nil {
        let fresh = try source.cuts(in: store, partByteCount: definition.splitByteCount)
        try directory.write(cuts: fresh)
        cuts = fresh
      }
      parts = try source.input(of: store, cutAt: cuts ?? [])
    } catch { throw .store(error) }
    var summary = ProgramJobSummary(id: definition.id)
    summary.splitCount = parts.partCount
    let mapped = try runAll(
      isMap: true, count: parts.partCount, &summary
    ) { (task, work) throws(JobStop) in
      try MapTask(job: self, task: task, input: parts, workerCount: work).run()
    }
    let shuffle = try makeShuffle(mapped)
    _ = try runAll(
      isMap: false, count: definition.reducerCount, &summary
    ) { (task, _) throws(JobStop) in
      try ReduceTask(job: self, task: task, shuffle: shuffle).run()
    }
    return summary
  }

  /// Performs the tasks that are not finished, several at once.
  private func runAll(
    isMap: Bool, count: Int, _ summary: inout ProgramJobSummary,
    _ perform: @escaping @Sendable (TaskName, Int) throws(JobStop) -> FinishedTask
  ) throws(JobStop) -> [FinishedTask] {
    var finished = [FinishedTask?](repeating: nil, count: count)
    do throws(StoreError) {
      for number in 0..<count {
        finished[number] = try directory.finished(TaskName(isMap: isMap, number: number))
        if finished[number] != nil { summary.resumedCount += 1 }
      }
    } catch { throw .store(error) }
    quarantinedCount.add(
      finished.reduce(0) { $0 + ($1?.quarantined.count ?? 0) }, ordering: .relaxed)
    let open = finished.indices.filter { finished[$0] == nil }
    let results = Guarded(finished)
    let stop = Guarded<JobStop?>(nil)
    let cancel = CancelFlag()
    let workerCount = max(1, min(settings.workerCount, open.count))
    tell(
      ProgramJobProgress(
        isMapping: isMap, finishedCount: count - open.count, taskCount: count))
    do throws(StoreError) {
      try ParallelRun(partCount: open.count, workerCount: workerCount, cancel: cancel).run {
        (_, next) throws(StoreError) in
        while !self.isCancelled(), let index = next() {
          let task = TaskName(isMap: isMap, number: open[index])
          do throws(JobStop) {
            let done = try perform(task, workerCount)
            do throws(StoreError) { try self.directory.write(done, of: task) } catch {
              throw JobStop.store(error)
            }
            let doneCount = results.withLock { results -> Int in
              results[task.number] = done
              return results.count { $0 != nil }
            }
            self.tell(
              ProgramJobProgress(isMapping: isMap, finishedCount: doneCount, taskCount: count))
          } catch {
            stop.withLock { if $0 == nil { $0 = error } }
            throw .cancelled
          }
        }
      }
    } catch {
      if let stop = stop.withLock({ $0 }) { throw stop }
      throw .store(error)
    }
    if isCancelled() { throw .cancelled }
    let all = results.withLock { $0.compactMap { $0 } }
    for task in all {
      if isMap { summary.recordCount += task.recordCount }
      summary.counters.merge(task.counters) { $0 &+ $1 }
      summary.quarantined += task.quarantined
    }
    return all
  }

  /// The runs of all map tasks.
  private func makeShuffle(_ mapped: [FinishedTask]) throws(JobStop) -> Shuffle {
    let shuffle = self.shuffle(partitionCount: definition.reducerCount)
    do throws(StoreError) {
      for run in mapped.flatMap(\.runs) {
        let file = try directory.openFile(TaskName.runName(run.number))
        try shuffle.add(run, in: RunFile(file: file, number: run.number))
      }
      try shuffle.settle()
    } catch { throw .store(error) }
    return shuffle
  }

  /// The number of files that merges have made, whose names are gone at once.
  private let mergeCount = Atomic<UInt64>(1 << 40)

  func shuffle(partitionCount: Int) -> Shuffle {
    Shuffle(
      .values,
      limits: ShuffleLimits(
        partitionCount: partitionCount, sinkCount: 1, memoryByteCount: settings.memoryByteCount),
      disk: RunDisk(store: JobStore.id) { () throws(StoreError) -> RunFile in
        let number = self.mergeCount.add(1, ordering: .relaxed).newValue
        let name = TaskName.runName(number)
        let file = try self.directory.makeFile(name)
        try self.directory.remove(name)
        return RunFile(file: file, number: number)
      })
  }

  /// Keeps what must be kept of a job that is done.
  private func finish(_ summary: inout ProgramJobSummary) throws(JobStop) {
    do throws(StoreError) {
      if !summary.quarantined.isEmpty {
        try TextFile.write(
          summary.quarantined.map { ("\($0.task) record \($0.index) \($0.name)", $0.reason) },
          to: JobDirectory.quarantineName, in: directory.fileSystem)
        try TextFile.write(
          definition.fields, to: JobDirectory.finishedName, in: directory.fileSystem)
      }
      try clearUp(&summary)
    } catch { throw .store(error) }
  }

  /// Removes what is not kept of a job whose results are out.
  private func clearUp(_ summary: inout ProgramJobSummary) throws(StoreError) {
    guard try directory.hasFinished else { return try directory.removeAll() }
    let name = JobDirectory.quarantineName
    try directory.clear(keeping: [JobDirectory.finishedName, name])
    summary.quarantinePath = "\(directory.path)/\(name)"
  }
}

extension ProgramJob: Quarantine {
  func admit() -> Bool {
    var count = quarantinedCount.load(ordering: .relaxed)
    while count < settings.quarantineLimit {
      let (isDone, seen) = quarantinedCount.compareExchange(
        expected: count, desired: count + 1, ordering: .relaxed)
      if isDone { return true }
      count = seen
    }
    return false
  }
}

/// The identity of runs: they belong to no store.
enum JobStore {
  static let id = StoreID(high: 0x7475_7262_6964_6974, low: 0x652d_6a6f_6273_2e31)
}
