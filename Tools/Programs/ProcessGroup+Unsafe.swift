// ProcessGroup — a child and what it has forked, seen from outside.
//
// Room:    Programs.
// Source:  pidfd_open(2): readable when the process has ended; proc_pid_stat(5), fields 14 to 17.

#if canImport(Glibc)
import Glibc
#endif

/// The group whose leader is a child of ours that nobody has reaped.
struct ProcessGroup: Sendable {
  /// The leader's process, which is the group's number.
  let leader: Int32
  /// Readable when the leader has ended; -1 before Linux 5.3.
  let descriptor: Int32

  static let terminate: Int32 = SIGTERM
  static let kill: Int32 = SIGKILL
  static let processorTimeUp: Int32 = SIGXCPU

  /// Whether the leader has ended; it stays a zombie.
  var hasEnded: Bool {
    var information = siginfo_t()
    // Safe: the call fills the structure it is given, or fails.
    let code = unsafe waitid(
      P_PID, id_t(leader), &information, WEXITED | WNOHANG | WNOWAIT)
    guard code == 0 else { return errno != EINTR }
    // Not filled when the child still runs.
    return information.si_signo == SIGCHLD
  }

  /// Reaps the leader, which has ended or is about to; nil when somebody else has.
  func reap() -> ProgramEnd? {
    var information = siginfo_t()
    while true {
      // Safe: the call fills the structure it is given, or fails.
      let code = unsafe waitid(P_PID, id_t(leader), &information, WEXITED)
      if code == 0 { break }
      if errno != EINTR { return nil }
    }
    // Safe: the call succeeded, so what it has filled in is about a child.
    let status = unsafe information._sifields._sigchld.si_status
    return information.si_code == Int32(CLD_EXITED) ? .exited(status) : .signaled(status)
  }

  /// Sends a signal to all of the group; those that are stopped go on, so that they get it.
  func send(_ signal: Int32) {
    // A failure says that there is nobody left who could get it.
    _ = Glibc.kill(-leader, signal)
    _ = Glibc.kill(-leader, SIGCONT)
  }

  /// Seconds of processor time of the leader and of the children it has reaped; 0 when the kernel
  /// does not tell.
  ///
  /// Asked of a zombie.
  var processorSeconds: Double {
    guard let file = PipeEnd(reading: "/proc/\(leader)/stat") else { return 0 }
    var bytes = [UInt8](repeating: 0, count: 4096)
    guard case .bytes(let count) = file.read(into: &bytes) else { return 0 }
    // The name of the program, in parentheses, may hold anything; the state follows it as field 3.
    let text = String(decoding: bytes[..<count], as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return 0 }
    let fields = text[end...].split(separator: " ")
    guard fields.count > 15 else { return 0 }
    let ticks = fields[12...15].reduce(0) { $0 + (Double($1) ?? 0) }
    return ticks / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
  }

  /// Processors of this machine.
  static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}
