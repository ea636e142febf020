// MemoryContent — the bytes of one file in memory: those in the cache, and those on the disk.
//
// Room:    System.
// Source:  The states a crash may leave follow Pillai et al., OSDI 2014, section 2: unsynced writes
//          persist in any order, sector by sector, and the size apart from the bytes.
// Limits:  A sector of 512 bytes is never torn within.

/// Bytes in pages; a page that is absent is all zeros.
///
/// Invariant: every byte at or beyond `byteCount` is zero.
struct PagedBytes: Sendable {
  static let pageByteCount = 4096

  private(set) var pages: [Int: [UInt8]] = [:]
  private(set) var byteCount = 0

  /// The bytes from `offset` on, at most `count`, up to the end.
  func read(_ offset: Int, _ count: Int) -> [UInt8] {
    guard offset < byteCount else { return [] }
    let end = min(byteCount, offset + min(count, byteCount - offset))
    var bytes = [UInt8](repeating: 0, count: end - offset)
    var next = offset
    while next < end {
      let inPage = next % Self.pageByteCount
      let length = min(Self.pageByteCount - inPage, end - next)
      if let page = pages[next / Self.pageByteCount] {
        bytes.replace(from: next - offset, with: page, from: inPage, count: length)
      }
      next += length
    }
    return bytes
  }

  /// Puts the first `count` bytes of `bytes` at `offset`.
  mutating func write(_ bytes: [UInt8], _ count: Int, at offset: Int) {
    guard count > 0 else { return }
    byteCount = max(byteCount, offset + count)
    var done = 0
    while done < count {
      let inPage = (offset + done) % Self.pageByteCount
      let length = min(Self.pageByteCount - inPage, count - done)
      pages[(offset + done) / Self.pageByteCount, default: Self.zeroPage].replace(
        from: inPage, with: bytes, from: done, count: length)
      done += length
    }
  }

  mutating func resize(to newByteCount: Int) {
    if newByteCount < byteCount {
      let lastPage = newByteCount / Self.pageByteCount
      pages = pages.filter { $0.key <= lastPage }
      let inPage = newByteCount % Self.pageByteCount
      if pages[lastPage] != nil {
        pages[lastPage, default: Self.zeroPage].replace(
          from: inPage, with: Self.zeroPage, from: 0, count: Self.pageByteCount - inPage)
      }
    }
    byteCount = newByteCount
  }

  /// Changes one byte; nothing beyond the end.
  mutating func flip(_ offset: Int, _ mask: UInt8) {
    guard offset < byteCount else { return }
    let byte = read(offset, 1).first ?? 0
    write([byte ^ mask], 1, at: offset)
  }

  private static let zeroPage = [UInt8](repeating: 0, count: pageByteCount)
}

/// A file's bytes now, its bytes on the disk, and what happened between the two.
///
/// Invariant: `current` is `durable` with `pending` applied in order.
struct MemoryContent: Sendable {
  private enum Change {
    case write(offset: Int, bytes: [UInt8])
    case resize(to: Int)
  }

  static let sectorByteCount = 512

  private(set) var current = PagedBytes()
  private var durable = PagedBytes()
  private var pending: [Change] = []

  init() {}

  /// A file of which everything is durable.
  init(durable bytes: PagedBytes) {
    current = bytes
    durable = bytes
  }

  mutating func write(_ bytes: [UInt8], _ count: Int, at offset: Int) {
    guard count > 0 else { return }
    current.write(bytes, count, at: offset)
    pending.append(
      .write(offset: offset, bytes: count == bytes.count ? bytes : Array(bytes.prefix(count))))
  }

  mutating func resize(to byteCount: Int) {
    current.resize(to: byteCount)
    pending.append(.resize(to: byteCount))
  }

  mutating func sync() {
    guard !pending.isEmpty else { return }
    durable = current
    pending = []
  }

