// EnvironmentVariable — what the caller of the process set, for builds that test the tests.
//
// Room:    System. Compiled only with -DTURBIDITE_PLANTED_BUGS, which Tools/planted-bugs sets.

#if TURBIDITE_PLANTED_BUGS
#if canImport(Glibc)
import Glibc
#endif

/// The value of an environment variable; nil if it is not set.
///
/// To be called before the process changes its environment: the system's table is not locked.
package func environmentVariable(_ name: String) -> String? {
  // Safe: the system's string ends with a zero, and is copied before anyone can change it.
  guard let value = unsafe getenv(name) else { return nil }
  return unsafe String(cString: value)
}
#endif
