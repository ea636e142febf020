// JobTarget — where a job's results go, whole or not at all.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine
internal import TurbiditeSystem

/// A result that can be written.
public protocol JobText {
  /// What stands for it in a value or a line.
  var jobText: Bytes { get }
}

extension Int: JobText {
  /// The number in decimal.
  public var jobText: Bytes { Bytes(String(self)) }
}

extension Double: JobText {
  /// The shortest decimal that reads back as the same number.
  public var jobText: Bytes { Bytes(String(self)) }
}

extension String: JobText {
  /// Its UTF-8.
  public var jobText: Bytes { Bytes(self) }
}

extension Bytes: JobText {
  /// Itself.
  public var jobText: Bytes { self }
}

/// Where the results of a job go.
///
/// They appear there all at once, when the job has ended well, or not at all. A job that fails or
/// is cancelled takes back what it had written; one that is killed may leave a keyspace, a stream
/// or a file whose name begins with `unfinished/` or `.unfinished-`, which the next job with the
/// same target removes. While a job writes to a target, another with the same one is refused.
public struct JobTarget: Sendable {
  enum Kind: Sendable {
    case keyspace(String, replaces: Bool)
    case stream(String, partitionCount: Int, replaces: Bool)
    case file(String)
  }

  let kind: Kind

  /// A new keyspace: keys as they were emitted, which must not be empty, and results as text.
  ///
  /// - Parameter replaces: whether an existing keyspace of that name goes, in the same manifest
  ///   record in which the new one comes.
  public static func keyspace(_ name: String, replacing replaces: Bool = false) -> JobTarget {
    JobTarget(kind: .keyspace(name, replaces: replaces))
  }

  /// A new stream: an event for each key, in the order of the keys.
  public static func stream(
    _ name: String, partitionCount: Int = 1, replacing replaces: Bool = false
  ) -> JobTarget {
    JobTarget(kind: .stream(name, partitionCount: partitionCount, replaces: replaces))
  }

  /// A file of lines, `key TAB value`, in the order of the keys, with C's escapes for a tab, a
  /// newline, a return and a backslash; one that is there is replaced.
  public static func file(_ path: String) -> JobTarget { JobTarget(kind: .file(path)) }

  /// What an unfinished keyspace or stream is called.
  ///
  /// Such names are for jobs alone, and not longer than others may be.
  static func unfinishedName(of name: String) -> String {
    unfinishedPrefix + digits(of: name)
  }

  static let unfinishedPrefix = "unfinished/"

  /// Refuses a name that is for jobs alone.
  static func requireUsersName(_ name: String) throws(StoreError) {
    if name.hasPrefix(unfinishedPrefix) {
      throw .invalidArgument("names that begin with \(unfinishedPrefix) are for jobs alone")
    }
  }

  /// The hash of a name.
  static func digits(of name: String) -> String {
    String(Bytes(name).withSpan { FieldScan.hash(of: $0) }, radix: 16)
  }

  package func open(in store: Store) throws(StoreError) -> any JobOutput {
    switch kind {
    case .keyspace(let name, let replaces):
      return try KeyspaceOutput(store, name, partitionCount: nil, replaces: replaces)
    case .stream(let name, let count, let replaces):
      return try KeyspaceOutput(store, name, partitionCount: count, replaces: replaces)
    case .file(let path): return try FileOutput(path)
    }
  }

  /// The number of the keyspace or stream that has the target's name now; nil for none, or a file.
  ///
  /// That of what was dropped is not given again.
  ///
  /// - Throws: when results cannot have that name.
  package func occupant(in store: Store) throws(StoreError) -> UInt32? {
    switch kind {
    case .keyspace(let name, _), .stream(let name, _, _):
      try JobTarget.requireUsersName(name)
      return store.engine.keyspace(named: name)?.id
    case .file: return nil
    }
  }
}

