// ProofSettings — how much of a proof is run, where, and by whom.
//
// Room:    Tools/Torture.

import Foundation

/// What the proofs with real processes have in common.
package struct ProofSettings: Sendable {
  /// Deaths to be caused.
  package var rounds: Int
  /// The proof ends in good order after so long, whatever it has reached.
  package var seconds: Double
  /// What the random choices follow from; the moments of a kill do not.
  package var seed: UInt64
  /// The words that start a child: the store, the seed and the phase are added.
  package var child: [String]
  /// A directory of the proof's own, where stores are made.
  package var directory: String
  /// Whether somebody asked for an end.
  package var isCancelled: @Sendable () -> Bool

  package init(
    rounds: Int, seconds: Double = .infinity, seed: UInt64, child: [String], directory: String,
    isCancelled: @escaping @Sendable () -> Bool = { false }
  ) {
    self.rounds = rounds
    self.seconds = seconds
    self.seed = seed
    self.child = child
    self.directory = directory
    self.isCancelled = isCancelled
  }

  /// When the proof has to end, by the clock that `now` reads.
  var deadline: Double { Self.now + seconds }

  static var now: Double { ProcessInfo.processInfo.systemUptime }
}

/// Removes a directory with all it holds; an absent one is removed already.
package func removeDirectory(_ path: String) throws {
  if FileManager.default.fileExists(atPath: path) {
    try FileManager.default.removeItem(atPath: path)
  }
}

/// Makes a directory, and those above it.
package func makeDirectory(_ path: String) throws {
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
}
