// SanitizedMutex — a lock that ThreadSanitizer can see, in builds that are made for it.
//
// Room:    Engine/Bytes. Compiled only with -DTURBIDITE_THREAD_SANITIZER, which Tools/test sets.

#if TURBIDITE_THREAD_SANITIZER
import TurbiditeSystem

/// Stands in for `Synchronization.Mutex`, which takes its lock inside the standard library when it
/// is contended: no sanitizer sees it there, and reports races that are none.
///
/// Safe to share: `value` is touched under the monitor's lock only.
final class Mutex<Value>: @unchecked Sendable {
  private let monitor = Monitor()
  private var value: Value

  init(_ value: Value) { self.value = value }

  func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    monitor.lock()
    defer { monitor.unlock() }
    return try body(&value)
  }
}
#endif