/// Takes results until it is published or discarded.
///
/// Any thread may make a writer; each is one thread's.
package protocol JobOutput: Sendable {
  /// What ``JobTarget/occupant(in:)`` gives once this is published.
  var number: UInt32? { get }

  /// Whether one writer must take all results, in the order of their keys.
  var isSerial: Bool { get }
  /// Makes a writer of the results of one part; the parts follow each other by their numbers.
  func makeWriter(part: Int) -> any JobOutputWriter
  /// Makes the whole visible and durable.
  func publish() throws(StoreError)
  /// Removes what was written.
  func discard() throws(StoreError)
}

/// Takes the results of a part, in order, from one thread.
package protocol JobOutputWriter: AnyObject {
  func add(_ key: RawSpan, _ value: Bytes) throws(StoreError)
  /// Says that there are no more.
  func finish() throws(StoreError)
}

/// A keyspace or a stream that gets its name in the end.
private struct KeyspaceOutput: JobOutput {
  let store: Store
  let name: String
  let state: KeyspaceState
  let replaces: Bool
  /// Keeps others from the target for as long as it lives.
  let claim: TargetClaim

  init(
    _ store: Store, _ name: String, partitionCount: Int?, replaces: Bool
  ) throws(StoreError) {
    self.store = store
    self.name = name
    self.replaces = replaces
    let engine = store.engine
    guard !name.isEmpty else { throw .invalidArgument("a job's target has a name") }
    if !replaces, engine.keyspace(named: name) != nil {
      throw .invalidArgument("\(name) is there already: a job's results go to a new keyspace")
    }
    claim = try TargetClaim(name, of: store.jobTargets)
    let unfinished = JobTarget.unfinishedName(of: name)
    if engine.keyspace(named: unfinished) != nil { try engine.dropKeyspace(unfinished) }
    state =
      if let partitionCount {
        try engine.createStream(unfinished, partitionCount: partitionCount)
      } else {
        try engine.createKeyspace(unfinished, nil, changes: nil)
      }
  }

  var number: UInt32? { state.id }

  var isSerial: Bool { state.partitionCount != nil }

  func makeWriter(part: Int) -> any JobOutputWriter { KeyspaceWriter(store, state) }

  func publish() throws(StoreError) {
    try store.engine.rename(state, to: name, replaces: replaces)
  }

  func discard() throws(StoreError) {
    if !state.isDropped { try store.engine.dropKeyspace(state.name) }
  }
}

/// The targets that jobs of a store are writing to.
final class TargetNames: Sendable {
  fileprivate let names = Guarded<Set<String>>([])
}

/// The right to write to a target.
private final class TargetClaim: Sendable {
  private let name: String
  private let targets: TargetNames

  init(_ name: String, of targets: TargetNames) throws(StoreError) {
    guard targets.names.withLock({ $0.insert(name).inserted }) else {
      throw .invalidArgument("another job is writing to \(name)")
    }
    self.name = name
    self.targets = targets
  }

  deinit { targets.names.withLock { _ = $0.remove(name) } }
}

/// Writes results in batches.
private final class KeyspaceWriter: JobOutputWriter {
  private let store: Store
  private let state: KeyspaceState
  private var batch = Store.Batch()
  private var byteCount = 0

  /// Bytes of a batch.
  private static let batchByteCount = 256 << 10

  init(_ store: Store, _ state: KeyspaceState) {
    self.store = store
    self.state = state
  }

  func add(_ key: RawSpan, _ value: Bytes) throws(StoreError) {
    byteCount += key.byteCount + value.count + 16
    if state.partitionCount == nil {
      guard key.byteCount > 0 else {
        throw .userCode("the map has emitted an empty key, which no keyspace can hold")
      }
      value.withSpan { batch.put(key: key, value: $0, in: Keyspace(state: state)) }
    } else {
      batch.append(NewEvent(value, key: Bytes(copying: key)), to: EventStream(state: state))
    }
    if byteCount >= KeyspaceWriter.batchByteCount { try finish() }
  }

  func finish() throws(StoreError) {
    guard byteCount > 0 else { return }
    byteCount = 0
    try store.blocking.commit(&batch)
  }
}
