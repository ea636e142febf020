// RarePaths — turns that the engine seldom takes, taken often in simulation.
//
// Room:    System.
// Source:  "Buggification": FoundationDB (Zhou et al., SIGMOD 2021, section 4.2).

#if TURBIDITE_RARE_PATHS
import Synchronization
#endif

/// A turn that is right at any moment, though the engine takes it only when it has to.
package enum RarePath: String, CaseIterable, Sendable {
  /// A memtable is frozen and flushed though it is small.
  case freezeMemtable
  /// The log is made durable though no one asked.
  case syncLog
  /// A log segment ends though it is short.
  case rotateLog
  /// What a tree holds in memory is carried to the end of the log though the log is short.
  case carryMemtable
  /// A new manifest begins though the old one is short.
  case replaceManifest
  /// A table ends at the next user key though it is small.
  case endTable
  /// Open tables are closed though there are handles.
  case closeTables
  /// An obsolete file stays a while though no one reads it.
  case keepObsoleteFile
}

/// Decides, when the engine comes by a rare path, whether to take it.
///
/// Compiled to a constant `false` unless `TURBIDITE_RARE_PATHS` is defined, as it is in debug
/// builds and in the builds that run the proofs.
package final class RarePaths: Sendable {
  /// For every machine but a simulated one.
  package static let never = RarePaths()

  #if TURBIDITE_RARE_PATHS
  private let random: (any RandomSource)?
  private let odds: Int
  private let counts = Mutex<[RarePath: Int]>([:])

  private init() {
    random = nil
    odds = 0
  }

  /// - Parameter odds: one in so many is taken.
  package init(random: any RandomSource, odds: Int) {
    precondition(odds > 0)
    self.random = random
    self.odds = odds
  }

  /// Whether to take the path now.
  package func takes(_ path: RarePath) -> Bool {
    guard let random, random.next() % UInt64(odds) == 0 else { return false }
    counts.withLock { $0[path, default: 0] += 1 }
    return true
  }

  /// How often each path was taken.
  package var takenCounts: [RarePath: Int] { counts.withLock { $0 } }
  #else
  private init() {}

  package init(random: any RandomSource, odds: Int) {}

  @inline(__always)
  package func takes(_ path: RarePath) -> Bool { false }

  package var takenCounts: [RarePath: Int] { [:] }
  #endif
}
