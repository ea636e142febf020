// JobOptions — what a job may take, and what it says of itself.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine
internal import TurbiditeSystem

/// What a job may take of the machine.
///
/// None of it changes the result.
public struct JobOptions: Sendable {
  /// Threads that map and reduce, 1 to 256; nil means one for each processor.
  public var workerCount: Int?
  /// Bytes for what is grouped, at least 1 MiB: when it is full, sorted runs go to disk.
  ///
  /// Besides it, each worker holds the record in hand, the results that are returned lie in memory,
  /// and so does what ``Store/Options`` gives the store.
  public var memoryByteCount: Int
  /// Bytes of input that a worker takes at a time, before compression; nil means an eighth of its
  /// share, from 1 to 32 MiB.
  public var splitByteCount: Int?
  /// Where runs go of a store that is open read-only; nil means `/var/tmp`.
  ///
  /// Else they go to the store's own directory. The files have no name, and are gone however the
  /// process ends.
  public var temporaryDirectory: String?
  /// Called by one thread at a time, at most ten times a second, and once at the end.
  public var progress: (@Sendable (JobProgress) -> Void)?

  /// Options, all of which have defaults.
  public init(
    workerCount: Int? = nil, memoryByteCount: Int = 256 << 20, splitByteCount: Int? = nil,
    temporaryDirectory: String? = nil, progress: (@Sendable (JobProgress) -> Void)? = nil
  ) {
    self.workerCount = workerCount
    self.memoryByteCount = memoryByteCount
    self.splitByteCount = splitByteCount
    self.temporaryDirectory = temporaryDirectory
    self.progress = progress
  }

  func validate() throws(StoreError) {
    if let workerCount, !(1...256).contains(workerCount) {
      throw .invalidArgument("a job has 1 to 256 workers, not \(workerCount)")
    }
    guard memoryByteCount >= 1 << 20 else {
      throw .invalidArgument("a job needs 1 MiB of memory, not \(memoryByteCount) bytes")
    }
    if let splitByteCount, splitByteCount < 1 {
      throw .invalidArgument("a split has at least a byte")
    }
  }

  var workers: Int { workerCount ?? max(1, min(256, processorCount())) }
}

/// How far a job is.
public struct JobProgress: Sendable, Hashable {
  /// What is being done.
  public enum Stage: String, Sendable, Hashable {
    /// The input is read, and the map called.
    case map
    /// Groups are reduced.
    case reduce
  }

  /// What is being done.
  public var stage: Stage
  /// Parts of the stage that are done.
  public var finishedCount: Int
  /// Parts of the stage.
  public var partCount: Int
  /// Records that were read so far.
  public var recordCount: Int
}

/// What a job did.
public struct JobSummary: Sendable, Hashable {
  /// Records that were read.
  public var recordCount = 0
  /// Values that were emitted.
  public var valueCount = 0
  /// Keys that were reduced.
  public var groupCount = 0
  /// Parts of the input.
  public var splitCount = 0
  /// Bytes that were put aside on disk.
  public var spilledByteCount: UInt64 = 0
  /// What the map counted, by name.
  public var counters: [String: Int] = [:]
}

/// What became of each key.
public struct JobResult<Output: Sendable>: Sendable, RandomAccessCollection {
  /// A key and its result.
  public struct Element: Sendable {
    /// The key that was emitted.
    public var key: Bytes
    /// What the reducer made of its values.
    public var value: Output
  }

  let elements: [Element]
  /// What the job did.
  public let summary: JobSummary

  /// 0.
  public var startIndex: Int { 0 }
  /// The number of keys.
  public var endIndex: Int { elements.count }
  /// The results are in the order of their keys.
  public subscript(position: Int) -> Element { elements[position] }

  /// The result of a key; nil when it was not emitted.
  public subscript(key: Bytes) -> Output? {
    var (low, high) = (0, elements.count)
    while low < high {
      let middle = (low + high) / 2
      if elements[middle].key < key { low = middle + 1 } else { high = middle }
    }
    guard low < elements.count, elements[low].key == key else { return nil }
    return elements[low].value
  }

  /// All of it by key.
  public var dictionary: [Bytes: Output] {
    Dictionary(uniqueKeysWithValues: elements.map { ($0.key, $0.value) })
  }
}
