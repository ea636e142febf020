// TableHeader — the first 64 bytes: what the file is, and whose.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.1. This layout holds for every version.

import TurbiditeSystem

/// The header of a table.
struct TableHeader: Equatable {
  var identity: TableIdentity
  var version = TableFormat.version
  /// Features that a reader must know to read the table rightly.
  var requiredFeatures: UInt32 = 0
  /// Features that a reader may ignore.
  var optionalFeatures: UInt32 = 0

  /// The 64 bytes, and the checksum at their end, which the footer repeats.
  func encoded() -> (bytes: [UInt8], checksum: UInt64) {
    var bytes = TableFormat.headerMagic
    bytes.append(littleEndian: version)
    bytes.append(littleEndian: identity.keyspace)
    bytes.append(littleEndian: requiredFeatures)
    bytes.append(littleEndian: optionalFeatures)
    bytes.append(littleEndian: identity.store.high)
    bytes.append(littleEndian: identity.store.low)
    bytes.append(littleEndian: identity.fileNumber)
    bytes.append(littleEndian: identity.shard)
    bytes.append(littleEndian: UInt32(0))
    let seed = ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber)
    let checksum = bytes.withView { $0.hash(seed: seed.at(0)) }
    bytes.append(littleEndian: checksum)
    assert(bytes.count == TableFormat.headerByteCount)
    return (bytes, checksum)
  }

  /// Reads and checks the header of `file`, whatever its identity.
  ///
  /// The checksum is judged before the version: a flipped bit is damage, not a newer format.
  static func read(
    from file: any File
  ) throws(StoreError) -> (header: TableHeader, checksum: UInt64) {
    let buffer = try readAvailable(file, at: 0, count: TableFormat.headerByteCount)
    defer { withExtendedLifetime(buffer.owner) {} }
    let bytes = buffer.view
    guard bytes.count == TableFormat.headerByteCount else {
      throw damage(file, 0, "the file is \(bytes.count) bytes, too short for a table's header")
    }
    let magic = TableFormat.headerMagic.withView { bytes.hasPrefix($0) }
    guard magic else { throw damage(file, 0, "the file does not begin as a table does") }
    let identity = TableIdentity(
      store: StoreID(
        high: bytes.load(24, as: UInt64.self), low: bytes.load(32, as: UInt64.self)),
      fileNumber: bytes.load(40, as: UInt64.self), keyspace: bytes.load(12, as: UInt32.self),
      shard: bytes.load(48, as: UInt32.self))
    let seed = ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber)
    let stored = bytes.load(56, as: UInt64.self)
    let computed = bytes.slice(0, 56).hash(seed: seed.at(0))
    guard stored == computed else {
      throw damage(
        file, 0,
        "the header's checksum is \(hexadecimal(computed)), stored is \(hexadecimal(stored))")
    }
    let header = TableHeader(
      identity: identity, version: bytes.load(8, as: UInt32.self),
      requiredFeatures: bytes.load(16, as: UInt32.self),
      optionalFeatures: bytes.load(20, as: UInt32.self))
    return (header, stored)
  }

  /// The header that a table of this version must have had, by its checksum; nil when none fits.
  static func of(_ identity: TableIdentity, checksum: UInt64) -> TableHeader? {
    for features in 0...TableFormat.optionalFeatures {
      let header = TableHeader(identity: identity, optionalFeatures: features)
      if header.encoded().checksum == checksum { return header }
    }
    return nil
  }

  /// Refuses a table that this code cannot read.
  func checkReadable(_ file: any File) throws(StoreError) {
    try requireReadable(
      file.path, version: version, supported: TableFormat.version,
      requiredFeatures: requiredFeatures, knownFeatures: TableFormat.knownFeatures)
  }
}

/// A corruption error at `offset` of `file`.
func damage(_ file: any File, _ offset: UInt64, _ finding: String) -> StoreError {
  .corrupt(Damage(file: file.path, offset: offset, finding: finding))
}
