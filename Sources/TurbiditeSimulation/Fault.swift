// Fault — what goes wrong with one operation of a disk.
//
// Room:    Simulation.

/// A failure that a ``SimulatedDisk/FaultPlan`` asks for.
///
/// Interrupted and short calls of the system are not among them: the layer below the engine goes on
/// with those, and its tests make the real system give them.
public enum Fault: Sendable, Hashable {
  /// The call fails with this `errno`, and does nothing.
  case error(Int32)
  /// Of a write so many bytes arrive in the cache, though never all, and then it fails with this
  /// `errno`; any other call fails and does nothing.
  case partialWrite(byteCount: Int, Int32)
  /// A sync goes wrong in this way; any other call goes well.
  case syncFailure(SyncFailure)
}
