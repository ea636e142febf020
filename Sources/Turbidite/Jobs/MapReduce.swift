// MapReduce — a job from its input to its results.
//
// Room:    Turbidite/Jobs.
// Source:  Dean and Ghemawat, MapReduce, OSDI 2004, section 3, in one process.

internal import Synchronization
internal import TurbiditeEngine
internal import TurbiditeSystem

/// A map of the caller's.
public typealias JobMap<Value: JobValue> = @Sendable (JobRecord, Emitter<Value>) throws -> Void

/// One job.
struct MapReduce<Value: JobValue, Output: Sendable>: Sendable {
  let store: Store
  let input: JobInput
  let options: JobOptions
  let cancel: CancelFlag
  let map: JobMap<Value>
  let reducer: Reducer<Value, Output>
  private let progress: ProgressMeter
  /// Set when the job is cancelled, or a worker has failed.
  private let stop: CancelFlag

  init(
    store: Store, source: JobSource, options: JobOptions, cancel: CancelFlag,
    map: @escaping JobMap<Value>, reducer: Reducer<Value, Output>
  ) throws(StoreError) {
    self.store = store
    input = try source.input(of: store, options)
    self.options = options
    self.cancel = cancel
    stop = CancelFlag(under: cancel)
    self.map = map
    self.reducer = reducer
    progress = ProgressMeter(store.engine.clock, options.progress)
  }

  /// Runs the job, and returns its results in the order of their keys.
  func results() throws(StoreError) -> JobResult<Output> {
    typealias Element = JobResult<Output>.Element
    let parts = Guarded<[Int: [Element]]>([:])
    let summary = try run(isSerial: false) { (part, reader) throws(StoreError) in
      var elements: [Element] = []
      try reduce(reader) { key, output in
        elements.append(Element(key: Bytes(copying: key), value: output))
      }
      parts.withLock { $0[part] = elements }
    }
    let sorted = parts.withLock { $0 }.sorted { $0.key < $1.key }
    var elements: [Element] = []
    elements.reserveCapacity(summary.groupCount)
    for part in sorted { elements += part.value }
    return JobResult(elements: elements, summary: summary)
  }

  /// Runs the job, and writes its results.
  func write(to target: JobTarget) throws(StoreError) -> JobSummary where Output: JobText {
    let output = try target.open(in: store)
    do throws(StoreError) {
      let summary = try run(isSerial: output.isSerial) { (part, reader) throws(StoreError) in
        let writer = output.makeWriter(part: part)
        try reduce(reader) { (key, result) throws(StoreError) in
          try writer.add(key, result.jobText)
        }
        try writer.finish()
      }
      try output.publish()
      return summary
    } catch {
      // What failed first is what counts: the same trouble may be in the way of clearing up.
      do throws(StoreError) { try output.discard() } catch _ {}
      throw error
    }
  }

  // MARK: - Both stages

  /// Bytes of groups in a part that is reduced at a time.
  private static var partByteCount: Int { 2 << 20 }

  /// - Parameter isSerial: whether the groups must be reduced in their order, by one worker.
  private func run(
    isSerial: Bool,
    _ body: @escaping @Sendable (Int, GroupReader) throws(StoreError) -> Void
  ) throws(StoreError) -> JobSummary {
    let temporary = options.temporaryDirectory
    let shuffle = Shuffle(
      reducer.fold,
      limits: ShuffleLimits(
        partitionCount: 1, sinkCount: min(options.workers, input.partCount),
        memoryByteCount: options.memoryByteCount, readerCount: isSerial ? 1 : options.workers),
      disk: store.engine.runDisk { () throws(StoreError) -> any FileSystem in
        try rootDirectory(temporary ?? "/var/tmp")
      }, isStopped: { [stop] in stop.isSet })
    var summary = try mapStage(shuffle)
    try shuffle.settle()
    let parts = shuffle.parts(
      byteCount: isSerial ? .max : Self.partByteCount, atLeast: isSerial ? 1 : options.workers)
    let groupCount = Atomic<Int>(0)
    progress.begin(.reduce, partCount: parts.count)
    try ParallelRun(
      partCount: parts.count, workerCount: options.workers, cancel: cancel, stop: stop,
      inOrder: true
    ).run { (_, next) throws(StoreError) in
      while let part = next() {
        let reader = try parts.reader(part)
        try body(part, reader)
        groupCount.add(reader.groupCount, ordering: .relaxed)
        progress.partEnded(records: 0)
      }
    }
    summary.groupCount = groupCount.load(ordering: .relaxed)
    summary.spilledByteCount = shuffle.spilledByteCount
    progress.end()
    return summary
  }

