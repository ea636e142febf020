// JobDirectory — what a job keeps until it has ended: its input and its finished tasks.
//
// Room:    ProgramJobs.
// Format:  FORMAT.md section 9.
// Limits:  One process at a time works on a job: its LOCK says so.

import Turbidite
import TurbiditeEngine
import TurbiditeSystem

/// What a finished task has left.
struct FinishedTask: Sendable {
  var runs: [TaskRun] = []
  /// What a reducer has printed, as it was when the task ended.
  var output: OutputMark?
  var recordCount = 0
  var counters: [String: Int] = [:]
  var quarantined: [QuarantinedRecord] = []

  var fields: [(name: String, value: String)] {
    var fields = runs.map {
      ("run", "\($0.number) \($0.byteCount) \($0.footerChecksum)")
    }
    if let output { fields.append(("output", "\(output.byteCount) \(output.checksum)")) }
    fields.append(("records", String(recordCount)))
    fields += counters.sorted { $0.key < $1.key }.map { ("counter \($0.key)", String($0.value)) }
    fields += quarantined.map { ("quarantined \($0.index) \($0.name)", $0.reason) }
    return fields
  }

  init() {}

  init?(_ fields: [(name: String, value: String)], task: String) {
    for (name, value) in fields {
      if name == "run" {
        let numbers = value.split(separator: " ").compactMap { UInt64($0) }
        guard numbers.count == 3 else { return nil }
        runs.append(
          TaskRun(number: numbers[0], byteCount: numbers[1], footerChecksum: numbers[2]))
      } else if name == "output" {
        let numbers = value.split(separator: " ").compactMap { UInt64($0) }
        guard numbers.count == 2 else { return nil }
        output = OutputMark(byteCount: numbers[0], checksum: numbers[1])
      } else if name == "records" {
        guard let count = Int(value) else { return nil }
        recordCount = count
      } else if name.hasPrefix("counter ") {
        counters[String(name.dropFirst("counter ".count))] = Int(value)
      } else if name.hasPrefix("quarantined ") {
        let rest = name.dropFirst("quarantined ".count)
        guard let space = rest.firstIndex(of: " "), let index = Int(rest[..<space]) else {
          return nil
        }
        quarantined.append(
          QuarantinedRecord(
            task: task, index: index, name: String(rest[rest.index(after: space)...]),
            reason: value))
      } else {
        return nil
      }
    }
  }
}

/// The length and checksum of a file.
struct OutputMark: Sendable, Hashable {
  var byteCount: UInt64
  /// XXH3-64 of each MiB in turn, the one before it being the seed.
  var checksum: UInt64

  init(byteCount: UInt64, checksum: UInt64) {
    self.byteCount = byteCount
    self.checksum = checksum
  }

  /// Of a file as it is now.
  init(of file: any File) throws(StoreError) {
    byteCount = 0
    checksum = 0
    while true {
      let piece = try file.bytes(at: byteCount, atMost: 1 << 20)
      if piece.isEmpty { return }
      checksum = Bytes.lending(piece) { FieldScan.hash(of: $0, seed: checksum) }
      byteCount += UInt64(piece.count)
    }
  }
}

/// A record that a program could not be given, and why.
package struct QuarantinedRecord: Sendable, Hashable {
  /// As `map task 3`.
  package var task: String
  /// Its place among the task's records, or its groups, from 0.
  package var index: Int
  /// Its key, or its partition and offset.
  package var name: String
  package var reason: String
}

/// The directory of one job.
final class JobDirectory: Sendable {
  let path: String
  let fileSystem: PosixFileSystem
  private let lock: any File

  static let definitionName = "definition"
  static let inputName = "input"
  static let cutsName = "cuts"
  static let lockName = "LOCK"
  /// The definition of a job whose results are out.
  static let finishedName = "finished"
  static let quarantineName = "quarantine"
  /// What the results will be known by, written before they get their name.
  static let publishingName = "publishing"

  /// Opens the directory of a job below `jobs`, or makes it.
  ///
  /// - Throws: ``JobStop/busy(_:)`` when somebody works on it.
  init(_ id: String, below jobs: String) throws(JobStop) {
    path = "\(jobs)/\(id)"
    do throws(SystemError) {
      _ = try PosixFileSystem.createRoot(jobs)
      fileSystem = try PosixFileSystem.createRoot(path)
      lock = try fileSystem.open(Self.lockName, .readWrite)
      guard try lock.tryLock(.exclusive, from: 0, to: 1) else {
        throw SystemError(operation: "lock", path: path, code: 0)
      }
    } catch {
      if error.operation == "lock", error.code == 0 {
        throw .busy("another process works on the job in \(path)")
      }
      throw .store(named(error, below: jobs))
    }
  }

  // MARK: - What the job is

  func definition() throws(StoreError) -> JobDefinition? {
    guard let fields = try TextFile.read(Self.definitionName, in: fileSystem) else { return nil }
    guard let definition = JobDefinition(fields), path.hasSuffix("/" + definition.id) else {
      throw .corrupt(
        Damage(file: "\(path)/\(Self.definitionName)", offset: 0, finding: "no definition"))
    }
    return definition
  }

  func write(_ definition: JobDefinition) throws(StoreError) {
    try TextFile.write(definition.fields, to: Self.definitionName, in: fileSystem)
  }

  // MARK: - Its input

  var inputPath: String { "\(path)/\(Self.inputName)" }

