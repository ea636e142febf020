// Processors — how many there are, and how to give one away.
//
// Room:    System.

#if canImport(Glibc)
import Glibc
#endif

/// The processors that this process may use; at least 1.
package func processorCount() -> Int {
  max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
}

/// Lets another thread run first.
package func yieldProcessor() {
  // The call cannot fail on Linux, and would change nothing if it did.
  _ = sched_yield()
}
