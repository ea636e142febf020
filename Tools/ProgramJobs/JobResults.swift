// JobResults — from what the reducers have printed to where it is wanted, whole or not at all.
//
// Room:    ProgramJobs.

import Turbidite
import TurbiditeEngine
import TurbiditeSystem

/// Publishes what a job's reducers have printed.
struct JobResults {
  private let job: ProgramJob

  init(_ job: ProgramJob) { self.job = job }

  func publish(
    into store: Store?, print: (_ key: RawSpan, _ rest: RawSpan) throws -> Void
  ) throws {
    switch job.definition.destination {
    case .directory(let path):
      do throws(StoreError) {
        if try !areOut(in: store) { try publish(asDirectory: path) }
      } catch { throw JobStop.store(error) }
    case .standardOutput:
      let reader = try merged()
      while try step(reader) {
        var failure: (any Error)?
        try each(of: reader) { key, rest in
          do { try print(key, rest) } catch { failure = error }
          return failure == nil
        }
        if let failure { throw failure }
      }
    case .keyspace, .stream: try publish(toStore: store)
    }
  }

  // MARK: - Whether they can be, or are out

  /// Whether a run of this job that was killed has published its results.
  func areOut(in store: Store?) throws(StoreError) -> Bool {
    let files = job.directory.fileSystem
    guard let mark = try TextFile.read(JobDirectory.publishingName, in: files)?.first?.value else {
      return false
    }
    if let target, let store { return try target.occupant(in: store).map { String($0) } == mark }
    guard case .directory(let path) = job.definition.destination else { return false }
    do throws(SystemError) {
      return Self.mark(of: try PosixFileSystem.openRoot(path)) == mark
    } catch {
      if error.isAbsent || error.isNotDirectory { return false }
      throw named(error, below: path)
    }
  }

  /// Whether something lies where the results are to go.
  ///
  /// - Throws: when nothing can lie there, or it is in the store's own directory.
  func haveNoPlace(in store: Store?, at storePath: String) throws(StoreError) -> Bool {
    if let target, let store {
      return try target.occupant(in: store) != nil && !job.definition.replaces
    }
    guard case .directory(let path) = job.definition.destination else { return false }
    let root: PosixFileSystem
    do throws(SystemError) { root = try PosixFileSystem.openRoot(storePath) } catch {
      throw named(error, below: storePath)
    }
    let (parent, name) = try targetDirectory(path, outside: root)
    do throws(SystemError) { return try parent.list("").contains(name) } catch {
      throw named(error, below: parent.rootPath)
    }
  }

  /// The keyspace or stream that the results go to.
  private var target: JobTarget? {
    switch job.definition.destination {
    case .keyspace(let name): .keyspace(name, replacing: job.definition.replaces)
    case .stream(let name): .stream(name, replacing: job.definition.replaces)
    case .directory, .standardOutput: nil
    }
  }

  private func write(mark: String) throws(StoreError) {
    try TextFile.write(
      [("target", mark)], to: JobDirectory.publishingName, in: job.directory.fileSystem)
  }

  private static func mark(of directory: PosixFileSystem) -> String {
    "\(directory.identity.device) \(directory.identity.inode)"
  }

  /// A directory's parent, and its name there.
  private static func split(_ path: String) -> (parent: String, name: String) {
    var trimmed = path
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
    let parts = trimmed.split(separator: "/", omittingEmptySubsequences: false)
    let parent = parts.dropLast().joined(separator: "/")
    return (
      parts.count == 1 ? "." : parent.isEmpty ? "/" : parent, parts.last.map(String.init) ?? ""
    )
  }

  // MARK: - A directory

  /// A file for each reducer, named as Hadoop does, in a directory that appears by one rename.
  private func publish(asDirectory path: String) throws(StoreError) {
    let (parent, name) = Self.split(path)
    // The job's own: another with the same target must not find it.
    let temporary = Self.unfinishedName(of: job.definition)
    var failure: StoreError?
    do throws(SystemError) {
      let parent = try PosixFileSystem.openRoot(parent)
      if try parent.list("").contains(temporary) {
        try clear(temporary, in: parent)
        try parent.removeDirectory(temporary)
      }
      try parent.createDirectory(temporary)
      let target = Subdirectory(temporary, of: parent)
      for number in 0..<job.definition.reducerCount {
        let digits = String(number)
        let part = "part-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        let source = TaskName(isMap: false, number: number).outputName
        do throws(SystemError) {
          try job.directory.fileSystem.link(source, to: part, in: target)
        } catch {
          guard error.asksForCopy else { throw error }
          try copy(source, to: part, in: target)
        }
      }
      try target.syncDirectory("")
      let made = try PosixFileSystem.openRoot("\(parent.rootPath)/\(temporary)")
      do throws(StoreError) { try write(mark: Self.mark(of: made)) } catch {
        failure = error
        throw SystemError(operation: "write", path: JobDirectory.publishingName, code: 0)
      }
      try parent.renameDirectory(temporary, to: name)
      try parent.syncDirectory("")
    } catch {
      // As above: the first failure is the one to act on.
      do throws(StoreError) { try Self.removeUnfinished(of: job.definition) } catch _ {}
      if let failure { throw failure }
      if error.isPresent { throw .invalidArgument("there is something at \(path) already") }
      throw named(error, below: parent)
    }
  }

