// ChildProcess — a child, what it says, and its end.
//
// Room:    Tools/Torture.
// Source:  strace(1), "Tampering": a signal is sent when a thread enters its n-th call of a kind.

import Foundation

/// How a child ended.
package struct ChildEnd: Sendable {
  /// What it had said.
  var sentences: [Acknowledgement]
  /// The signal that ended it; 0 when it ended by itself.
  var signal: Int32
  /// Its exit status when it ended by itself.
  var status: Int32
  /// Its last words on standard error.
  var complaint: String

  var wasKilled: Bool { signal == SIGKILL }
  /// A signal that says that the program is wrong.
  var isTrap: Bool { [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE].contains(signal) }

  var explanation: String {
    (signal != 0 ? "signal \(signal)" : "status \(status)")
      + (complaint.isEmpty ? "" : ": \(complaint)")
  }
}

/// A running child.
final class ChildProcess {
  private let process: pid_t
  private let reader: Int32
  private let complaintPath: String
  private var received: [UInt8] = []
  private var isAtEnd = false

  /// Starts `words`, with everything it complains about in a file in `scratch`.
  init(_ words: [String], scratch: String) throws(TortureFailure) {
    complaintPath = scratch + "/child.err"
    var ends: [Int32] = [-1, -1]
    try require(pipe(&ends) == 0, "pipe failed with \(errno)")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    // F_SETPIPE_SZ, which Glibc's module lacks: a writer should seldom wait for us.
    _ = fcntl(ends[0], 1031, 1 << 20)
    let started = Self.spawn(words, output: ends[1], complaints: scratch + "/child.err")
    close(ends[1])
    reader = ends[0]
    process = started.process
    try require(started.code == 0, "starting \(words[0]) failed with \(started.code)")
  }

  deinit { close(reader) }

  /// Takes in what the child says, for so long or until `stop` says that it is enough.
  func listen(milliseconds: Int, until stop: ([UInt8]) -> Bool = { _ in false }) {
    let deadline = ProcessInfo.processInfo.systemUptime + Double(milliseconds) / 1000
    while !isAtEnd, !stop(received) {
      let left = deadline - ProcessInfo.processInfo.systemUptime
      if left <= 0 { return }
      var watched = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
      _ = poll(&watched, 1, Int32(left * 1000) + 1)
      drain()
    }
  }

  /// Waits until the child has opened the store; false when it has not within so long.
  func listenForOpening(milliseconds: Int) -> Bool {
    let mark = Array(Acknowledgement.Kind.opened.rawValue.utf8)
    func isOpen(_ bytes: [UInt8]) -> Bool {
      // The second sentence: the first is the child's birth.
      bytes.count >= 2 * Acknowledgement.byteCount
        && bytes[Acknowledgement.byteCount...].starts(with: mark)
    }
    listen(milliseconds: milliseconds, until: isOpen)
    return isOpen(received)
  }

  /// Takes in what the child has said by now, without waiting; how many sentences that makes.
  func countSentences() -> Int {
    drain()
    return received.count / Acknowledgement.byteCount
  }

  /// Whether the child, and whoever watches it, has ended.
  var hasClosed: Bool { isAtEnd }

  /// Kills the child if it lives, and waits for its end; a tracer ends as its child does.
  func end() throws(TortureFailure) -> ChildEnd {
    let child = try born()
    if !isAtEnd { kill(child ?? process, SIGKILL) }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    drain()
    let signal = status & 0x7f
    return ChildEnd(
      sentences: try Acknowledgement.list(in: received), signal: signal,
      status: status >> 8 & 0xff, complaint: signal == SIGKILL ? "" : complaint())
  }

  /// The child's process, which is not ours when a tracer stands between.
  ///
  /// A tracer that died would let its child live on: the child is asked for its name first.
  private func born() throws(TortureFailure) -> pid_t? {
    if isAtEnd { return nil }
    listen(milliseconds: 10_000) { $0.count >= Acknowledgement.byteCount }
    guard received.count >= Acknowledgement.byteCount else { return nil }
    let first = try Acknowledgement(bytes: received[..<Acknowledgement.byteCount])
    try require(first.kind == .born, "a child's first word was \(first)")
    return pid_t(first.number)
  }

  private func drain() {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(reader, &buffer, buffer.count)
      if count > 0 {
        received += buffer.prefix(count)
      } else if count == 0 {
        isAtEnd = true
        return
      } else if errno != EINTR {
        return
      }
    }
  }

  private func complaint() -> String {
    guard let text = FileManager.default.contents(atPath: complaintPath) else { return "" }
    return String(decoding: text.prefix(2000), as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private static func spawn(
    _ words: [String], output: Int32, complaints: String
  ) -> (process: pid_t, code: Int32) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_addopen(&actions, 2, complaints, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    let inherited = ProcessInfo.processInfo.environment
    var variables = [
      "SWIFT_BACKTRACE=enable=no", "PATH=\(inherited["PATH"] ?? "/usr/bin:/bin")",
    ]
    // A child has the mistake that Tools/planted-bugs asks for; its sanitizer obeys as ours does.
    for name in ["TURBIDITE_PLANTED_BUG", "ASAN_OPTIONS", "TSAN_OPTIONS"] {
      if let value = inherited[name] { variables.append("\(name)=\(value)") }
    }
    var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
    defer { (arguments + environment).forEach { free($0) } }
    var process: pid_t = 0
    let code = posix_spawnp(&process, words[0], &actions, nil, &arguments, &environment)
    return (process, code)
  }
}
