// Launch — the shell that sets the limits, tells that it got so far, and becomes the command.
//
// Room:    Programs.
// Source:  POSIX.1-2017, XCU: sh, ulimit, command; `-S`, `-H`, `-t` and `-v` of ulimit are not
//          there, but in every shell that is /bin/sh on a Linux.
// Limits:  swift-subprocess closes every other descriptor, clears the signal mask and restores
//          all signals to their defaults; the new session makes a new process group.

import Subprocess
import Synchronization
import SystemPackage

/// One start of a program.
struct Launch: Sendable {
  /// What the innermost shell says on standard error before anything of the program runs.
  ///
  /// When it was not said, the program was not started, whoever has failed. It is drawn anew for
  /// each start, so that no program says it by accident.
  let mark: String
  private let arguments: [String]
  private let environment: [String: String]
  private let directory: String?

  init(_ program: Program) {
    let mark = "started-\(UInt64.random(in: 0 ... .max))-\(UInt64.random(in: 0 ... .max))"
    self.init(
      program, mark: mark, limits: Self.limitCommands(program.limits),
      script: #"printf '%s\n' "$1" >&2 && exec /bin/sh -c "$2""#, words: [mark, program.command])
  }

  /// The status of a look-up that has found nothing to run: no shell and no bwrap fails with it.
  static let notFoundStatus: Int32 = 77

  /// A look whether `word` can be run where the program was.
  init(lookup word: String, for program: Program) {
    let script = """
      found=$(command -v -- "$1") || exit \(Self.notFoundStatus)
      case $found in
        */*) test -f "$found" && test -x "$found" || exit \(Self.notFoundStatus) ;;
      esac
      """
    self.init(program, mark: "", limits: "", script: script, words: [word])
  }

  private init(
    _ program: Program, mark: String, limits: String, script: String, words: [String]
  ) {
    self.mark = mark
    let walls = program.sandbox?.words(for: program) ?? []
    let inner = ["/bin/sh", "-c", script, "sh"] + words
    // bwrap sees to it itself that the program ends with us.
    let bond = program.sandbox == nil ? Self.bond : ""
    arguments = ["-c", limits + bond + #"exec "$@""#, "sh"] + walls + inner
    environment = program.sandbox == nil ? program.environment : [:]
    // With a sandbox it changes its directory inside, where /tmp is another.
    directory = program.sandbox == nil ? program.directory : nil
  }

  /// Has the program killed when this process dies, where setpriv (util-linux 2.33) is there.
  ///
  /// As with bwrap, it is the death of the thread that counts which started the program; that of
  /// swift-subprocess lives as long as the process.
  private static let bond = """
    if setpriv --pdeathsig KILL true 2>/dev/null; then exec setpriv --pdeathsig KILL "$@"; fi;
    """

  private static func limitCommands(_ limits: ProgramLimits) -> String {
    // A crash is no reason to write a file into the working directory.
    var commands = ["ulimit -S -c 0"]
    if let seconds = limits.cpuSeconds {
      commands.append("ulimit -S -t \(seconds)")
      commands.append("ulimit -H -t \(seconds + ProgramLimits.hardCPUSeconds)")
    }
    if let count = limits.memoryByteCount {
      commands.append("ulimit -S -v \(count >> 10)")
      commands.append("ulimit -H -v \((count + count / 8) >> 10)")
    }
    return commands.joined(separator: " && ") + " || exit 1; "
  }

  /// Starts it on threads of our own, and blocks the calling thread until it is there.
  ///
  /// - Parameters:
  ///   - ends: the child's standard input, output and error; nil for nothing. They stay open here.
  ///   - bell: rung for this process only, from its start until it is reaped.
  /// - Returns: the process, or why there is none.
  func start(ends: [Int32]?, bell: Bell) -> (process: LaunchedProcess?, failure: String) {
    let outcome = Outcome(bell)
    let configuration = configuration
    Task.detached(executorPreference: LaunchExecutor.shared) {
      do {
        outcome.end(try await Self.run(configuration, ends, outcome))
      } catch {
        outcome.end(.launchFailed("\(error)"))
      }
    }
    bell.wait()
    return outcome.started()
  }

  private static func run(
    _ configuration: Configuration, _ ends: [Int32]?, _ outcome: Outcome
  ) async throws -> ProgramEnd {
    let status: TerminationStatus
    if let ends = ends?.map(FileDescriptor.init(rawValue:)) {
      status = try await Subprocess.run(
        configuration, input: .fileDescriptor(ends[0], closeAfterSpawningProcess: false),
        output: .fileDescriptor(ends[1], closeAfterSpawningProcess: false),
        error: .fileDescriptor(ends[2], closeAfterSpawningProcess: false)
      ) { execution in
        let identifier = execution.processIdentifier
        await outcome.hold(identifier.value, identifier.processDescriptor)
      }.terminationStatus
    } else {
      status = try await Subprocess.run(
        configuration, input: .none, output: .discarded, error: .discarded
      ) { execution in
        let identifier = execution.processIdentifier
        await outcome.hold(identifier.value, identifier.processDescriptor)
      }.terminationStatus
    }
    switch status {
    case .exited(let status): return .exited(status)
    case .signaled(let signal): return .signaled(signal)
    }
  }

  private var configuration: Configuration {
    var options = PlatformOptions()
    options.createSession = true
    let additions = environment.map { name, value in
      (Environment.Key(rawValue: name), value)
    }
    var changes: [Environment.Key: String?] = [:]
    for case (let name?, let value) in additions { changes[name] = value }
    return Configuration(
      executable: .path("/bin/sh"), arguments: Arguments(arguments),
      environment: .inherit.updating(changes),
      workingDirectory: directory.map { FilePath($0) }, platformOptions: options)
  }
}

/// Runs what swift-subprocess does, each step on a thread of its own.
///
/// Not on the co-operative pool: where its few threads are all blocked, by whoever embeds us, a
/// program would neither start nor be seen to end.
private final class LaunchExecutor: TaskExecutor {
  static let shared = LaunchExecutor()

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let executor = asUnownedTaskExecutor()
    if let thread = RunnerThread({ job.runSynchronously(on: executor) }) {
      thread.detach()
    } else {
      // With no thread to be had, the one that asks does it.
      job.runSynchronously(on: executor)
    }
  }
}