  /// Removes what a job that was stopped has left beside its directory of results.
  static func removeUnfinished(of definition: JobDefinition) throws(StoreError) {
    guard case .directory(let path) = definition.destination else { return }
    let (parentPath, _) = split(path)
    do throws(SystemError) {
      let parent: PosixFileSystem
      do throws(SystemError) { parent = try PosixFileSystem.openRoot(parentPath) } catch {
        if error.isAbsent || error.isNotDirectory { return }
        throw error
      }
      let temporary = unfinishedName(of: definition)
      guard try parent.list("").contains(temporary) else { return }
      try clear(temporary, in: parent)
      try parent.removeDirectory(temporary)
    } catch { throw named(error, below: parentPath) }
  }

  private static func unfinishedName(of definition: JobDefinition) -> String {
    ".unfinished-\(definition.id)"
  }

  private func copy(
    _ source: String, to name: String, in target: any FileSystem
  ) throws(SystemError) {
    let original = try job.directory.fileSystem.open(source, .read)
    let file = try target.open(name, .create)
    var offset: UInt64 = 0
    while true {
      let piece: [UInt8]
      do throws(StoreError) { piece = try original.bytes(at: offset, atMost: 1 << 20) } catch {
        throw SystemError(operation: "read", path: source, code: 0)
      }
      if piece.isEmpty { break }
      try Bytes.lending(piece) { span throws(SystemError) in try file.write(span, at: offset) }
      offset += UInt64(piece.count)
    }
    try file.sync()
  }

  // MARK: - In the order of the keys

  /// All that was printed, in the order of the keys, and for a key in that of the reducers.
  private func merged() throws(JobStop) -> GroupReader {
    let shuffle = job.shuffle(partitionCount: 1)
    do throws(StoreError) {
      let sink = try shuffle.makeSink()
      for number in 0..<job.definition.reducerCount {
        try sink.begin(split: number)
        try parse(TaskName(isMap: false, number: number), into: sink)
      }
      try sink.finish()
      try shuffle.settle()
      return try shuffle.reader(partition: 0)
    } catch { throw .store(error) }
  }

  private func parse(_ task: TaskName, into sink: GroupSink) throws(StoreError) {
    let file = try job.directory.openFile(task.outputName)
    var parser = LineParser(job.definition.form)
    var offset: UInt64 = 0
    while true {
      let piece = try file.bytes(at: offset, atMost: 1 << 20)
      var printed: PrintedFailure?
      if piece.isEmpty {
        do throws(PrintedFailure) {
          try parser.finish { sink.add($0, value: $1) }
        } catch { printed = error }
      } else {
        Bytes.lending(piece) { span in
          do throws(PrintedFailure) {
            try parser.feed(span) { sink.add($0, value: $1) }
          } catch { printed = error }
        }
      }
      if let printed { throw .userCode("\(task) has printed no whole records: \(printed)") }
      if let failure = sink.failure { throw failure }
      if piece.isEmpty { return }
      offset += UInt64(piece.count)
    }
  }

  private func step(_ reader: GroupReader) throws(JobStop) -> Bool {
    if job.isCancelled() { throw .cancelled }
    do throws(StoreError) { return try reader.next() } catch { throw .store(error) }
  }

  /// The records of the current group.
  private func each(
    of reader: GroupReader, _ body: (RawSpan, RawSpan) -> Bool
  ) throws(JobStop) {
    do throws(StoreError) {
      try reader.withGroup { (key, _) throws(StoreError) in
        while try reader.nextValue() {
          guard reader.withValue({ body(key, $0) }) else { return }
        }
      }
    } catch { throw .store(error) }
  }

  // MARK: - The store

  private func publish(toStore store: Store?) throws(JobStop) {
    guard let store, let target else { preconditionFailure("a store that gets results is open") }
    do throws(StoreError) { if try areOut(in: store) { return } } catch { throw .store(error) }
    let isKeyspace = if case .keyspace = job.definition.destination { true } else { false }
    let isLines = job.definition.form == .lines
    let reader = try merged()
    let output: any JobOutput
    do throws(StoreError) { output = try target.open(in: store) } catch { throw .store(error) }
    do throws(JobStop) {
      let writer = output.makeWriter(part: 0)
      while try step(reader) {
        var count = 0
        var failure: StoreError?
        try each(of: reader) { key, rest in
          count += 1
          // The tab between key and value is of the line, not of the value.
          let value = Bytes(copying: isLines && rest.byteCount > 0 ? rest.extracting(1...) : rest)
          do throws(StoreError) {
            if isKeyspace, count > 1 {
              throw .userCode(
                "the reducers have printed key \(Bytes(copying: key)) more than once,"
                  + " and a keyspace holds one value for a key: a stream takes all")
            }
            try writer.add(key, value)
          } catch { failure = error }
          return failure == nil
        }
        if let failure { throw .store(failure) }
      }
      do throws(StoreError) {
        try writer.finish()
        if let number = output.number { try write(mark: String(number)) }
        try output.publish()
      } catch { throw .store(error) }
    } catch {
      // What failed first is what counts: the same trouble may be in the way of clearing up.
      do throws(StoreError) {
        try output.discard()
        // A reducer that was mended is to be asked again.
        if case .store(.userCode) = error { try forgetReducers() }
      } catch _ {}
      throw error
    }
  }

  private func forgetReducers() throws(StoreError) {
    for number in 0..<job.definition.reducerCount {
      try job.directory.remove(TaskName(isMap: false, number: number).finishedName)
    }
  }
}
