// ProgramRun — the pipes of one run, and the threads that serve them.
//
// Room:    Programs.

import Synchronization

/// What stands between a program and its caller.
final class ProgramRun: Sendable {
  private struct Findings {
    var inputWasTaken = false
    var wasStarted = false
    var errorTail = ""
  }

  private let input: Pipe
  private let output: Pipe
  private let errors: Pipe
  private let mark: String
  private let findings = Mutex(Findings())

  /// Nil when there are too many descriptors.
  init?(_ mark: String) {
    guard let input = Pipe(), let output = Pipe(), let errors = Pipe() else { return nil }
    self.input = input
    self.output = output
    self.errors = errors
    self.mark = mark
  }

  /// Whether the shell before the program said that it would now become the program.
  ///
  /// Known after `follow`.
  var wasStarted: Bool { findings.withLock(\.wasStarted) }

  /// Starts the process, and closes the child's ends in this one.
  func start(_ launch: Launch, _ bell: Bell) -> (process: LaunchedProcess?, failure: String) {
    guard let input = input.takeReader(), let output = output.takeWriter(),
      let errors = errors.takeWriter()
    else { preconditionFailure("a run is started once") }
    let started = launch.start(ends: [input.number, output.number, errors.number], bell: bell)
    // The child has its own: with these open, no pipe would ever end.
    input.close()
    output.close()
    errors.close()
    return started
  }

  /// Serves the pipes until all is over.
  ///
  /// - Returns: false when there are too many threads; the program was then killed.
  func follow(
    _ watch: Watch, limit: Int?, feed: @escaping @Sendable (ProgramInput) -> Void,
    receive: (UnsafeRawBufferPointer) -> Bool, report: @escaping @Sendable (String) -> Void,
    result: inout ProgramResult
  ) -> Bool {
    let watcher = RunnerThread { watch.run() }
    let sorter = RunnerThread { self.sortErrors(watch, report) }
    let feeder = RunnerThread { self.feedProgram(watch, feed) }
    let hasThreads = watcher != nil && sorter != nil && feeder != nil
    if hasThreads {
      result.outputByteCount = readOutput(watch, limit, receive)
    } else {
      abandon(watch, isSorting: sorter != nil, isWatching: watcher != nil)
    }
    // The watcher last of those who end by themselves: its bell is what the others wait for.
    watcher?.join()
    sorter?.join()
    feeder?.join()
    (result.inputWasTaken, result.errorTail) = findings.withLock {
      ($0.inputWasTaken, $0.errorTail)
    }
    return hasThreads
  }

  /// Ends a program that cannot be served.
  private func abandon(_ watch: Watch, isSorting: Bool, isWatching: Bool) {
    watch.endOutput(.cancelled)
    if !isSorting { watch.endErrors() }
    if !isWatching { watch.run() }
  }

  private func readOutput(
    _ watch: Watch, _ limit: Int?, _ receive: (UnsafeRawBufferPointer) -> Bool
  ) -> Int {
    guard let reader = output.takeReader() else { preconditionFailure("a run is followed once") }
    reader.setNonBlocking()
    var output = ProgramOutput(reader, stop: watch.stop, limit: limit)
    switch output.read(receive) {
    case .over: watch.endOutput(nil)
    case .tooMuch: watch.endOutput(.outputLimit)
    case .unwanted: watch.endOutput(.cancelled)
    }
    return output.byteCount
  }

  private func feedProgram(_ watch: Watch, _ feed: (ProgramInput) -> Void) {
    guard let writer = input.takeWriter() else { preconditionFailure("a run is followed once") }
    writer.setNonBlocking()
    let input = ProgramInput(writer, stop: watch.stop)
    feed(input)
    let wasTaken = input.finish()
    findings.withLock { $0.inputWasTaken = wasTaken }
  }

  private func sortErrors(_ watch: Watch, _ report: @escaping @Sendable (String) -> Void) {
    guard let reader = errors.takeReader() else { preconditionFailure("a run is followed once") }
    reader.setNonBlocking()
    var lines = ErrorLines(mark: mark, report: report)
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    // What is in the pipe when the bell rings is still read, and nothing that comes later.
    var allowance = Int.max
    reading: while allowance > 0 {
      switch reader.read(into: &buffer) {
      case .end: break reading
      case .bytes(let count):
        lines.append(buffer[..<count])
        if allowance < .max { allowance -= count }
      case .wait:
        if allowance < .max { break reading }
        _ = reader.waitForBytes(unless: watch.stop)
      }
      if allowance == .max, watch.stop.isRinging { allowance = reader.unreadByteCount }
    }
    let tail = lines.finish()
    let wasStarted = lines.isMarked
    findings.withLock { findings in
      findings.errorTail = tail
      findings.wasStarted = wasStarted
    }
    watch.endErrors()
  }
}
