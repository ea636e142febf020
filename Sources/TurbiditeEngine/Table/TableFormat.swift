// TableFormat — the numbers of the table file: sizes, limits, names of its features.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.
// Limits:  Below, each with what happens at it.

/// Constants of the table format.
enum TableFormat {
  /// The format this code writes, and the newest it reads.
  static let version: UInt32 = 1

  /// The first eight bytes of a table: a byte that is no ASCII, the name, and the line ends that a
  /// transfer in text mode would change (the idea is PNG's, RFC 2083 section 12.11).
  static let headerMagic: [UInt8] = [0x89, 0x54, 0x53, 0x53, 0x54, 0x0d, 0x0a, 0x1a]

  /// The magic of the footer, which tells a cut table from one of another kind.
  static let footerMagic: [UInt8] = [0x89, 0x54, 0x45, 0x4e, 0x44, 0x0d, 0x0a, 0x1a]

  static let headerByteCount = 64
  static let footerByteCount = 128

  /// After each block: compression (1), raw byte count (4), checksum (8).
  static let trailerByteCount = 13

  /// Before the keys of a data block: entry count (4), keys byte count (4), base sequence (8).
  static let blockHeaderByteCount = 16

  /// Entries from one whole key to the next.
  ///
  /// A power of two; a lookup masks with it.
  static let restartInterval = 16

  /// A restart point: offsets of a key and of its value, four bytes each.
  static let restartByteCount = 8

  /// The feature bits that this code understands; a table with another in "must understand" is
  /// refused.
  static let knownFeatures: UInt32 = 0

  /// The optional feature of a table whose properties say which tables it replaces.
  static let replacementFeature: UInt32 = 1

  /// The optional feature of a table whose properties say what kind of keyspace it belongs to.
  static let keyspaceKindFeature: UInt32 = 2

  /// The optional feature of a stream's table, whose properties say how late its events are.
  static let timestampFeature: UInt32 = 4

  /// All optional features that this code writes.
  static let optionalFeatures = replacementFeature | keyspaceKindFeature | timestampFeature

  /// The longest key of a table: the user's 64 KiB and room for what the engine puts before it.
  ///
  /// A longer one is a caller's mistake when written, and damage when read.
  static let largestKeyByteCount = 1 << 17

  /// The longest value.
  ///
  /// Treated like the longest key.
  static let largestValueByteCount = 1 << 30

  /// The largest raw block: one entry of the largest key and value, with its headers.
  static let largestBlockByteCount =
    largestValueByteCount + largestKeyByteCount + 64

  /// The largest filter, tombstone, index or properties block.
  ///
  /// A writer stops with `resourceExhausted` before it writes a larger one; the filter is made less
  /// precise instead.
  static let largestMetadataByteCount = 1 << 30
}

/// Which table a file holds.
///
/// The path comes from the file.
struct TableIdentity: Sendable, Hashable {
  var store: StoreID
  var fileNumber: UInt64
  var keyspace: UInt32
  var shard: UInt32
}

/// How a table is written.
///
/// None of it needs to be known to read one.
struct TableOptions: Sendable, Hashable {
  /// Raw bytes of a data block; an entry that is larger has a block of its own.
  ///
  /// Decision 0019 has what was measured.
  var blockByteCount = 8 << 10
  /// Whether data blocks are compressed where that saves an eighth.
  var compresses = true
  /// Bits of filter a distinct key; 10 give about 1 % of false positives.
  var filterBitsPerKey = 10
  /// That of the keyspace; written down for a repair without a manifest.
  var keyspaceKind = KeyspaceKind.plain
}

/// What the manifest knows of a table and the file must agree with.
struct TableExpectation: Sendable, Hashable {
  var byteCount: UInt64
  var footerChecksum: UInt64
}

/// What a reader may do to get a block.
enum BlockAccess: Sendable, Hashable {
  /// Only look into the cache: never blocks on the disk.
  case cachedOnly
  /// Read the block and keep it in the cache.
  case point
  /// Read ahead, and keep the first blocks after each jump: a short scan comes again, a long one
  /// must not flush the cache.
  case scan
  /// Read ahead, and leave the cache as it is: a compaction's input is not wanted again.
  case sweep
}

/// What a lookup in one table found.
enum TableLookup {
  /// A version; its value is valid while the pin holds.
  case found(FoundEntry)
  /// The table has no version of the key at or before the sequence number.
  case absent
  /// The answer needs a block that is not cached, and reading was not allowed.
  case wouldBlock
}
