// TableReader — one open table: its index, filter and range tombstones in memory, its blocks on
// demand.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.
// Limits:  Holds one open file. Immutable: any number of threads read at once.

import TurbiditeSystem

/// Reads one table.
///
/// Everything but the data blocks was checked when this was made; each data block is checked when
/// it comes from the disk. What a check finds is thrown as `corrupt`, with the file and the offset.
final class TableReader: Sendable {
  let identity: TableIdentity
  let properties: TableProperties
  let rangeTombstones: RangeTombstones
  /// The file's size and the footer's checksum, as the manifest should have them.
  let expectation: TableExpectation
  let index: TableIndex
  let filter: Filter
  let file: any File
  let cache: BlockCache
  let seed: ChecksumSeed
  private let tombstoneByteCount: Int

  /// Opens a table and checks all of it but its data blocks.
  ///
  /// - Parameter expecting: what the manifest holds of the table; nil only where a lone file is
  ///   inspected.
  /// - Throws: `corrupt`, `unsupportedFormat`, or what reading throws.
  init(
    file: any File, identity: TableIdentity, expecting: TableExpectation?, cache: BlockCache
  ) throws(StoreError) {
    let fileByteCount: UInt64
    do throws(SystemError) { fileByteCount = try file.size() } catch { throw StoreError(error) }
    let seed = ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber)
    let (header, headerChecksum) = try TableHeader.read(from: file)
    try header.checkReadable(file)
    guard header.identity == identity else {
      let found = header.identity
      throw damage(
        file, 0,
        "the file is table \(found.fileNumber) of keyspace \(found.keyspace), shard \(found.shard),"
          + " store \(found.store.hexadecimal)")
    }
    let (footer, footerChecksum) = try TableFooter.read(
      from: file, fileByteCount: fileByteCount, seed: seed, expecting: expecting)
    guard footer.headerChecksum == headerChecksum else {
      throw damage(
        file, 0,
        "the header's checksum is \(hexadecimal(headerChecksum)),"
          + " the footer says \(hexadecimal(footer.headerChecksum))")
    }
    let parts = try TableParts(file, footer, seed, optionalFeatures: header.optionalFeatures)
    self.file = file
    self.identity = identity
    self.cache = cache
    self.seed = seed
    expectation = TableExpectation(byteCount: fileByteCount, footerChecksum: footerChecksum)
    filter = parts.filter
    index = parts.index
    rangeTombstones = parts.tombstones
    properties = parts.properties
    tombstoneByteCount = Int(footer.tombstones.byteCount)
  }

  /// Which table a file says it is, and in which format, for tools that have nothing but the file.
  static func readIdentity(
    _ file: any File
  ) throws(StoreError) -> (identity: TableIdentity, formatVersion: UInt32) {
    let (header, _) = try TableHeader.read(from: file)
    return (header.identity, header.version)
  }

  /// The memory held for this table apart from cached blocks, in bytes.
  ///
  /// Range tombstones are estimated at eight times their bytes in the file.
  var metadataByteCount: Int {
    filter.memoryByteCount + index.memoryByteCount + properties.smallestKey.count
      + properties.largestKey.count + 8 * tombstoneByteCount + 512
  }

  /// The newest version of `key` at or before `sequence`.
  ///
  /// Range tombstones are not consulted.
  ///
  /// - Parameter hash: `key.hash()`, which the caller has computed once for all tables.
  /// - Parameter pin: holds the block that the found value lies in.
  func find(
    _ key: ByteView, hash: UInt64, at sequence: UInt64, access: BlockAccess,
    pinning pin: inout BlockPin
  ) throws(StoreError) -> TableLookup {
    assert(hash == key.hash())
    guard filter.mayContain(hash) else { return .absent }
    let number = index.firstBlock(from: key, .newest(at: sequence))
    guard number < index.count else { return .absent }
    // No later block needs a look: if the separator is the exact last entry, the block holds an
    // entry at or after the target; and if it is not, no version of its key lies beyond it.
    guard let block = try block(number, access) else { return .wouldBlock }
    guard let found = block.find(key, at: sequence) else { return .absent }
    pin.block = block
    return .found(found)
  }

  /// A cursor over all entries.
  ///
  /// It holds this reader; `access` is any but `cachedOnly`.
  func makeCursor(access: BlockAccess) throws(StoreError) -> EntryCursor {
    TableCursor(self, access: access)
  }

  /// Data block `number`, from the cache or the file; nil when only the cache may be asked.
  func block(_ number: Int, _ access: BlockAccess) throws(StoreError) -> Block? {
    let handle = index.handle(number)
    if let block = cache.lookup(identity.fileNumber, handle.offset, isScan: access != .point) {
      return block
    }
    if access == .cachedOnly { return nil }
    let bytes = try readAvailable(file, at: handle.offset, count: Int(handle.byteCount))
    let block = try makeBlock(bytes, number, isKept: true)
    if access == .point { cache.insert(block) }
    return block
  }

  /// Checks the bytes read for data block `number`, decodes them, and holds the entries against the
  /// separators around the block; these ascend, so this proves the order from block to block.
  ///
  /// - Parameter isKept: the cache is to keep the block, so it is made in the cache's memory.
  func makeBlock(
    _ bytes: FileBytes, _ number: Int, isKept: Bool
  ) throws(StoreError) -> Block {
    let handle = index.handle(number)
    let checked = try checkBlock(
      bytes, at: handle, seed: seed, largest: Int(properties.largestBlockByteCount), in: file)
    let block = try Block(
      checked, BlockKey(identity.fileNumber, handle.offset), path: file.path,
      memory: isKept ? cache.memory : nil)
    let last = block.count - 1
    if number > 0, index.orderOfSeparator(number - 1, block.key(0), block.tag(0)) >= 0 {
      throw damage(file, handle.offset, "the first key is not after the index's separator")
    }
    guard index.orderOfSeparator(number, block.key(last), block.tag(last)) >= 0 else {
      throw damage(file, handle.offset, "the last key is after the index's separator")
    }
    return block
  }
}

