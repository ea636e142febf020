// StoredBlock — a block as it lies in the file: stored bytes and a trailer.
//
// Room:    Engine/Table. Knows nothing of what is in a block.
// Format:  FORMAT.md section 3.2.

import TurbiditeSystem

/// Appends blocks to a file through one buffer, and knows their offsets and checksums.
struct BlockOutput {
  let file: any File
  let seed: ChecksumSeed
  /// Where the next block begins.
  private(set) var offset: UInt64 = 0
  private var pending: [UInt8] = []
  private var scratch: OwnedBuffer?

  /// Large enough that a write is worth its system call.
  static let bufferByteCount = 1 << 18

  init(file: any File, seed: ChecksumSeed) {
    self.file = file
    self.seed = seed
    pending.reserveCapacity(BlockOutput.bufferByteCount + (1 << 14))
  }

  /// Appends bytes that have a checksum of their own: the header, the footer.
  mutating func append(_ bytes: [UInt8]) throws(StoreError) {
    pending.append(contentsOf: bytes)
    offset += UInt64(bytes.count)
    if pending.count >= BlockOutput.bufferByteCount { try flush() }
  }

  /// Appends `raw` as a block, compressed when asked and when that saves an eighth.
  mutating func appendBlock(_ raw: [UInt8], compresses: Bool) throws(StoreError) -> BlockHandle {
    assert(raw.count <= TableFormat.largestBlockByteCount)
    let start = pending.count
    var compression = Compression.none
    if compresses {
      if scratch.map({ $0.count < raw.count }) ?? true {
        scratch = try OwnedBuffer.allocate(max(raw.count, 1 << 13), for: "compression")
      }
      if let scratch {
        let count = raw.withView { compressLZ4($0, into: scratch) }
        if count > 0 {
          compression = .lz4
          pending.append(scratch.view.slice(0, count))
        }
      }
    }
    if compression == .none { pending.append(contentsOf: raw) }
    pending.append(compression.rawValue)
    pending.append(littleEndian: UInt32(raw.count))
    let checksum = pending.withView { bytes in
      bytes.slice(start, bytes.count - start).hash(seed: seed.at(offset))
    }
    pending.append(littleEndian: checksum)
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
    do throws(SystemError) {
      try pending.withView { (bytes) throws(SystemError) in
        try file.write(bytes.span, at: target)
      }
    } catch { throw StoreError(error) }
    pending.removeAll(keepingCapacity: true)
  }
}

/// What a block's bytes hold, once they have passed every check.
struct OpenedBlock {
  let owner: OwnedBuffer
  let payload: ByteView
}

/// Checks the bytes at a handle and undoes their compression.
///
/// - Parameter bytes: what was read at the handle's offset; shorter than the handle says only
///   where the file ends.
/// - Parameter largest: the largest raw size to allow; bounds the allocation.
func openBlock(
  _ bytes: FileBytes, at handle: BlockHandle, seed: ChecksumSeed, largest: Int, in file: any File
) throws(StoreError) -> OpenedBlock {
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
  let storedBytes = view.slice(0, storedCount)
  switch Compression(rawValue: view[storedCount]) {
  case .some(.none):
    guard rawCount == storedCount else {
      throw damage(
        file, handle.offset, "the block declares \(rawCount) raw bytes and stores \(storedCount)")
    }
    return OpenedBlock(owner: bytes.owner, payload: storedBytes)
  case .some(.lz4):
    guard rawCount <= Compression.largestRawByteCount(storedByteCount: storedCount) else {
      throw damage(
        file, handle.offset,
        "the block declares \(rawCount) raw bytes, more than \(storedCount) bytes of LZ4 can hold")
    }
    let target = try OwnedBuffer.allocate(rawCount, for: "a block of \(file.path)")
    guard decompressLZ4(storedBytes, into: target) else {
      throw damage(file, handle.offset, "the block's LZ4 is malformed")
    }
    return OpenedBlock(owner: target, payload: target.view)
  case nil:
    throw damage(
      file, handle.offset, "the block's compression \(view[storedCount]) is unknown")
  }
}

/// Reads the filter, tombstone, index or properties block at `handle`: always stored raw, so that
/// what is allocated is never more than what the file holds.
func readMetadataBlock(
  _ file: any File, at handle: BlockHandle, seed: ChecksumSeed
) throws(StoreError) -> OpenedBlock {
  let limit = TableFormat.largestMetadataByteCount + TableFormat.trailerByteCount
  guard handle.byteCount <= UInt64(limit) else {
    throw damage(file, handle.offset, "a part of \(handle.byteCount) bytes is over the limit")
  }
  let bytes = try readAvailable(file, at: handle.offset, count: Int(handle.byteCount))
  if bytes.view.count == Int(handle.byteCount),
    bytes.view[bytes.view.count - TableFormat.trailerByteCount] == Compression.lz4.rawValue
  {
    throw damage(file, handle.offset, "a part that is never compressed says it is")
  }
  return try openBlock(
    bytes, at: handle, seed: seed, largest: TableFormat.largestMetadataByteCount, in: file)
}
