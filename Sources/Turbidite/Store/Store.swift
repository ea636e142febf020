// Store — what a user holds.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine
internal import TurbiditeSystem

/// An ordered key-value store in one directory.
///
/// One process writes at a time; any number may read beside it (``Mode/readOnly``). All methods may
/// be called from any thread or task. Methods of the store itself suspend and never block a thread
/// of Swift's cooperative pool; the same verbs under ``blocking`` block the calling thread instead.
///
/// A commit that has returned survives the death of the process (``Durability/buffered``) or a
/// power loss (``Durability/synced``). What survives is always a prefix of the commits, in their
/// order, and a batch survives whole or not at all.
///
/// Call ``close()`` when done. A store that is merely released stops as a killed process would:
/// nothing acknowledged is lost, and the next open replays the log.
public final class Store: Sendable {
  let engine: Engine
  let threads: IOThreads
  let defaultKeyspace: KeyspaceState
  let groups = Groups()
  let jobTargets = TargetNames()

  init(engine: Engine, threads: IOThreads) throws(StoreError) {
    guard let keyspace = engine.keyspace(named: "") else {
      throw .configuration("the store has no default keyspace")
    }
    self.engine = engine
    self.threads = threads
    defaultKeyspace = keyspace
  }

  deinit { engine.abandon() }

  /// Opens the store in the directory at `path`.
  ///
  /// Takes a few milliseconds, and up to a second for each 100 MiB of log that a crash has left.
  ///
  /// - Throws: ``StoreError/locked(path:)`` when it is open for writing elsewhere,
  ///   ``StoreError/corrupt(_:)`` with file and offset when bytes that had been durable are not
  ///   there, ``StoreError/unsupportedFormat(file:found:supported:)`` when a newer version wrote
  ///   it.
  public static func open(
    at path: String, mode: Mode = .openOrCreate, options: Options = Options()
  ) async throws(StoreError) -> Store {
    let opening = IOThreads(count: 1)
    defer { opening.stop() }
    return try await opening.run { () throws(StoreError) -> Store in
      try Blocking.open(at: path, mode: mode, options: options)
    }
  }

  /// The same verbs for synchronous code.
  public var blocking: Blocking { Blocking(store: self) }

  /// Makes everything durable, stops background work and gives the store back.
  ///
  /// Takes a sync, and the rest of the flushes that are under way: half of the memory budget at
  /// most.
  ///
  /// - Throws: when something could not be made durable; the store is closed all the same.
  public func close() async throws(StoreError) {
    let closing = IOThreads(count: 1)
    defer { closing.stop() }
    try await closing.run { () throws(StoreError) in try self.blocking.close() }
  }

  /// Runs a blocking verb on a thread of the store's own.
  func run<Result: Sendable>(
    _ body: @escaping @Sendable (Blocking) throws(StoreError) -> Result
  ) async throws(StoreError) -> Result {
    try await threads.run { () throws(StoreError) -> Result in try body(self.blocking) }
  }

  func state(of keyspace: Keyspace) -> KeyspaceState { keyspace.state ?? defaultKeyspace }
}

/// What a store's machinery is made of: replaced in tests and simulations.
package struct StoreMachine: Sendable {
  package var environment: EngineEnvironment
  package var processorCount: Int

  package init(environment: EngineEnvironment, processorCount: Int) {
    self.environment = environment
    self.processorCount = processorCount
  }
}

extension Store {
  /// Opens a store on a machine of the caller's making.
  package static func open(
    on machine: StoreMachine, name: String, mode: Mode, options: Options
  ) throws(StoreError) -> Store {
    try options.validate()
    let threadCount = options.threadCount(machine.processorCount)
    let engine = try Engine.open(
      machine.environment, mode: mode.engineMode,
      options: options.engineOptions(threadCount: threadCount),
      layout: {
        let ring = HashRing(shardCount: options.shardCount ?? 1)
        return ShardLayout(shards: ring.shards, shardCount: ring.numberCount)
      },
      name: name)
    if let asked = options.shardCount, asked != engine.shardCount {
      engine.abandon()
      throw .configuration(
        "the store at \(name) has \(engine.shardCount) shards, not the \(asked) asked for")
    }
    do throws(StoreError) {
      return try Store(engine: engine, threads: machine.environment.threads)
    } catch {
      // An engine that nobody stops works on.
      engine.abandon()
      throw error
    }
  }
}

extension Store.Options {
  func threadCount(_ processorCount: Int) -> Int {
    backgroundThreadCount ?? max(1, min(4, processorCount))
  }
}
