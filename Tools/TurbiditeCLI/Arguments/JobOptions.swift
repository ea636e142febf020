// JobOptions — what a job of programs reads, runs and may use up.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite
import TurbiditePrograms
import TurbiditeProgramJobs

/// Where a job reads: a keyspace or a stream.
enum JobInputName: Hashable, Sendable, ExpressibleByArgument {
  case keyspace(String?)
  case stream(String)

  init?(argument: String) {
    if argument == "default" {
      self = .keyspace(nil)
    } else if argument.hasPrefix("keyspace:"), argument != "keyspace:" {
      self = .keyspace(String(argument.dropFirst("keyspace:".count)))
    } else if argument.hasPrefix("stream:"), argument != "stream:" {
      self = .stream(String(argument.dropFirst("stream:".count)))
    } else {
      return nil
    }
  }
}

extension JobDestination: ExpressibleByArgument {
  /// `-`, `keyspace:NAME`, `stream:NAME`, or a path.
  public init?(argument: String) {
    if argument.isEmpty { return nil }
    if argument == "-" {
      self = .standardOutput
    } else if argument.hasPrefix("keyspace:") {
      guard argument != "keyspace:" else { return nil }
      self = .keyspace(String(argument.dropFirst("keyspace:".count)))
    } else if argument.hasPrefix("stream:") {
      guard argument != "stream:" else { return nil }
      self = .stream(String(argument.dropFirst("stream:".count)))
    } else {
      self = .directory(argument)
    }
  }
}

/// What the programs of a job may use up.
struct JobLimitOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Tasks at once; one a processor.", valueName: "count"))
  var workers: Int?
  @Option(help: ArgumentHelp("Bytes for what is grouped: 64M, 2G.", valueName: "bytes"))
  var memory = ByteSize(byteCount: 256 << 20)
  @Option(
    help: ArgumentHelp(
      "How often a task is begun before its failing record is looked for.", valueName: "count"))
  var attempts = 3
  @Option(
    help: ArgumentHelp(
      "Records that may be set aside when a program fails at them.", valueName: "count"))
  var quarantine = 0
  @Option(
    help: ArgumentHelp("Seconds that a program may take for a task; 0 for any.", valueName: "s"))
  var timeout = 600.0
  @Option(help: ArgumentHelp("Seconds of processor time of a program.", valueName: "s"))
  var cpu: Int?
  @Option(
    help: ArgumentHelp("Bytes of memory of each process of a program.", valueName: "bytes"))
  var programMemory: ByteSize?
  @Option(help: ArgumentHelp("Bytes that a program may print for a task.", valueName: "bytes"))
  var printed: ByteSize?
  @Option(
    help: ArgumentHelp("Where jobs lie, if not in DIR/jobs.", valueName: "dir"))
  var jobs: String?

  mutating func validate() throws {
    if let workers, !(1...256).contains(workers) {
      throw ValidationError("--workers takes 1 to 256, not \(workers)")
    }
    guard memory.byteCount >= 1 << 20 else { throw ValidationError("--memory takes 1M or more") }
    guard (1...100).contains(attempts) else {
      throw ValidationError("--attempts takes 1 to 100, not \(attempts)")
    }
    guard quarantine >= 0 else {
      throw ValidationError("--quarantine takes 0 or more, not \(quarantine)")
    }
    guard timeout >= 0, timeout < 1e9 else {
      throw ValidationError("--timeout takes 0 or more seconds, not \(timeout)")
    }
    if let cpu, cpu < 1 { throw ValidationError("--cpu takes 1 or more seconds, not \(cpu)") }
    if let programMemory, programMemory.byteCount < 1 << 20 {
      throw ValidationError("--program-memory takes 1M or more")
    }
  }

  var settings: JobSettings {
    var settings = JobSettings(workerCount: workers ?? JobSettings.defaultWorkerCount)
    settings.memoryByteCount = memory.byteCount
    settings.attemptCount = attempts
    settings.quarantineLimit = quarantine
    settings.limits.wallSeconds = timeout == 0 ? nil : timeout
    settings.limits.cpuSeconds = cpu
    settings.limits.memoryByteCount = programMemory?.byteCount
    settings.limits.outputByteCount = printed?.byteCount
    return settings
  }

  func directory(of store: String) -> String { jobs ?? JobSettings.jobsDirectory(of: store) }
}

extension ByteSize {
  init(byteCount: Int) { self.byteCount = byteCount }
}
