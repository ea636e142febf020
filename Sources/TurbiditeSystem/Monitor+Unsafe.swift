// Monitor — a lock with a condition: a thread sleeps until another says that something changed.
//
// Room:    System.
// Source:  Hoare, CACM 1974, with the semantics of Mesa: a woken thread looks again (Lampson and
//          Redell, CACM 1980).

#if canImport(Glibc)
import Glibc
#endif

/// A mutex and a condition variable, which reads deadlines on the monotonic clock.
///
/// Safe to share: both live in memory of their own at a fixed address from `init` to `deinit`, and
/// are touched through pthread calls only.
@safe
package final class Monitor: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  package init() {
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    // Safe: the memory was allocated on the lines above and is initialised here, once.
    unsafe mutex.initialize(to: pthread_mutex_t())
    unsafe condition.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    let failed = unsafe pthread_mutex_init(mutex, nil) | pthread_cond_init(condition, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
    precondition(failed == 0, "pthread_mutex_init or pthread_cond_init failed")
  }

  deinit {
    // Safe: nobody holds a reference any more, so nobody holds or waits.
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  /// Runs `body` under the lock.
  func withLock<Result>(_ body: () -> Result) -> Result {
    lock()
    defer { unlock() }
    return body()
  }

  /// Takes the lock, which this thread does not hold.
  package func lock() {
    // Safe: the mutex is initialised; what is passed to it lives as long as this object.
    let code = unsafe pthread_mutex_lock(mutex)
    assert(code == 0)
  }

  /// Gives back the lock, which this thread holds.
  package func unlock() {
    // Safe: as in `lock`.
    let code = unsafe pthread_mutex_unlock(mutex)
    assert(code == 0)
  }

  /// Sleeps until woken, without the lock meanwhile.
  ///
  /// To be called under the lock; may return for no reason.
  func wait() {
    // Safe: the caller is inside `withLock`.
    let code = unsafe pthread_cond_wait(condition, mutex)
    assert(code == 0)
  }

  /// As ``wait()``, but returns at `deadline`, a monotonic time, at the latest.
  ///
  /// - Returns: false when the deadline has passed.
  func wait(until deadline: UInt64) -> Bool {
    var time = timespec(nanoseconds: deadline)
    // Safe: the caller is inside `withLock`; `time` is a local.
    return unsafe pthread_cond_timedwait(condition, mutex, &time) != ETIMEDOUT
  }

  /// Wakes one sleeper, or all of them.
  func wakeOne() {
    // Safe: the condition variable is initialised.
    unsafe _ = pthread_cond_signal(condition)
  }

  func wakeAll() {
    // Safe: the condition variable is initialised.
    unsafe _ = pthread_cond_broadcast(condition)
  }
}
