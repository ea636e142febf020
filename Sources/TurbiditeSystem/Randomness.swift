// Randomness — the only source of random numbers the engine draws from.
//
// Room:    System.

/// Random numbers: from the kernel in production, from a seed in simulation.
package protocol RandomSource: AnyObject, Sendable {
  /// 64 uniform bits. May be called from any thread.
  func next() -> UInt64
}
