// Tracer — kills a child exactly when it enters a system call.
//
// Room:    Tools/Torture.
// Source:  strace(1): `inject=CALL:signal=KILL:when=N` counts the calls of each thread.
// Limits:  Not with --seccomp-bpf, under which strace 6.1 injects nothing into a thread.

import Foundation
import TurbiditeSimulation

/// strace, where it is installed and the system lets it trace.
package struct Tracer: Sendable {
  /// The calls by which a store changes or finds its files, with how far to count for each phase's
  /// loader and store to be reached; `openat` is also the loader's.
  private static let calls: [(name: String, reach: Int)] = [
    ("pwrite64", 60), ("write", 60), ("fdatasync", 30), ("fsync", 16),
    ("renameat", 2),
    ("unlinkat", 24), ("fallocate", 12), ("openat", 60), ("openat2", 40),
    ("fcntl", 24),
  ]

  /// The calls of a repair, with how many it makes of a store of a few hundred kilobytes; the last
  /// of `fsync` and the last twenty of `close` come when its result has its name.
  private static let repairCalls: [(name: String, reach: Int)] = [
    ("pwrite64", 12), ("fdatasync", 12), ("fsync", 20), ("mkdirat", 6), ("renameat", 2),
    ("unlinkat", 24), ("openat2", 120), ("pread64", 2000), ("getdents64", 30), ("close", 150),
  ]

  /// Finds out whether a child can be traced here.
  package static func find() -> Tracer? {
    let probe = Command(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", "true"])
    return probe.run().status == 0 ? Tracer() : nil
  }

  /// The words that start `words` so that they die at a call that `random` chooses.
  func words(
    killing words: [String], isRepair: Bool = false, _ random: SeededRandom
  ) -> [String] {
    let calls = isRepair ? Self.repairCalls : Self.calls
    let call = calls[random.below(calls.count)]
    // Half of the kills fall on the first few calls, where each one is of its own kind.
    let reach = random.isOne(in: isRepair ? 6 : 2) ? min(6, call.reach) : call.reach
    return [
      "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=\(call.name)",
      "-e", "inject=\(call.name):signal=KILL:when=\(1 + random.below(reach))",
    ] + words
  }
}
