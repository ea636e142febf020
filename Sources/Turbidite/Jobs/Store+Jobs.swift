// Store+Jobs — map/reduce and parallel scans, for tasks and for threads.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine
internal import TurbiditeSystem

extension Store.Blocking {
  /// Maps every record of a source, and reduces what was emitted by key; returns the results in the
  /// order of their keys, in memory.
  ///
  /// The whole job sees one moment of the store. The results do not depend on how many workers,
  /// splits or shards there are, nor on the memory, as long as the map gives the same for the same
  /// record and the reducer keeps its promise (see ``Reducer``). The map and the reducer are called
  /// by several threads at once, the caller's among them; this blocks until all is done.
  ///
  /// - Throws: `userCode` when the map or the reducer throws, unless that was a `StoreError`;
  ///   `cancelled`; what reading the store throws; `outOfSpace` when there is no room for what
  ///   exceeds the memory. Nothing is left behind.
  public func mapReduce<Value: JobValue, Output>(
    over source: JobSource, options: JobOptions = JobOptions(), map: @escaping JobMap<Value>,
    reduce reducer: Reducer<Value, Output>
  ) throws(StoreError) -> JobResult<Output> {
    try mapReduce(over: source, options, CancelFlag(), map, reducer)
  }

  /// Maps every record of a source, reduces what was emitted by key, and writes the results to a
  /// keyspace, a stream or a file, whole or not at all.
  ///
  /// For the rest as the form that returns results.
  @discardableResult
  public func mapReduce<Value: JobValue, Output: JobText>(
    over source: JobSource, into target: JobTarget, options: JobOptions = JobOptions(),
    map: @escaping JobMap<Value>, reduce reducer: Reducer<Value, Output>
  ) throws(StoreError) -> JobSummary {
    try mapReduce(over: source, into: target, options, CancelFlag(), map, reducer)
  }

  /// Calls `body` with every record of a source, on several threads at once.
  ///
  /// - Returns: the number of records.
  @discardableResult
  public func forEachParallel(
    over source: JobSource, options: JobOptions = JobOptions(),
    _ body: @escaping @Sendable (JobRecord) throws -> Void
  ) throws(StoreError) -> Int {
    try fold(
      over: source, options, CancelFlag(), 0,
      {
        try body($1); $0 += 1
      }, { $0 += $1 })
  }

  /// The number of records of a source for which `isCounted` holds; it is called on several threads
  /// at once.
  public func count(
    over source: JobSource, options: JobOptions = JobOptions(),
    where isCounted: @escaping @Sendable (JobRecord) throws -> Bool = { _ in true }
  ) throws(StoreError) -> Int {
    try fold(
      over: source, options, CancelFlag(), 0, { if try isCounted($1) { $0 += 1 } }, { $0 += $1 })
  }

  /// Adds every record of a source to a state.
  ///
  /// Parts of the source are added to states that begin as `initial`, on several threads at once;
  /// the states of the parts are then merged in the order of the source. So that the result is the
  /// same for any parts, merging with `initial` must change nothing.
  public func reduce<State: Sendable>(
    over source: JobSource, into initial: State, options: JobOptions = JobOptions(),
    _ add: @escaping @Sendable (inout State, JobRecord) throws -> Void,
    merge: @escaping @Sendable (inout State, State) throws -> Void
  ) throws(StoreError) -> State {
    try fold(over: source, options, CancelFlag(), initial, add, merge)
  }

  // MARK: - With a flag that ends them

  func mapReduce<Value: JobValue, Output>(
    over source: JobSource, _ options: JobOptions, _ cancel: CancelFlag,
    _ map: @escaping JobMap<Value>, _ reducer: Reducer<Value, Output>
  ) throws(StoreError) -> JobResult<Output> {
    try MapReduce(
      store: store, source: source, options: options, cancel: cancel, map: map, reducer: reducer
    ).results()
  }

  func mapReduce<Value: JobValue, Output: JobText>(
    over source: JobSource, into target: JobTarget, _ options: JobOptions, _ cancel: CancelFlag,
    _ map: @escaping JobMap<Value>, _ reducer: Reducer<Value, Output>
  ) throws(StoreError) -> JobSummary {
    try MapReduce(
      store: store, source: source, options: options, cancel: cancel, map: map, reducer: reducer
    ).write(to: target)
  }

