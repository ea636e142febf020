// Limits — the sizes that every room may rely on.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 1.3.

/// Bounds on what a store holds.
///
/// Bytes read from a file that exceed one are damage; arguments that exceed one are refused before
/// anything is written.
enum Limits {
  /// Bytes of a key: enough for any path or URL, and small enough that a block holds one.
  static let keyByteCount = 64 << 10
  /// Bytes of a value: 64 MiB, so that a batch of a few fits the memory budget.
  static let valueByteCount = 64 << 20
  /// Bytes of one batch as encoded in a log frame.
  static let batchByteCount = 256 << 20
  /// Entries of one log frame; each takes at least three bytes.
  static let batchEntryCount = batchByteCount / 3
  /// Shards of a store: one a slot at most.
  static let shardCount = 4096
  /// Partitions of a stream.
  static let partitionCount = 1 << 16
  /// Keyspaces alive at once.
  static let keyspaceCount = 1 << 20
  /// Bytes of a keyspace's name.
  static let keyspaceNameByteCount = 255
  /// Levels of a tree, level 0 included.
  static let levelCount = 7
  /// Tables of a store.
  static let tableCount = 1 << 20
  /// Bytes of one table, its entries, and whatever else is counted in it, stay below: sums over all
  /// tables of a store do not overflow.
  static let tableFigure: UInt64 = 1 << 40
  /// Log positions, offsets of events, file numbers and edit numbers stay below: a store that
  /// writes 1 GB a second gets there in 146 years, and sums of a few of them do not overflow.
  static let counter: UInt64 = 1 << 62
  /// A store with such a number below `counter` is read, but not opened for writing: the other half
  /// is more than one opening can use up, so that nothing need be checked while it writes.
  static let counterWhenOpened: UInt64 = counter / 2
}
