// Keyspace — a named, ordered map of its own inside a store.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine

/// A keyspace: the default one, or a named one of a particular open store.
///
/// A batch may write to several and lands in all or none. Get one from ``Store/keyspace(_:)``.
public struct Keyspace: Sendable {
  /// Nil is the default keyspace of whatever store it is used with.
  let state: KeyspaceState?

  /// The keyspace that needs no name.
  public static let `default` = Keyspace(state: nil)

  /// The keyspace's name; empty for the default one.
  public var name: String { state?.name ?? "" }

  /// The stream in which the keyspace's changes are recorded; nil where they are not.
  public var changes: EventStream? { state?.changes.map { EventStream(state: $0) } }

  /// Which part of a key chooses its shard.
  public var partitioning: Partitioning { state?.partitioning ?? .wholeKey }
}
