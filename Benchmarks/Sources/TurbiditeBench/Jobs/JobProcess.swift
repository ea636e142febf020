// JobProcess — a program from its start to its end: seconds, processor time and memory.
//
// Room:    Benchmarks.
// Limits:  The peak is that of the largest process among the program and those it waited for, not
//          of their sum: it flatters tools that work in several processes.

import Glibc

/// What a program has taken.
struct JobCost: Codable, Sendable {
  var seconds: Double
  /// In user and kernel mode, with the processes it waited for.
  var processorSeconds: Double
  var peakMebibytes: Double
}

/// Starts a program, and waits for its end; what it prints goes into a file.
///
/// The error for a program that fails ends with the last line of that.
func measureProcess(_ arguments: [String], log: String) throws -> JobCost {
  var pointers = arguments.map { strdup($0) } + [nil]
  defer { for pointer in pointers { free(pointer) } }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
  posix_spawn_file_actions_addopen(
    &actions, STDOUT_FILENO, log, O_CREAT | O_WRONLY | O_TRUNC, 0o644)
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
  let watch = Stopwatch()
  var child: pid_t = 0
  let code = posix_spawnp(&child, arguments[0], &actions, nil, &pointers, environ)
  guard code == 0 else { throw Stop("cannot start \(arguments[0]): errno \(code)") }
  var status: Int32 = 0
  var usage = rusage()
  while wait4(child, &status, 0, &usage) < 0 {
    guard errno == EINTR else { throw Stop("cannot wait for \(arguments[0]): errno \(errno)") }
  }
  let wall = watch.seconds
  guard status == 0 else {
    let last = contents(ofFile: log).split(separator: "\n").last ?? "it said nothing"
    let signal = status & 0x7f
    let end = signal == 0 ? "status \(status >> 8 & 0xff)" : "signal \(signal)"
    throw Stop("\(arguments[0]) ended with \(end): \(last)")
  }
  func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
  return JobCost(
    seconds: wall, processorSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
    peakMebibytes: Double(usage.ru_maxrss) / 1024)
}
