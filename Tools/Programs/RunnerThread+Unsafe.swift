// RunnerThread — a thread that is started, and waited for.
//
// Room:    Programs.

#if canImport(Glibc)
import Glibc
#endif

/// A thread of ours, on which no signal of the process is handled, and a closed pipe is an error.
///
/// A SIGPIPE that a write raises is kept back by the mask of the thread, and goes with it: the
/// process's answer to the signal is not touched, and children begin with an empty mask anyway.
struct RunnerThread: ~Copyable {
  private final class Work {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private let identifier: pthread_t

  /// Nil when there are too many threads.
  init?(_ body: @escaping @Sendable () -> Void) {
    // Safe: the reference is given back by the thread, or below when there is none.
    let reference = unsafe Unmanaged.passRetained(Work(body))
    var signals = sigset_t()
    var before = sigset_t()
    var created = pthread_t()
    // Safe: all are locals of this frame. The mask is inherited: blocked before the thread is born,
    // there is no moment without it.
    unsafe sigfillset(&signals)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] {
      unsafe sigdelset(&signals, fault)
    }
    unsafe pthread_sigmask(SIG_SETMASK, &signals, &before)
    let code = unsafe pthread_create(
      &created, nil,
      { argument in
        guard let argument = unsafe argument else { return nil }
        unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, reference.toOpaque())
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    guard code == 0 else {
      unsafe reference.release()
      return nil
    }
    identifier = created
  }

  /// Sleeps for so long at least.
  static func pause(microseconds: UInt32) { usleep(microseconds) }

  /// Lets it end by itself.
  consuming func detach() { pthread_detach(identifier) }

  /// Waits for its end.
  consuming func join() { pthread_join(identifier, nil) }
}
