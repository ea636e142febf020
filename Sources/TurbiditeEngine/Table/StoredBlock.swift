// StoredBlock — a block as it lies in the file: stored bytes and a trailer.
//
// Room:    Engine/Table. Knows nothing of what is in a block.
// Format:  FORMAT.md section 3.2.

import TurbiditeSystem

/// Appends blocks to a file through one buffer, and knows their offsets and checksums.
struct BlockOutput: ~Copyable {
  let file: any File
  let seed: ChecksumSeed
  /// Where the next block begins.
  private(set) var offset: UInt64 = 0
  /// The system has been told to begin with what lies below.
  private var writebackEnd: UInt64 = 0
  private var pending = ScratchBytes()
  /// Made for the first block that is compressed.
  private var compressor: Compressor?

  /// Large enough that a write is worth its system call.
  static let bufferByteCount = 1 << 18

  /// Tables go to the disk by this much while they are written, not all at once when they are
  /// synced: YCSB's load waits a tenth less for its flushes.
  private static let writebackByteCount: UInt64 = 1 << 20

  init(file: any File, seed: ChecksumSeed) {
    self.file = file
    self.seed = seed
  }

  /// Appends bytes that have a checksum of their own: the header, the footer.
  mutating func append(_ bytes: [UInt8]) throws(StoreError) {
    if offset == 0 { try pending.reserve(BlockOutput.bufferByteCount + (1 << 14)) }
    try bytes.withView { bytes throws(StoreError) in try pending.append(bytes) }
    offset += UInt64(bytes.count)
    if pending.count >= BlockOutput.bufferByteCount { try flush() }
  }

  /// Appends `raw` as a block, compressed when asked and when that saves an eighth.
  mutating func appendBlock(_ raw: ByteView, compresses: Bool) throws(StoreError) -> BlockHandle {
    assert(raw.count <= TableFormat.largestBlockByteCount)
    let start = pending.count
    if compresses && compressor == nil { compressor = try Compressor() }
    let compressed = compresses ? try compressor?.compress(raw) : nil
    try pending.append(compressed ?? raw)
    try pending.append(
      littleEndian: (compressed == nil ? Compression.none : Compression.lz4).rawValue)
    try pending.append(littleEndian: UInt32(raw.count))
    let checksum = pending.view.slice(start, pending.count - start).hash(seed: seed.at(offset))
    try pending.append(littleEndian: checksum)
    let handle = BlockHandle(
      offset: offset, byteCount: UInt64(pending.count - start), checksum: checksum)
    offset = handle.end
    if pending.count >= BlockOutput.bufferByteCount { try flush() }
    return handle
  }

  /// Hands what is buffered to the operating system.
  mutating func flush() throws(StoreError) {
    guard !pending.isEmpty else { return }
    let target = offset - UInt64(pending.count)
    do throws(SystemError) { try file.write(pending.view.span, at: target) } catch {
      throw StoreError(error)
    }
    pending.removeAll()
    if offset - writebackEnd >= Self.writebackByteCount {
      file.beginWriteback(from: writebackEnd, to: offset)
      writebackEnd = offset
    }
  }
}

/// A block whose checksum is right: what it holds, as it is stored.
struct CheckedBlock {
  let owner: OwnedBuffer
  let stored: ByteView
  let compression: Compression
  /// The bytes it holds before compression.
  ///
  /// Bounded by what the table declares, and by what the stored bytes can give at most.
  let rawCount: Int
}

extension CheckedBlock {
  /// A block that is not compressed.
  init(raw owner: OwnedBuffer) {
    self.init(owner: owner, stored: owner.view, compression: .none, rawCount: owner.count)
  }
}

/// Checks the bytes at a handle.
///
/// - Parameter bytes: what was read at the handle's offset; shorter than the handle says only
///   where the file ends.
/// - Parameter largest: the largest raw size to allow; bounds what is allocated for the block.
func checkBlock(
  _ bytes: FileBytes, at handle: BlockHandle, seed: ChecksumSeed, largest: Int, in file: any File
) throws(StoreError) -> CheckedBlock {
  let view = bytes.view
  guard UInt64(view.count) == handle.byteCount, view.count >= TableFormat.trailerByteCount else {
    throw damage(
      file, handle.offset,
      "the file ends inside a block: \(view.count) of \(handle.byteCount) bytes are there")
  }
  let storedCount = view.count - TableFormat.trailerByteCount
  let computed = view.slice(0, storedCount + 5).hash(seed: seed.at(handle.offset))
  let stored = view.load(storedCount + 5, as: UInt64.self)
  let isPart = largest == TableFormat.largestMetadataByteCount
  let isUnchecked = planted(isPart ? .ignorePartChecksum : .ignoreBlockChecksum)
  guard (computed == stored && computed == handle.checksum) || isUnchecked else {
    throw damage(
      file, handle.offset,
      "the block's checksum is \(hexadecimal(computed)), stored is \(hexadecimal(stored)),"
        + " its parent says \(hexadecimal(handle.checksum))")
  }
  let rawCount = Int(view.load(storedCount + 1, as: UInt32.self))
  guard rawCount <= largest else {
    throw damage(
      file, handle.offset, "the block declares \(rawCount) raw bytes, the table \(largest)")
  }
  guard let compression = Compression(rawValue: view[storedCount]) else {
    throw damage(
      file, handle.offset, "the block's compression \(view[storedCount]) is unknown")
  }
  switch compression {
  case .none:
    guard rawCount == storedCount else {
      throw damage(
        file, handle.offset, "the block declares \(rawCount) raw bytes and stores \(storedCount)")
    }
  case .lz4:
    guard rawCount <= Compression.largestRawByteCount(storedByteCount: storedCount) else {
      throw damage(
        file, handle.offset,
        "the block declares \(rawCount) raw bytes, more than \(storedCount) bytes of LZ4 can hold")
    }
  }
  return CheckedBlock(
    owner: bytes.owner, stored: view.slice(0, storedCount), compression: compression,
    rawCount: rawCount)
}

/// Reads the filter, tombstone, index or properties block at `handle`: always stored raw, so that
/// what is allocated is never more than what the file holds.
func readMetadataBlock(
  _ file: any File, at handle: BlockHandle, seed: ChecksumSeed
) throws(StoreError) -> CheckedBlock {
  let limit = TableFormat.largestMetadataByteCount + TableFormat.trailerByteCount
  guard handle.byteCount <= UInt64(limit) else {
    throw damage(file, handle.offset, "a part of \(handle.byteCount) bytes is over the limit")
  }
  let bytes = try readAvailable(file, at: handle.offset, count: Int(handle.byteCount))
  let block = try checkBlock(
    bytes, at: handle, seed: seed, largest: TableFormat.largestMetadataByteCount, in: file)
  guard block.compression == .none else {
    throw damage(file, handle.offset, "a part that is never compressed says it is")
  }
  return block
}
