// Verdict — what the end of a process says about the program.
//
// Room:    Programs.
// Source:  POSIX.1-2017, XCU 2.8.2: a shell's 126, 127 and 128 + n.

/// Everything about a run that its exit status does not say; made before the process is reaped.
struct Verdict {
  private let program: Program
  private let reason: ProgramEnd?
  private let processorSeconds: Double
  private let elapsedSeconds: Double

  init(program: Program, watch: Watch, group: ProcessGroup) {
    self.program = program
    reason = watch.reason
    processorSeconds = group.processorSeconds
    elapsedSeconds = watch.elapsedSeconds
  }

  /// How the program ended, given how its process did.
  func end(_ end: ProgramEnd, wasStarted: Bool, errorTail: String) -> ProgramEnd {
    if let reason { return reason }
    let words = errorTail.split(separator: "\n").joined(separator: "; ")
    if !wasStarted {
      if case .launchFailed = end { return end }
      return .launchFailed(words.isEmpty ? "\(end) before the command was reached" : words)
    }
    if isProcessorLimit(end) { return .cpuLimit }
    switch end {
    case .exited(126), .exited(127):
      if let word = lookupWord, !canRun(word) {
        return .launchFailed("`\(word)` cannot be run: \(words)")
      }
      return end
    default: return end
    }
  }

  private func isProcessorLimit(_ end: ProgramEnd) -> Bool {
    guard let limit = program.limits.cpuSeconds else { return false }
    switch end {
    case .signaled(ProcessGroup.processorTimeUp), .exited(128 + ProcessGroup.processorTimeUp):
      return true
    case .signaled(ProcessGroup.kill), .exited(128 + ProcessGroup.kill):
      if program.sandbox == nil { return processorSeconds >= Double(limit) }
      return elapsedSeconds * Double(ProcessGroup.processorCount) >= Double(limit)
    default: return false
    }
  }

  /// The word that the shell looks up to run the command; nil when only the shell can tell.
  var lookupWord: String? {
    for word in program.command.split(whereSeparator: { $0.isWhitespace }) {
      if word == "exec" { continue }
      let plain = word.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...:
          true
        default: "/._-+@%:,=".utf8.contains(byte)
        }
      }
      if !plain || word.hasPrefix("PATH=") { return nil }
      if !word.contains("=") { return String(word) }
    }
    return nil
  }

  /// Whether the shell finds something to run; true when it cannot be asked.
  private func canRun(_ word: String) -> Bool {
    guard let bell = Bell() else { return true }
    let (process, _) = Launch(lookup: word, for: program).start(ends: nil, bell: bell)
    guard let process else { return true }
    return process.reap() != .exited(Launch.notFoundStatus)
  }
}