  func fold<State: Sendable>(
    over source: JobSource, _ options: JobOptions, _ cancel: CancelFlag, _ initial: State,
    _ add: @escaping @Sendable (inout State, JobRecord) throws -> Void,
    _ merge: (inout State, State) throws -> Void
  ) throws(StoreError) -> State {
    let input = try source.input(of: store, options)
    let states = Guarded([State?](repeating: nil, count: input.partCount))
    let progress = ProgressMeter(store.engine.clock, options.progress)
    progress.begin(.map, partCount: input.partCount)
    let stop = CancelFlag(under: cancel)
    try ParallelRun(
      partCount: input.partCount, workerCount: options.workers, cancel: cancel, stop: stop
    ).run {
      (_, next) throws(StoreError) in
      while let part = next() {
        var state = initial
        var failure: StoreError?
        var count = 0
        try input.forEach(part: part) { record in
          count &+= 1
          do { try add(&state, record) } catch {
            failure = userFailure(error, "the function", at: record.key)
            return false
          }
          return count & 0xff != 0 || !stop.isSet
        }
        if let failure { throw failure }
        states.withLock { $0[part] = state }
        progress.partEnded(records: count)
      }
    }
    progress.end()
    var parts = states.withLock { $0 }.compactMap { $0 }[...]
    var result = parts.popFirst() ?? initial
    for state in parts {
      do { try merge(&result, state) } catch {
        throw userFailure(error, "the merge", at: RawSpan())
      }
    }
    return result
  }
}

extension Store {
  /// Maps every record of a source, and reduces what was emitted by key; see
  /// ``Blocking/mapReduce(over:options:map:reduce:)``.
  ///
  /// A task that is cancelled ends the job with ``StoreError/cancelled`` within some hundred
  /// records.
  public func mapReduce<Value: JobValue, Output>(
    over source: JobSource, options: JobOptions = JobOptions(), map: @escaping JobMap<Value>,
    reduce reducer: Reducer<Value, Output>
  ) async throws(StoreError) -> JobResult<Output> {
    try await job { (blocking, cancel) throws(StoreError) in
      try blocking.mapReduce(over: source, options, cancel, map, reducer)
    }
  }

  /// Maps every record of a source, reduces what was emitted by key, and writes the results; see
  /// ``Blocking/mapReduce(over:into:options:map:reduce:)``.
  @discardableResult
  public func mapReduce<Value: JobValue, Output: JobText>(
    over source: JobSource, into target: JobTarget, options: JobOptions = JobOptions(),
    map: @escaping JobMap<Value>, reduce reducer: Reducer<Value, Output>
  ) async throws(StoreError) -> JobSummary {
    try await job { (blocking, cancel) throws(StoreError) in
      try blocking.mapReduce(over: source, into: target, options, cancel, map, reducer)
    }
  }

  /// Calls `body` with every record of a source, on several threads at once.
  ///
  /// - Returns: the number of records.
  @discardableResult
  public func forEachParallel(
    over source: JobSource, options: JobOptions = JobOptions(),
    _ body: @escaping @Sendable (JobRecord) throws -> Void
  ) async throws(StoreError) -> Int {
    try await job { (blocking, cancel) throws(StoreError) in
      try blocking.fold(
        over: source, options, cancel, 0,
        {
          try body($1); $0 += 1
        }, { $0 += $1 })
    }
  }

  /// The number of records of a source for which `isCounted` holds; it is called on several threads
  /// at once.
  public func count(
    over source: JobSource, options: JobOptions = JobOptions(),
    where isCounted: @escaping @Sendable (JobRecord) throws -> Bool = { _ in true }
  ) async throws(StoreError) -> Int {
    try await job { (blocking, cancel) throws(StoreError) in
      try blocking.fold(
        over: source, options, cancel, 0, { if try isCounted($1) { $0 += 1 } }, { $0 += $1 })
    }
  }

  /// Adds every record of a source to a state; see
  /// ``Blocking/reduce(over:into:options:_:merge:)``.
  public func reduce<State: Sendable>(
    over source: JobSource, into initial: State, options: JobOptions = JobOptions(),
    _ add: @escaping @Sendable (inout State, JobRecord) throws -> Void,
    merge: @escaping @Sendable (inout State, State) throws -> Void
  ) async throws(StoreError) -> State {
    try await job { (blocking, cancel) throws(StoreError) in
      try blocking.fold(over: source, options, cancel, initial, add, merge)
    }
  }

  /// Runs a job on a thread of its own; a cancelled task ends it.
  private func job<Result: Sendable>(
    _ body: @escaping @Sendable (Blocking, CancelFlag) throws(StoreError) -> Result
  ) async throws(StoreError) -> Result {
    let cancel = CancelFlag()
    let thread = IOThreads(count: 1)
    defer { thread.stop() }
    let outcome: Swift.Result<Result, StoreError> = await withTaskCancellationHandler {
      do throws(StoreError) {
        return .success(
          try await thread.run { () throws(StoreError) in try body(self.blocking, cancel) })
      } catch {
        return .failure(error)
      }
    } onCancel: {
      cancel.set()
    }
    return try outcome.get()
  }
}
