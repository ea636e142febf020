// SystemThread — a thread of the engine's own.
//
// Room:    System.

import CTurbiditeShims

#if canImport(Glibc)
import Glibc
#endif

/// A named POSIX thread on which no signal of the process is handled.
///
/// Signals that tell of a fault of the thread itself (SIGSEGV and the like) are not blocked: a
/// crash is reported as such.
@safe
package final class SystemThread: Sendable {
  /// The system's limit on the name of a thread, in bytes.
  private static let nameByteLimit = 15

  private struct Work {
    let name: String
    let body: @Sendable () -> Void
  }

  private final class Box {
    let work: Work
    init(_ work: Work) { self.work = work }
  }

  private let identifier: pthread_t
  private let isJoined = Guarded(false)

  /// Starts a thread that runs `body` and ends.
  ///
  /// - Parameter name: for debuggers; cut to 15 bytes, ASCII.
  package init(name: String, body: @escaping @Sendable () -> Void) throws(SystemError) {
    precondition(name.utf8.allSatisfy { $0 > 0 && $0 < 128 }, "the name of a thread is ASCII")
    let box = Box(Work(name: String(name.prefix(Self.nameByteLimit)), body: body))
    // Safe: the reference is given back by the thread, or below when there is none.
    let reference = unsafe Unmanaged.passRetained(box)
    var created = pthread_t()
    // The mask is inherited: blocked before the thread is born, there is no moment without it.
    let code = Self.withSignalsBlocked {
      unsafe pthread_create(
        &created, nil,
        { argument in
          guard let argument = unsafe argument else { return nil }
          let box = unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
          unsafe turbidite_name_thread(box.work.name)
          box.work.body()
          return nil
        }, reference.toOpaque())
    }
    guard code == 0 else {
      unsafe reference.release()
      throw SystemError(operation: "pthread_create", path: "", code: code)
    }
    identifier = created
  }

  deinit {
    // The thread was neither joined nor detached before; its own end frees it now.
    if !isJoined.withLock({ $0 }) { pthread_detach(identifier) }
  }

  /// Waits for the end of the thread.
  ///
  /// Not to be called by the thread itself, nor twice.
  package func join() {
    let isFirst = isJoined.withLock { joined -> Bool in
      defer { joined = true }
      return !joined
    }
    precondition(isFirst, "a thread is joined once")
    // The check above lets one caller through.
    let code = pthread_join(identifier, nil)
    precondition(code == 0, "a thread cannot wait for its own end")
  }

  /// Runs `body` with every signal blocked on this thread but those that faults raise.
  private static func withSignalsBlocked(_ body: () -> Int32) -> Int32 {
    var signals = sigset_t()
    var before = sigset_t()
    // Safe: both are locals of this frame.
    unsafe sigfillset(&signals)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] {
      unsafe sigdelset(&signals, fault)
    }
    unsafe pthread_sigmask(SIG_SETMASK, &signals, &before)
    let code = body()
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    return code
  }
}
