// Signals — the first one asks for an end, the second one is the end.
//
// Room:    Tools/TurbiditeCLI.
// Source:  POSIX.1-2017 section 2.4.3 (what a handler may call); the pipe that wakes a waiting poll
//          is D. J. Bernstein's self-pipe.
// Limits:  SIGINT, SIGTERM, SIGHUP. SIGPIPE and SIGXFSZ become errors of the write that met them.

import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// The signals that end a command in order.
///
/// Invariants:
/// 1. The handler touches only the two atomic words below, which `install` has initialised, and
///    calls only functions that POSIX allows in a handler (write, sigaction, raise).
/// 2. A signal that was ignored when the command started (nohup, a background job) stays ignored.
enum Signals {
  /// The signal that came first; 0 while none has.
  private static let caught = Atomic<Int32>(0)
  /// The end of the pipe that the handler writes to.
  private static let alarm = Atomic<Int32>(-1)
  /// The end of the pipe that a waiting reader polls.
  private static let watched = Atomic<Int32>(-1)

  /// The signal that asked for an end, if one did.
  static var pending: Int32? {
    let signal = caught.load(ordering: .relaxed)
    return signal == 0 ? nil : signal
  }

  /// Becomes readable when a signal has come.
  ///
  /// Number -1, which poll ignores, before `install`.
  static var wakeup: Descriptor { Descriptor(number: watched.load(ordering: .relaxed)) }

  /// Throws when a signal has asked for an end.
  ///
  /// Called between two records, never within one.
  static func check() throws(CommandFailure) {
    if caught.load(ordering: .relaxed) != 0 { throw .interrupted }
  }

  /// Waits for so long.
  ///
  /// - Throws: `interrupted` when a signal comes, `brokenPipe` when nobody reads `output` any more.
  static func pause(
    _ duration: Duration, watching output: Descriptor
  ) throws(CommandFailure) {
    let (seconds, attoseconds) = duration.components
    let milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    var entries = [
      pollfd(fd: wakeup.number, events: Int16(POLLIN), revents: 0),
      // An end that was closed is told without being asked for.
      pollfd(fd: output.number, events: 0, revents: 0),
    ]
    // Safe: two entries are given, and the count is two.
    _ = unsafe entries.withUnsafeMutableBufferPointer { list in
      unsafe poll(list.baseAddress, 2, milliseconds)
    }
    try check()
    if entries[1].revents & Int16(POLLERR) != 0 { throw .brokenPipe }
  }

  /// Takes over the signals.
  ///
  /// Called once, before anything is opened.
  static func install() {
    var ends: [Int32] = [-1, -1]
    // Safe: pipe writes two numbers to an array of two.
    let made = unsafe ends.withUnsafeMutableBufferPointer { list in
      guard let base = list.baseAddress else { return Int32(-1) }
      return unsafe pipe(base)
    }
    if made == 0 {
      // The handler must never wait for room in the pipe. The command starts no other program.
      for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
      watched.store(ends[0], ordering: .relaxed)
      alarm.store(ends[1], ordering: .relaxed)
    }
    caught.store(0, ordering: .sequentiallyConsistent)
    for signal in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(signal) {
      set(signal) { Signals.handle($0) }
      // Some programs start others with their own threads' blocked signals; ours must arrive.
      unblock(signal)
    }
    set(SIGPIPE, SIG_IGN)
    set(SIGXFSZ, SIG_IGN)
  }

  /// Ends this process by `signal`, so that a shell sees why.
  static func end(by signal: Int32) -> Never {
    set(signal, SIG_DFL)
    unblock(signal)
    raise(signal)
    // Only a tracer can bring us here.
    exit(128 + signal)
  }

  /// The number of SIGPIPE, for those who may not import Glibc.
  static var brokenPipe: Int32 { SIGPIPE }

  private static func handle(_ signal: Int32) {
    let saved = errno
    let first = caught.compareExchange(
      expected: 0, desired: signal, ordering: .sequentiallyConsistent)
    if first.exchanged {
      let byte: UInt8 = 1
      // Safe: one byte is written from a constant of one byte. A full pipe is readable already.
      _ = unsafe withUnsafeBytes(of: byte) {
        unsafe write(alarm.load(ordering: .relaxed), $0.baseAddress, 1)
      }
    } else {
      // The second: default action, delivered when this handler returns.
      set(signal, SIG_DFL)
      raise(signal)
    }
    errno = saved
  }

  private static func set(_ signal: Int32, _ handler: __sighandler_t?) {
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = handler
    // No SA_RESTART: a read that waits returns, and the flag is looked at.
    action.sa_flags = 0
    // Safe: the structure is complete, and the old action is not asked for.
    _ = unsafe sigaction(signal, &action, nil)
  }

  private static func unblock(_ signal: Int32) {
    var set = sigset_t()
    // Safe: the set is filled by the calls before it is used.
    _ = unsafe sigemptyset(&set)
    _ = unsafe sigaddset(&set, signal)
    _ = unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  private static func isIgnored(_ signal: Int32) -> Bool {
    var action = sigaction()
    // Safe: with no new action the call only fills the structure.
    guard unsafe sigaction(signal, nil, &action) == 0 else { return false }
    let current = unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
    let ignored = unsafe unsafeBitCast(SIG_IGN, to: Int.self)
    return current == ignored
  }
}