/// What is decoded when a table is opened.
private struct TableParts {
  let filter: Filter
  let tombstones: RangeTombstones
  let index: TableIndex
  let properties: TableProperties

  init(
    _ file: any File, _ footer: TableFooter, _ seed: ChecksumSeed, optionalFeatures: UInt32?
  ) throws(StoreError) {
    let part = PartReader(file: file, seed: seed)
    properties = try part.properties(footer, optionalFeatures: optionalFeatures)
    index = try part.index(footer)
    filter = try part.filter(footer)
    let (set, count) = try part.tombstones(footer)
    tombstones = set
    try check(file, footer, tombstoneCount: count)
  }

  /// The parts must agree with each other.
  private func check(
    _ file: any File, _ footer: TableFooter, tombstoneCount: UInt64
  ) throws(StoreError) {
    guard properties.dataBlockCount == UInt64(index.count) else {
      throw damage(
        file, footer.properties.offset,
        "\(properties.dataBlockCount) data blocks are counted, \(index.count) indexed")
    }
    guard properties.rangeTombstoneCount == tombstoneCount else {
      throw damage(
        file, footer.properties.offset,
        "\(properties.rangeTombstoneCount) range tombstones counted, \(tombstoneCount) there"
      )
    }
    guard index.count > 0 else { return }
    let order = properties.largestKey.withView { largest in
      index.orderOfSeparator(index.count - 1, largest, Tag(rawValue: 0))
    }
    guard properties.largestIsExclusive ? order < 0 : order == 0 else {
      throw damage(file, footer.index.offset, "the index does not end with the largest key")
    }
  }
}

/// Reads, checks and decodes the parts of a table, each for itself.
struct PartReader {
  let file: any File
  let seed: ChecksumSeed

  func properties(
    _ footer: TableFooter, optionalFeatures: UInt32?
  ) throws(StoreError) -> TableProperties {
    try read(footer.properties, "properties") { bytes throws(DecodingFailureOrMemory) in
      do throws(DecodingFailure) {
        return try TableProperties.decode(bytes, optionalFeatures: optionalFeatures)
      } catch { throw .decoding(error) }
    }
  }

  func index(_ footer: TableFooter) throws(StoreError) -> TableIndex {
    let end = footer.filter.offset
    return try read(footer.index, "index") { bytes throws(DecodingFailureOrMemory) in
      try TableIndex(bytes, from: UInt64(TableFormat.headerByteCount), to: end)
    }
  }

  func filter(_ footer: TableFooter) throws(StoreError) -> Filter {
    try read(footer.filter, "filter") { bytes throws(DecodingFailureOrMemory) in
      try Filter(bytes)
    }
  }

  func tombstones(
    _ footer: TableFooter
  ) throws(StoreError) -> (set: RangeTombstones, count: UInt64) {
    guard footer.tombstones.byteCount <= UInt64(TombstoneBlock.largestByteCount + 64) else {
      throw damage(file, footer.tombstones.offset, "the range tombstones are over the limit")
    }
    return try read(footer.tombstones, "range tombstones") {
      bytes throws(DecodingFailureOrMemory) in
      do throws(DecodingFailure) {
        return try TombstoneBlock.decode(bytes)
      } catch { throw .decoding(error) }
    }
  }

  /// A failure gets the file's name and the part's offset.
  private func read<Part>(
    _ handle: BlockHandle, _ what: String,
    decoder: (ByteView) throws(DecodingFailureOrMemory) -> Part
  ) throws(StoreError) -> Part {
    let block = try readMetadataBlock(file, at: handle, seed: seed)
    // The bytes must live until the decoder has copied what it keeps.
    defer { withExtendedLifetime(block.owner) {} }
    do throws(DecodingFailureOrMemory) {
      return try decoder(block.stored)
    } catch {
      switch error {
      case .memory: throw .resourceExhausted("no memory for the \(what) of \(file.path)")
      case .decoding(let failure):
        throw damage(file, handle.offset, "the \(what): \(failure.finding)")
      }
    }
  }
}
