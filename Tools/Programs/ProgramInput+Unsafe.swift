// ProgramInput — standard input of a program, as long as it takes it.
//
// Room:    Programs.

/// Gives bytes to a program.
///
/// For the thread that `feed` was called on, and until it returns.
package final class ProgramInput {
  /// What is written in one call at least, but for the last.
  private static let bufferByteCount = 128 << 10

  private var end: PipeEnd?
  private let stop: Bell
  private var buffer: [UInt8] = []
  private var isRefused = false

  init(_ end: consuming PipeEnd, stop: Bell) {
    self.end = consume end
    self.stop = stop
    buffer.reserveCapacity(Self.bufferByteCount)
  }

  /// Gives bytes to the program; blocks while it is not ready for them.
  ///
  /// - Returns: false once the program has closed its input or is over: nothing more is taken. As
  ///   bytes are collected here, some of those before were not taken either.
  package func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if isRefused { return false }
    if buffer.count + bytes.count < Self.bufferByteCount {
      buffer.append(contentsOf: bytes)
      return true
    }
    return flush() && send(bytes)
  }

  /// Writes what was collected.
  private func flush() -> Bool {
    if buffer.isEmpty { return !isRefused }
    // Safe: the memory is the array's own, and nothing changes it during the call.
    let isTaken = unsafe buffer.withUnsafeBytes { unsafe send($0) }
    buffer.removeAll(keepingCapacity: true)
    return isTaken
  }

  private func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var sent = 0
    while !isRefused, sent < bytes.count {
      // Safe: `sent < bytes.count` was checked above.
      let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[sent...])
      switch end?.write(rest) ?? .end {
      case .bytes(let count): sent += count
      case .end: isRefused = true
      case .wait: isRefused = end?.waitForRoom(unless: stop) ?? true
      }
    }
    return !isRefused
  }

  /// Writes the rest, waits until the program has read it, and closes the pipe.
  ///
  /// The wait is for the answer: what is in a pipe when both ends are closed is never seen again.
  /// It makes the program see the end of its input later by at most `longestWait` milliseconds.
  ///
  /// - Returns: whether the program has read everything.
  func finish() -> Bool {
    let longestWait: Int32 = 4
    // At first in steps that a program which only starts up is not held up by.
    let shortTurnCount: Int32 = 48
    var turnCount: Int32 = 0
    _ = flush()
    while !isRefused, unreadByteCount > 0 {
      if turnCount < shortTurnCount { RunnerThread.pause(microseconds: 100) }
      let milliseconds = max(0, min(longestWait, (turnCount - shortTurnCount) / 4))
      let isRead = end?.waitForReader(milliseconds: milliseconds, unless: stop) ?? false
      guard isRead else {
        isRefused = unreadByteCount > 0
        break
      }
      turnCount += 1
    }
    end = nil
    return !isRefused
  }
  private var unreadByteCount: Int { end?.unreadByteCount ?? 0 }
}