  /// The medium goes bad under the file: the cache and the disk alike.
  ///
  /// What was not synced is now.
  mutating func flip(_ offset: Int, _ mask: UInt8) {
    sync()
    current.flip(offset, mask)
    durable.flip(offset, mask)
  }

  /// What a loss of power leaves when nothing survives that was not synced.
  var syncedBytes: PagedBytes { durable }

  /// What a loss of power leaves when chance decides: one of nothing, all, a prefix of the changes,
  /// or each sector as of some moment since the last sync, with any size between.
  func bytesAfterPowerLoss(_ random: any RandomSource) -> PagedBytes {
    guard !pending.isEmpty else { return durable }
    switch random.below(4) {
    case 0: return durable
    case 1: return current
    case 2:
      var bytes = durable
      for change in pending.prefix(random.below(pending.count + 1)) {
        Self.apply(change, to: &bytes)
      }
      return bytes
    default: return tornBytes(random)
    }
  }

  private static func apply(_ change: Change, to bytes: inout PagedBytes) {
    switch change {
    case .write(let offset, let data): bytes.write(data, data.count, at: offset)
    case .resize(let byteCount): bytes.resize(to: byteCount)
    }
  }

  private func tornBytes(_ random: any RandomSource) -> PagedBytes {
    var bytes = durable
    let (sizes, changes) = changesByPage()
    for (page, indices) in changes.sorted(by: { $0.key < $1.key }) {
      for sector in 0..<PagedBytes.pageByteCount / Self.sectorByteCount {
        let start = page * PagedBytes.pageByteCount + sector * Self.sectorByteCount
        tear(&bytes, start, indices, random)
      }
    }
    let smallest = sizes.min() ?? 0
    let largest = sizes.max() ?? 0
    let isBetween = random.isOne(in: 2)
    bytes.resize(
      to: isBetween
        ? smallest + random.below(largest - smallest + 1) : sizes[random.below(sizes.count)])
    return bytes
  }

  /// The sizes the file had, and for each page that changed the indices of the changes.
  private func changesByPage() -> (sizes: [Int], changes: [Int: [Int]]) {
    var size = durable.byteCount
    var sizes = [size]
    var changes: [Int: [Int]] = [:]
    for (index, change) in pending.enumerated() {
      switch change {
      case .write(let offset, let bytes):
        let last = (offset + bytes.count - 1) / PagedBytes.pageByteCount
        for page in offset / PagedBytes.pageByteCount...last {
          changes[page, default: []].append(index)
        }
        size = max(size, offset + bytes.count)
      case .resize(let byteCount):
        // Growing changes no byte: what lies beyond an end is zero already.
        if byteCount < size {
          for page in Set(changes.keys).union(durable.pages.keys)
          where (page + 1) * PagedBytes.pageByteCount > byteCount {
            changes[page, default: []].append(index)
          }
        }
        size = byteCount
      }
      sizes.append(size)
    }
    return (sizes, changes)
  }

  /// Gives the sector at `start` the content it had after some number of its changes.
  private func tear(
    _ bytes: inout PagedBytes, _ start: Int, _ indices: [Int], _ random: any RandomSource
  ) {
    let end = start + Self.sectorByteCount
    var versions: [[UInt8]] = []
    var sector = durable.read(start, Self.sectorByteCount)
    sector += [UInt8](repeating: 0, count: Self.sectorByteCount - sector.count)
    for index in indices {
      switch pending[index] {
      case .write(let offset, let data):
        let first = max(start, offset)
        let last = min(end, offset + data.count)
        guard first < last else { continue }
        sector.replace(
          from: first - start, with: data, from: first - offset, count: last - first)
      case .resize(let byteCount):
        guard byteCount < end else { continue }
        let first = max(start, byteCount)
        sector.replace(
          from: first - start, with: [UInt8](repeating: 0, count: end - first), from: 0,
          count: end - first)
      }
      versions.append(sector)
    }
    let choice = random.below(versions.count + 1)
    if choice > 0 { bytes.write(versions[choice - 1], Self.sectorByteCount, at: start) }
  }
}
