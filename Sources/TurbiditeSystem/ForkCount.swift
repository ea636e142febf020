// ForkCount — tells a process from its children.
//
// Room:    System.
// Limits:  Forks by raw system calls (clone(2) without libc) are not seen.

import CTurbiditeShims

/// How many forks lie between this process and the one that was started.
///
/// Costs one load: a handler of pthread_atfork(3) counts, where getpid(2) would be a system call.
package enum ForkCount {
  /// The number for this process.
  package static var current: UInt32 { turbidite_fork_count() }
}
