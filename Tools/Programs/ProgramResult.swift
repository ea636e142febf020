// ProgramResult — how a program ended, and what it leaves beside its output.
//
// Room:    Programs.

/// How a program ended.
package enum ProgramEnd: Sendable, Hashable {
  /// It exited with this status.
  ///
  /// A shell that does not give its place to its last command says 128 + n when signal n ended
  /// that command, and so does bwrap: in a sandbox a signal is always told so.
  case exited(Int32)
  /// A signal ended it that we did not send.
  case signaled(Int32)
  /// It ran longer than its wall limit.
  case timedOut
  /// It used up its processor time.
  ///
  /// Told when the limit is set and the program ended by SIGXCPU, or by SIGKILL after so much time
  /// of the processor. In a sandbox that time is not seen: there, SIGKILL counts when the program
  /// could have used it up on all processors since its start.
  case cpuLimit
  /// It wrote more than it may.
  case outputLimit
  /// It never ran, for this reason.
  ///
  /// After status 126 or 127 the first word of the command is looked up as the shell did; when
  /// it cannot be run, the status was the shell's. This ends where the first word is not plain text
  /// (quotes, variables), after an assignment of PATH, and at all later words: `cd / && nothing`
  /// has exited with 127.
  case launchFailed(String)
  /// The caller wanted no more of it.
  case cancelled
}

/// What is left of a program.
package struct ProgramResult: Sendable {
  package var end: ProgramEnd
  /// Bytes of standard output that were received.
  package var outputByteCount: Int
  /// The last 4 KiB of the lines of standard error that were for nobody else, as text without
  /// control characters.
  package var errorTail: String
  /// Whether the program read all that was fed.
  package var inputWasTaken: Bool

  init(
    end: ProgramEnd, outputByteCount: Int = 0, errorTail: String = "", inputWasTaken: Bool = false
  ) {
    self.end = end
    self.outputByteCount = outputByteCount
    self.errorTail = errorTail
    self.inputWasTaken = inputWasTaken
  }
}