  var hasInput: Bool {
    get throws(StoreError) { try names().contains(Self.inputName) }
  }

  /// Whether the job has written down that it is done, with what it has set aside.
  var hasFinished: Bool {
    get throws(StoreError) { try names().contains(Self.finishedName) }
  }

  /// The keys between the parts of the input; nil before they are chosen.
  func cuts() throws(StoreError) -> [[UInt8]]? {
    guard let fields = try TextFile.read(Self.cutsName, in: fileSystem) else { return nil }
    var keys: [[UInt8]] = []
    for (name, value) in fields {
      guard name == "cut", let key = bytes(ofHexadecimal: value) else {
        throw .corrupt(
          Damage(file: "\(path)/\(Self.cutsName)", offset: 0, finding: "a line that is no key"))
      }
      keys.append(key)
    }
    return keys
  }

  func write(cuts keys: [[UInt8]]) throws(StoreError) {
    try TextFile.write(
      keys.map { ("cut", hexadecimal($0)) }, to: Self.cutsName, in: fileSystem)
  }

  // MARK: - Its tasks

  /// What a task has left; nil when it is not done, or what it printed is not what it was.
  func finished(_ task: TaskName) throws(StoreError) -> FinishedTask? {
    guard let fields = try TextFile.read(task.finishedName, in: fileSystem) else { return nil }
    guard let finished = FinishedTask(fields, task: task.description) else {
      throw .corrupt(
        Damage(file: "\(path)/\(task.finishedName)", offset: 0, finding: "no finished task"))
    }
    guard !task.isMap else { return finished }
    // To do it again costs less than an error that only a person can do something about.
    do throws(StoreError) {
      guard try OutputMark(of: openFile(task.outputName)) == finished.output else { return nil }
    } catch {
      guard case .io(_, _, let code) = error, code == SystemError.absentCode else { throw error }
      return nil
    }
    return finished
  }

  func write(_ finished: FinishedTask, of task: TaskName) throws(StoreError) {
    try TextFile.write(finished.fields, to: task.finishedName, in: fileSystem)
  }

  func makeFile(_ name: String) throws(StoreError) -> any File {
    try remove(name)
    do throws(SystemError) { return try fileSystem.open(name, .create) } catch {
      throw StoreError(error)
    }
  }

  func openFile(_ name: String) throws(StoreError) -> any File {
    do throws(SystemError) { return try fileSystem.open(name, .read) } catch {
      throw StoreError(error)
    }
  }

  /// Removes a file that may be there.
  func remove(_ name: String) throws(StoreError) {
    do throws(SystemError) { try fileSystem.remove(name) } catch {
      if !error.isAbsent { throw StoreError(error) }
    }
  }

  func names() throws(StoreError) -> [String] {
    do throws(SystemError) { return try fileSystem.list("") } catch { throw StoreError(error) }
  }

  /// Removes all but the lock and `kept`.
  ///
  /// The definition goes first: what is left of a job without one is nobody's. What tells whether
  /// results are out goes last, so that a removal that was cut off is known for one.
  func clear(keeping kept: Set<String>) throws(StoreError) {
    try remove(Self.definitionName)
    do throws(SystemError) {
      try fileSystem.syncDirectory("")
      let last: Set = [Self.lockName, Self.publishingName]
      try TurbiditeProgramJobs.clear("", in: fileSystem, keeping: kept.union(last))
    } catch { throw StoreError(error) }
    try remove(Self.publishingName)
  }

  /// Removes the whole directory; the lock holds until this object goes.
  func removeAll() throws(StoreError) {
    try clear(keeping: [])
    do throws(SystemError) {
      try TurbiditeProgramJobs.clear("", in: fileSystem)
      _ = try PosixFileSystem.openRoot(path + "/..").removeDirectory(
        String(path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...]))
    } catch { throw StoreError(error) }
  }
}

/// Removes all that is in a directory, but for what is in it by a name that is kept.
func clear(
  _ directory: String, in fileSystem: PosixFileSystem, keeping kept: Set<String> = []
) throws(SystemError) {
  for name in try fileSystem.list(directory) where !kept.contains(name) {
    let path = directory.isEmpty ? name : "\(directory)/\(name)"
    var isDirectory = true
    do throws(SystemError) { _ = try fileSystem.list(path) } catch {
      guard error.isNotDirectory else { throw error }
      isDirectory = false
    }
    if isDirectory {
      try clear(path, in: fileSystem)
      try fileSystem.removeDirectory(path)
    } else {
      try fileSystem.remove(path)
    }
  }
}

/// A system's error, with where it happened.
func named(_ error: SystemError, below path: String) -> StoreError {
  var error = error
  error.path = error.path.isEmpty ? path : "\(path)/\(error.path)"
  return StoreError(error)
}

/// One task of a job.
struct TaskName: Hashable, Sendable, CustomStringConvertible {
  var isMap: Bool
  var number: Int

  var description: String { "\(isMap ? "map" : "reduce") task \(number)" }

  private var stem: String {
    let digits = String(number)
    return (isMap ? "map-" : "reduce-") + String(repeating: "0", count: max(0, 5 - digits.count))
      + digits
  }

  static let finishedSuffix = ".done"
  var finishedName: String { stem + TaskName.finishedSuffix }
  /// What a reducer has printed.
  var outputName: String { "\(stem).out" }
  /// A run of a map task.
  static func runName(_ number: UInt64) -> String { "\(number).run" }
}
