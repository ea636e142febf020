// TableFooter — the last 128 bytes: where the parts are, and the checksum over them all.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.8.
// Source:  The parent holding the child's checksum follows ZFS (Bonwick and Moore, 2008).

import TurbiditeSystem

/// Where a block is: its offset, its bytes with the trailer, and the checksum in the trailer.
struct BlockHandle: Sendable, Hashable {
  var offset: UInt64
  var byteCount: UInt64
  var checksum: UInt64

  var end: UInt64 { offset &+ byteCount }
}

/// The footer of a table.
struct TableFooter: Equatable {
  var filter: BlockHandle
  var tombstones: BlockHandle
  var index: BlockHandle
  var properties: BlockHandle
  /// The whole file, this footer included.
  var fileByteCount: UInt64
  var headerChecksum: UInt64

  /// The 128 bytes, and the checksum at their end, which the manifest repeats.
  func encoded(_ seed: ChecksumSeed) -> (bytes: [UInt8], checksum: UInt64) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(TableFormat.footerByteCount)
    for handle in [filter, tombstones, index, properties] {
      bytes.append(littleEndian: handle.offset)
      bytes.append(littleEndian: handle.byteCount)
      bytes.append(littleEndian: handle.checksum)
    }
    bytes.append(littleEndian: fileByteCount)
    bytes.append(littleEndian: headerChecksum)
    bytes.append(contentsOf: TableFormat.footerMagic)
    let offset = fileByteCount - UInt64(TableFormat.footerByteCount)
    let checksum = bytes.withView { $0.hash(seed: seed.at(offset)) }
    bytes.append(littleEndian: checksum)
    assert(bytes.count == TableFormat.footerByteCount)
    return (bytes, checksum)
  }

  /// Reads and checks the footer of a file of `fileByteCount` bytes: its own checksum, what the
  /// manifest expects, and that the parts fill the file from the header on without a gap.
  static func read(
    from file: any File, fileByteCount: UInt64, seed: ChecksumSeed,
    expecting: TableExpectation?
  ) throws(StoreError) -> (footer: TableFooter, checksum: UInt64) {
    let smallest = UInt64(
      TableFormat.headerByteCount + 4 * TableFormat.trailerByteCount + TableFormat.footerByteCount)
    guard fileByteCount >= smallest else {
      throw damage(file, 0, "the file is \(fileByteCount) bytes, too short for a table")
    }
    if let expecting, expecting.byteCount != fileByteCount {
      throw damage(
        file, min(expecting.byteCount, fileByteCount),
        "the file is \(fileByteCount) bytes, the manifest says \(expecting.byteCount)")
    }
    let offset = fileByteCount - UInt64(TableFormat.footerByteCount)
    let buffer = try readAvailable(file, at: offset, count: TableFormat.footerByteCount)
    defer { withExtendedLifetime(buffer.owner) {} }
    let bytes = buffer.view
    guard bytes.count == TableFormat.footerByteCount else {
      throw damage(file, offset, "the file ends inside its footer")
    }
    let magic = TableFormat.footerMagic.withView { $0.isEqual(to: bytes.slice(112, 8)) }
    guard magic else { throw damage(file, offset, "the file does not end as a table does") }
    let stored = bytes.load(120, as: UInt64.self)
    let computed = bytes.slice(0, 120).hash(seed: seed.at(offset))
    guard stored == computed else {
      throw damage(
        file, offset,
        "the footer's checksum is \(hexadecimal(computed)), stored is \(hexadecimal(stored))")
    }
    if let expecting, expecting.footerChecksum != stored {
      throw damage(
        file, offset,
        "the footer's checksum is \(hexadecimal(stored)),"
          + " the manifest says \(hexadecimal(expecting.footerChecksum))")
    }
    let footer = TableFooter(decoding: bytes)
    try footer.checkLayout(file, footerOffset: offset)
    return (footer, stored)
  }

  private init(decoding bytes: ByteView) {
    func handle(_ offset: Int) -> BlockHandle {
      BlockHandle(
        offset: bytes.load(offset, as: UInt64.self),
        byteCount: bytes.load(offset + 8, as: UInt64.self),
        checksum: bytes.load(offset + 16, as: UInt64.self))
    }
    filter = handle(0)
    tombstones = handle(24)
    index = handle(48)
    properties = handle(72)
    fileByteCount = bytes.load(96, as: UInt64.self)
    headerChecksum = bytes.load(104, as: UInt64.self)
  }

  init(
    filter: BlockHandle, tombstones: BlockHandle, index: BlockHandle, properties: BlockHandle,
    fileByteCount: UInt64, headerChecksum: UInt64
  ) {
    self.filter = filter
    self.tombstones = tombstones
    self.index = index
    self.properties = properties
    self.fileByteCount = fileByteCount
    self.headerChecksum = headerChecksum
  }

  private func checkLayout(_ file: any File, footerOffset: UInt64) throws(StoreError) {
    guard fileByteCount == footerOffset + UInt64(TableFormat.footerByteCount) else {
      throw damage(file, footerOffset, "the footer says the file is \(fileByteCount) bytes")
    }
    var expected = filter.offset
    guard expected >= UInt64(TableFormat.headerByteCount) else {
      throw damage(file, footerOffset, "the filter begins inside the header")
    }
    for handle in [filter, tombstones, index, properties] {
      // `expected <= footerOffset` holds from the second turn on, so nothing here wraps.
      guard handle.offset == expected, expected <= footerOffset,
        handle.byteCount >= UInt64(TableFormat.trailerByteCount),
        handle.byteCount <= footerOffset - expected
      else { throw damage(file, footerOffset, "the footer's parts do not fill the file") }
      expected += handle.byteCount
    }
    guard expected == footerOffset else {
      throw damage(file, footerOffset, "the footer's parts do not fill the file")
    }
  }
}
