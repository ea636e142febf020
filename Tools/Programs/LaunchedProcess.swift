// LaunchedProcess — a child that is not reaped before we say so, and the bridge to its task.
//
// Room:    Programs.
// Limits:  While the child is a zombie its number is nobody else's, nor is that of its process
//          group: a signal to the group never meets a stranger.

import Synchronization

/// What the task that awaits a process tells the thread that waits for it.
///
/// The bell rings twice: when the child is there or has failed to be, and when it is reaped.
final class Outcome: Sendable {
  private struct State {
    var process: Int32?
    var descriptor: Int32 = -1
    var end: ProgramEnd?
    var holder: CheckedContinuation<Void, Never>?
    var isReleased = false
  }

  private let state = Mutex(State())
  private let bell: Bell

  init(_ bell: Bell) { self.bell = bell }

  /// Tells of the child, and suspends until it is released.
  func hold(_ process: Int32, _ descriptor: Int32) async {
    await withCheckedContinuation { continuation in
      state.withLock { state in
        state.process = process
        state.descriptor = descriptor
        state.holder = continuation
      }
      bell.ring()
    }
  }

  /// Tells how it ended.
  func end(_ end: ProgramEnd) {
    state.withLock { $0.end = end }
    bell.ring()
  }

  /// After the first ring: the process, or why there is none.
  func started() -> (process: LaunchedProcess?, failure: String) {
    let (process, descriptor, end) = state.withLock { ($0.process, $0.descriptor, $0.end) }
    if let process {
      return (LaunchedProcess(process, descriptor, self, bell), "")
    }
    if case .launchFailed(let reason) = end { return (nil, reason) }
    return (nil, "the process ended as it was started")
  }

  /// Lets the task reap the child.
  func release() {
    let holder = state.withLock { state in
      defer { state.holder = nil }
      return state.holder
    }
    holder?.resume()
  }

  /// After the second ring: how it ended.
  var settled: ProgramEnd {
    state.withLock { $0.end ?? .launchFailed("the end of the process was not told") }
  }
}

/// A child that runs, or is a zombie.
struct LaunchedProcess: Sendable {
  let group: ProcessGroup
  private let outcome: Outcome
  private let bell: Bell

  init(_ process: Int32, _ descriptor: Int32, _ outcome: Outcome, _ bell: Bell) {
    group = ProcessGroup(leader: process, descriptor: descriptor)
    self.outcome = outcome
    self.bell = bell
  }

  /// Reaps the child, which has ended or is about to; the group must not be signalled any more.
  func reap() -> ProgramEnd {
    // Without a descriptor, which is what a process with too many open files gets, swift-subprocess
    // waits for a signal that nobody has asked for, and so for ever.
    if group.descriptor < 0, let end = group.reap() {
      outcome.release()
      return end
    }
    outcome.release()
    bell.wait()
    return outcome.settled
  }
}
