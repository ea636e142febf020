// Program — a command of somebody else's, and what it may use up.
//
// Room:    Programs.

/// A command that is run once: the mapper, combiner or reducer of a job.
package struct Program: Sendable {
  /// What `/bin/sh -c` is given: at most 128 KiB, as Linux allows of one argument.
  package var command: String
  /// Added to the environment of this process, over what is there.
  ///
  /// In a sandbox the values are arguments of bwrap, which other users may read in the list of
  /// processes.
  package var environment: [String: String]
  /// The working directory; nil for that of this process.
  ///
  /// In a sandbox that of this process is not there when it is below /tmp; the program then starts
  /// in its user's home. One that is given here is there in any case, to be read.
  package var directory: String?
  package var limits: ProgramLimits
  /// What the program is shut in; nil for nothing.
  package var sandbox: Sandbox?

  package init(
    command: String, environment: [String: String] = [:], directory: String? = nil,
    limits: ProgramLimits = ProgramLimits(), sandbox: Sandbox? = nil
  ) {
    self.command = command
    self.environment = environment
    self.directory = directory
    self.limits = limits
    self.sandbox = sandbox
  }

  /// What is wrong with the description itself; nil when nothing is.
  var finding: String? {
    func holdsZero(_ text: String) -> Bool { text.utf8.contains(0) }
    if holdsZero(command) || holdsZero(directory ?? "") {
      return "the command or its directory holds a zero byte"
    }
    for (name, value) in environment {
      if name.isEmpty || name.contains("=") || holdsZero(name) || holdsZero(value) {
        return "no variable of the environment can have the name or value of `\(name)`"
      }
    }
    for directory in sandbox?.writableDirectories ?? [] where holdsZero(directory) {
      return "a writable directory holds a zero byte"
    }
    return limits.finding
  }
}

/// What a program may use up; nil for as much as this process may.
package struct ProgramLimits: Sendable, Hashable {
  /// Seconds from the start to the end of the program, above 0.
  ///
  /// Then its process group gets SIGTERM, and SIGKILL `graceSeconds` later.
  package var wallSeconds: Double?
  /// Seconds of processor time of each of its processes, above 0.
  ///
  /// RLIMIT_CPU: SIGXCPU at so many, and SIGKILL `hardCPUSeconds` later. A program of many
  /// processes may use up more than this: the limit is not of their sum.
  package var cpuSeconds: Int?
  /// Bytes of address space of each of its processes, at least 1 MiB; rounded down to KiB.
  ///
  /// RLIMIT_AS: a program may raise its limit by an eighth, which lets it say that it failed.
  package var memoryByteCount: Int?
  /// Bytes on standard output; not negative.
  package var outputByteCount: Int?
  /// How long the program has to end when it is asked to, and its children when it has ended.
  package var graceSeconds: Double = 2

  /// How far the hard limit of processor time is above the soft one.
  static let hardCPUSeconds = 2

  package init() {}

  var finding: String? {
    // 2^40 KiB and seconds are more than any machine has, and nothing here overflows.
    let most = 1 << 40
    if let seconds = wallSeconds, !(seconds > 0 && seconds < Double(most)) {
      return "a wall limit of \(seconds) s"
    }
    if let seconds = cpuSeconds, !(1...most).contains(seconds) {
      return "a processor limit of \(seconds) s"
    }
    if let count = memoryByteCount, !((1 << 20)...(most << 10)).contains(count) {
      return "a memory limit of \(count) bytes"
    }
    if let count = outputByteCount, count < 0 { return "an output limit of \(count) bytes" }
    if !(graceSeconds >= 0 && graceSeconds < Double(most)) { return "a grace of \(graceSeconds) s" }
    return nil
  }
}
