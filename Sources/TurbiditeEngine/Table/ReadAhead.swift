// ReadAhead — blocks for a scan: several with one system call, once it goes block by block.
//
// Room:    Engine/Table.
// Limits:  Holds up to 256 KiB, or one block when that is larger. One thread.

import TurbiditeSystem

/// What a scan read of a table's data blocks and may need next.
///
/// Invariant: `bytes` is what the file holds from `start` on.
struct ReadAhead {
  private var bytes: FileBytes?
  private var start: UInt64 = 0
  private var window = 0
  private var lastBlock = ReadAhead.nowhere
  /// Blocks since the scan last jumped.
  private var run = 0
  /// How many blocks after a jump are kept in the cache.
  private let keptCount: Int
  private let largestWindow: Int

  /// The window doubles from the first to the largest: a short scan reads little that it does not
  /// need, and a long one pays a system call for some sixty blocks.
  private static let firstWindow = 1 << 13
  static let largestWindow = 1 << 18
  /// No block is next to it.
  private static let nowhere = -2

  /// - Parameter access: ``BlockAccess/scan`` or ``BlockAccess/sweep``. A scan over some hundred
  ///   entries of 1 KB each is still a short one.
  init(access: BlockAccess, largestWindow: Int = ReadAhead.largestWindow) {
    keptCount = access == .scan ? 32 : 0
    self.largestWindow = largestWindow
  }

  /// Forgets what was read: the next block is one of another table.
  mutating func leaveTable() {
    bytes = nil
    lastBlock = ReadAhead.nowhere
  }

  /// Says that the scan has not jumped: the next block is that beside `number`.
  mutating func expectBlock(after number: Int) { lastBlock = number }

  /// Data block `number` of the reader's table.
  ///
  /// The cache is asked; it gets the first blocks after a jump, and no more.
  mutating func block(_ number: Int, of reader: TableReader) throws(StoreError) -> Block {
    let step = number - lastBlock
    lastBlock = number
    run = abs(step) == 1 ? run + 1 : 0
    let isKept = run < keptCount
    let handle = reader.index.handle(number)
    let cached = reader.cache.lookup(reader.identity.fileNumber, handle.offset, isScan: !isKept)
    if let cached { return cached }
    let block = try read(number, step, handle, of: reader, isKept: isKept)
    if isKept { reader.cache.insert(block) }
    return block
  }

  private mutating func read(
    _ number: Int, _ step: Int, _ handle: BlockHandle, of reader: TableReader, isKept: Bool
  ) throws(StoreError) -> Block {
    if let bytes, handle.offset >= start,
      handle.end <= start + UInt64(bytes.view.count)
    {
      return try makeBlock(bytes, from: start, number, reader, isKept: isKept)
    }
    switch step {
    case 1: window = min(max(window * 2, ReadAhead.firstWindow), largestWindow)
    case -1: window = min(max(window * 2, ReadAhead.firstWindow), largestWindow)
    default: window = 0
    }
    var first = number
    var last = number
    if step == 1 {
      let limit = handle.offset + UInt64(window)
      while last + 1 < reader.index.count && reader.index.handle(last + 1).end <= limit {
        last += 1
      }
    } else if step == -1 {
      while first > 0 && handle.end - reader.index.handle(first - 1).offset <= UInt64(window) {
        first -= 1
      }
    }
    // What was read before is not what is at `start`, should the next read fail.
    bytes = nil
    start = reader.index.handle(first).offset
    let count = Int(reader.index.handle(last).end - start)
    let read = try readAvailable(reader.file, at: start, count: count)
    bytes = read
    return try makeBlock(read, from: start, number, reader, isKept: isKept)
  }

  /// A block out of bytes that were read from `start` on; they may end early, where the file does.
  private func makeBlock(
    _ bytes: FileBytes, from start: UInt64, _ number: Int, _ reader: TableReader, isKept: Bool
  ) throws(StoreError) -> Block {
    let handle = reader.index.handle(number)
    let skip = min(Int(handle.offset - start), bytes.view.count)
    let length = min(Int(handle.byteCount), bytes.view.count - skip)
    let part = FileBytes(owner: bytes.owner, view: bytes.view.slice(skip, length))
    return try reader.makeBlock(part, number, isKept: isKept)
  }
}
