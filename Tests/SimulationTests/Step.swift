// Step — one call of the store's interface in a workload.

/// What a workload asks of a store.
///
/// Keys are numbers; values follow from the seed and the place.
enum Step: Hashable, Sendable {
  case put(Int, byteCount: Int = 20, synced: Bool = false)
  case delete(Int, synced: Bool = false)
  case deleteRange(Int, Int)
  /// Puts and deletions over all shards, as one batch.
  case batch(count: Int, byteCount: Int = 20, synced: Bool = false)
  case flush
  case compact
  case sync
  case holdSnapshot
  case releaseSnapshot
  case createKeyspace(String)
  case putInKeyspace(String, Int)
  case dropKeyspace(String)
  /// Events of one producer beside a put and a moved cursor, as one batch; the stream is made where
  /// it is missing.
  case append(count: Int, synced: Bool = false)
  /// Events that the producer has appended before, all of them.
  case appendAgain
  case trim(Int)
  case compactKeys
  /// A shard that comes, or one that goes, with other calls while slots move: the first, fourth and
  /// so on when that has begun, the second ones when the copy is made, the third ones at the end.
  case addShard([Step])
  case removeShard(Int, [Step])
  /// Closes the store and opens it.
  case reopen
  /// Opens the store once more, for reading only, beside the writer, and reads all of it.
  case readBeside
  /// Lets the store go as a killed process would, and opens it.
  case kill

  var changesShards: Bool {
    switch self {
    case .addShard, .removeShard: true
    default: false
    }
  }

  /// The calls of which every sequence of up to three is tried.
  static let alphabet: [Step] = [
    .put(1), .put(2, synced: true), .put(3, byteCount: 1500), .delete(1), .deleteRange(0, 50),
    .batch(count: 8), .batch(count: 8, byteCount: 300, synced: true), .flush, .compact, .sync,
    .reopen, .kill,
  ]

  /// All sequences of exactly `length` calls.
  static func sequences(length: Int) -> [[Step]] {
    guard length > 0 else { return [[]] }
    return sequences(length: length - 1).flatMap { start in alphabet.map { start + [$0] } }
  }
}