  private func mapStage(_ shuffle: Shuffle) throws(StoreError) -> JobSummary {
    var summary = JobSummary()
    summary.splitCount = input.partCount
    let totals = Guarded(summary)
    progress.begin(.map, partCount: input.partCount)
    try ParallelRun(
      partCount: input.partCount, workerCount: options.workers, cancel: cancel, stop: stop
    ).run { (_, next) throws(StoreError) in
      let sink = JobSink(try shuffle.makeSink())
      var recordCount = 0
      while let part = next() {
        try sink.groups.begin(split: part)
        let count = try mapPart(part, sink)
        recordCount += count
        progress.partEnded(records: count)
      }
      try sink.groups.finish()
      totals.withLock { summary in
        summary.recordCount += recordCount
        summary.valueCount += Int(sink.groups.valueCount)
        summary.counters.merge(sink.counters) { $0 &+ $1 }
      }
    }
    return totals.withLock { $0 }
  }

  /// - Returns: the records of the part.
  private func mapPart(_ part: Int, _ sink: JobSink) throws(StoreError) -> Int {
    let emitter = Emitter<Value>(sink: sink)
    var failure: StoreError?
    var count = 0
    try input.forEach(part: part) { record in
      count &+= 1
      do {
        try map(record, emitter)
      } catch {
        failure = userFailure(error, "the map", at: record.key)
        return false
      }
      if sink.groups.failure != nil { return false }
      return count & 0xff != 0 || !stop.isSet
    }
    if let failure = failure ?? sink.groups.failure { throw failure }
    return count
  }

  private func reduce(
    _ reader: GroupReader, _ body: (RawSpan, Output) throws(StoreError) -> Void
  ) throws(StoreError) {
    while try reader.next() {
      if reader.groupCount & 0xff == 0, stop.isSet { throw .cancelled }
      try reader.withGroup { (key, state) throws(StoreError) in
        let output: Output
        do {
          output = try reducer.finish(key, state, reader)
        } catch {
          throw userFailure(error, "the reducer", at: key)
        }
        try body(key, output)
      }
    }
  }
}

/// What the caller's code threw, and where.
func userFailure(_ error: any Error, _ who: String, at key: RawSpan) -> StoreError {
  if let error = error as? StoreError { return error }
  return .userCode("\(who) threw at key \(Bytes(copying: key)): \(error)")
}

/// Tells the caller how far a job is, at most ten times a second.
final class ProgressMeter: Sendable {
  private struct State {
    var progress = JobProgress(stage: .map, finishedCount: 0, partCount: 0, recordCount: 0)
    var lastNanoseconds: UInt64 = 0
    var isTelling = false
  }

  private let clock: any TimeSource
  private let tell: (@Sendable (JobProgress) -> Void)?
  private let state = Guarded(State())

  private static let intervalNanoseconds: UInt64 = 100_000_000

  init(_ clock: any TimeSource, _ tell: (@Sendable (JobProgress) -> Void)?) {
    self.clock = clock
    self.tell = tell
  }

  func begin(_ stage: JobProgress.Stage, partCount: Int) {
    state.withLock { state in
      state.progress.stage = stage
      state.progress.finishedCount = 0
      state.progress.partCount = partCount
    }
  }

  func partEnded(records: Int) {
    guard let tell else { return }
    let now = clock.monotonicNanoseconds()
    let due = state.withLock { state -> JobProgress? in
      state.progress.finishedCount += 1
      state.progress.recordCount += records
      guard !state.isTelling, now >= state.lastNanoseconds + Self.intervalNanoseconds else {
        return nil
      }
      state.isTelling = true
      state.lastNanoseconds = now
      return state.progress
    }
    guard let due else { return }
    tell(due)
    state.withLock { $0.isTelling = false }
  }

  /// By the thread that is the only one left.
  func end() { tell?(state.withLock { $0.progress }) }
}
