// Sandbox — what bubblewrap takes from a program: the network, other processes, and all writing.
//
// Room:    Programs.
// Source:  bwrap(1) of bubblewrap 0.8.
// Limits:  The program reads every file this user can read, but for those below /tmp. A socket
//          that lies in the file system as a file can be connected to: what listens there decides.
//          It dies with the thread that started it (PR_SET_PDEATHSIG), which in swift-subprocess
//          lives as long as the process; a thread of the pool would not do.
//          A signal reaches bwrap alone, whose end is the program's by SIGKILL: it gets no SIGTERM.

/// The walls around a program.
///
/// It has no network, a file system that is read-only, a /tmp of its own in memory, which its
/// memory limit does not count, and process numbers of its own; it dies when this process does.
package struct Sandbox: Sendable, Hashable {
  /// Directories that it may write to, by absolute path; they must exist.
  package var writableDirectories: [String]

  package init(writableDirectories: [String] = []) {
    self.writableDirectories = writableDirectories
  }

  /// Says why programs cannot be shut in on this machine; nil when they can.
  ///
  /// It tries, which takes some milliseconds and blocks the calling thread.
  package static func refusal() -> String? {
    let program = Program(command: "true", sandbox: Sandbox())
    let result = runProgram(
      program, feed: { _ in }, receive: { _ in true }, report: { _ in }, isCancelled: { false })
    switch result.end {
    case .exited(0): return nil
    case .launchFailed(let reason): return reason
    default: return "a sandbox for `true` ended with \(result.end)"
    }
  }

  /// The words in front of the command.
  func words(for program: Program) -> [String] {
    var words = [
      "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",
      "--unshare-all", "--die-with-parent", "--new-session",
      // What root could do: mount over what is read-only, and change the kernel's settings.
      "--cap-drop", "ALL",
    ]
    for name in ["bus", "fs", "irq", "sys", "sysrq-trigger"] {
      words += ["--ro-bind-try", "/proc/\(name)", "/proc/\(name)"]
    }
    // Set inside: a variable that the loader obeys must not be obeyed by bwrap itself.
    for (name, value) in program.environment.sorted(by: { $0.key < $1.key }) {
      words += ["--setenv", name, value]
    }
    if let directory = program.directory {
      // What lies in the outer /tmp is hidden, but for where the program is to work.
      if directory.hasPrefix("/tmp/") { words += ["--ro-bind", directory, directory] }
    }
    for directory in writableDirectories { words += ["--bind", directory, directory] }
    if let directory = program.directory { words += ["--chdir", directory] }
    return words
  }
}
