// Change — what was written to a keyspace, as the stream of its changes tells it.
//
// Room:    Turbidite/Streams.
// Format:  FORMAT.md section 5.3.

internal import TurbiditeEngine

/// A change of a keyspace that was created with `recordingChangesIn:`, as an event of that stream.
///
/// The stream, of one partition, has each change from the keyspace's first on, unless retention has
/// dropped it, in the order and in the commits that made them: what a power loss takes from one it
/// takes from the other. Who applies them from offset 0 on has the keyspace. Cursors, tails and
/// retention are those of any stream; what else is appended to it is no change. A recorded change
/// costs about as much again as itself.
public enum Change: Hashable, Sendable {
  /// The key has this value.
  case put(key: Bytes, value: Bytes)
  /// The key has none.
  case delete(key: Bytes)
  /// No key in the range has one.
  case deleteRange(KeyRange)

  private enum Code {
    static let put: UInt8 = 1
    static let delete: UInt8 = 2
    static let deleteRange: UInt8 = 3
    static let deleteToEnd: UInt8 = 4
  }

  /// Reads an event of a stream of changes.
  ///
  /// - Throws: `invalidArgument` when it is none, because something else was appended there.
  public init(_ event: Event) throws(StoreError) {
    let rest = Bytes(Array(event.value.array.dropFirst()))
    switch (event.value.array.first, event.key) {
    case (Code.put, let key?): self = .put(key: key, value: rest)
    case (Code.delete, let key?): self = .delete(key: key)
    case (Code.deleteRange, let key?): self = .deleteRange(KeyRange(from: key, to: rest))
    case (Code.deleteToEnd, let key?): self = .deleteRange(KeyRange(from: key))
    default: throw .invalidArgument("the event at \(event.position) is no change of a keyspace")
    }
  }

  /// As an event keeps it.
  var encoded: (key: Bytes, value: [UInt8]) {
    switch self {
    case .put(let key, let value): (key, [Code.put] + value.array)
    case .delete(let key): (key, [Code.delete])
    case .deleteRange(let range):
      (range.from ?? "", range.to.map { [Code.deleteRange] + $0.array } ?? [Code.deleteToEnd])
    }
  }
}

extension Store.Batch {
  /// Appends a change to the stream that records it.
  mutating func record(_ change: Change, in changes: KeyspaceState) {
    let (key, value) = change.encoded
    note(
      encoded.append(
        timestamp: nil, key: key.array.span.rawBytes, value: value.span.rawBytes, stream: changes,
        partition: 0, isReported: false))
  }
}
