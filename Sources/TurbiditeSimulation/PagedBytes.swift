// PagedBytes — the bytes of a file of any size, of which only what was written takes memory.
//
// Room:    Simulation.

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

  fileprivate static let zeroPage = [UInt8](repeating: 0, count: pageByteCount)
}

extension PagedBytes {
  /// Adds the size and the bytes; pages of zeros count as absent.
  func add(to hash: inout TraceHash) {
    hash.add(UInt64(byteCount))
    for (number, page) in pages.sorted(by: { $0.key < $1.key }) {
      guard page != Self.zeroPage else { continue }
      hash.add(UInt64(number))
      page.forEachWord { hash.add($0) }
    }
  }
}
