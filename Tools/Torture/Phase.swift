// Phase — what a child does while it waits for its end.
//
// Room:    Tools/Torture. A new kind of work is a case here, its share in `KillProof`, and its body
//          in `Child.swift`.

/// The work during which a child is killed.
package enum Phase: String, Sendable, CaseIterable {
  /// Opens and writes, with all lanes, until it dies.
  case write
  /// Opens the store, which recovers it, closes it and ends.
  case recover
  /// Opens, writes a little, flushes, writes, compacts, closes and ends.
  case upkeep

  /// Whether a child may end by itself.
  var ends: Bool { self != .write }
}
