// FileContent — the bytes of one file: those in the cache, and those on the disk.
//
// Room:    Simulation.
// Source:  The states a crash may leave follow Pillai et al., OSDI 2014, section 2: unsynced writes
//          persist in any order, sector by sector, and the size apart from the bytes. The ways a
//          sync fails follow Rebello et al., USENIX ATC 2020, table 1.
// Limits:  A sector of 512 bytes is never torn within.

/// A file's bytes now, its bytes on the disk, and what happened between the two.
///
/// Invariant 1: `current` is `base` with `pending` applied in order.
/// Invariant 2: `base` and `durable` differ only after a sync that failed.
struct FileContent: Sendable {
  /// One change since the last sync.
  private struct Change {
    enum Kind {
      case write(offset: Int, bytes: [UInt8])
      case resize(to: Int)
    }

    /// When it happened, among all changes of the disk.
    var order: Int
    var kind: Kind
  }

  static let sectorByteCount = 512

  private(set) var current = PagedBytes()
  private var base = PagedBytes()
  private var durable = PagedBytes()
  private var pending: [Change] = []
  /// The next sync fails: an error of the disk that has not been reported yet.
  private var owesError = false

  init() {}

  /// A file of which everything is durable.
  init(durable bytes: PagedBytes) {
    current = bytes
    base = bytes
    durable = bytes
  }

  mutating func write(_ bytes: [UInt8], _ count: Int, at offset: Int, order: Int) {
    guard count > 0 else { return }
    current.write(bytes, count, at: offset)
    let written = count == bytes.count ? bytes : Array(bytes.prefix(count))
    pending.append(Change(order: order, kind: .write(offset: offset, bytes: written)))
  }

  mutating func resize(to byteCount: Int, order: Int) {
    current.resize(to: byteCount)
    pending.append(Change(order: order, kind: .resize(to: byteCount)))
  }

  /// Makes everything durable that changed since the last sync.
  ///
  /// - Returns: false when an error of the past has to be reported now.
  mutating func sync() -> Bool {
    if owesError {
      owesError = false
      return false
    }
    guard !pending.isEmpty else { return true }
    durable = bytes(after: .everything)
    base = current
    pending = []
    return true
  }

  /// A sync goes wrong.
  ///
  /// - Returns: whether the caller is told.
  mutating func failSync(_ failure: SyncFailure) -> Bool {
    switch failure {
    case .pagesLookClean, .reportedElsewhere, .reportedLater:
      base = current
      owesError = failure == .reportedLater
    case .pagesRevert:
      base = durable
      current = durable
    case .dataArrived:
      durable = bytes(after: .everything)
      base = current
    }
    pending = []
    return failure != .reportedElsewhere && failure != .reportedLater
  }

  /// The medium goes bad under the file: the cache and the disk alike.
  ///
  /// What was not synced is now.
  mutating func flip(_ offset: Int, _ mask: UInt8) {
    settle()
    current.flip(offset, mask)
    settle()
  }

  /// Cuts the cache and the disk alike.
  mutating func cut(to byteCount: Int) {
    current.resize(to: byteCount)
    settle()
  }

  private mutating func settle() {
    base = current
    durable = current
    pending = []
  }

  /// The moments at which the file changed since its last sync.
  var pendingOrders: [Int] { pending.map(\.order) }

  /// The sectors that the change of this moment wrote; 0 for a change of size.
  func sectorCount(ofChange order: Int) -> Int {
    guard let change = pending.first(where: { $0.order == order }),
      case .write(let offset, let bytes) = change.kind
    else { return 0 }
    return Self.sectors(offset, bytes.count).count
  }

  /// The bytes on the disk when of the unsynced changes those survive that `survivors` says.
  ///
  /// A sector has the content it had in the cache after the last surviving change that touched it;
  /// the size is the one after the last surviving change that changed it.
  ///
  /// - Parameter stale: what lies where the file grew and no data arrived, by offset.
  func bytes(
    after survivors: Survivors, stale: (Int) -> [UInt8] = { _ in [] }
  ) -> PagedBytes {
    guard !pending.isEmpty else { return durable }
    var cache = base
    var result = durable
    var byteCount = durable.byteCount
    var unwritten: Set<Int> = []
    for change in pending {
      let isKept = survivors.content.keeps(change.order)
      switch change.kind {
      case .write(let offset, let bytes):
        let sizeBefore = cache.byteCount
        cache.write(bytes, bytes.count, at: offset)
        if isKept, cache.byteCount > sizeBefore { byteCount = cache.byteCount }
        for sector in Self.sectors(offset, bytes.count) {
          if isKept, survivors.keeps(sector: sector - offset / Self.sectorByteCount, change.order) {
            let start = sector * Self.sectorByteCount
            let content = cache.read(start, Self.sectorByteCount)
            result.write(content, content.count, at: start)
            unwritten.remove(sector)
          } else if survivors.showsStaleBytes,
            (sector + 1) * Self.sectorByteCount > durable.byteCount
          {
            unwritten.insert(sector)
          }
        }
      case .resize(let newByteCount):
        let sizeBefore = cache.byteCount
        cache.resize(to: newByteCount)
        guard isKept else { continue }
        if survivors.showsStaleBytes {
          unwritten.formUnion(Self.sectors(from: max(sizeBefore, durable.byteCount), newByteCount))
        }
        if newByteCount < result.byteCount { result.resize(to: newByteCount) }
        // The sector in which the file now ends is written whole.
        let start = newByteCount / Self.sectorByteCount * Self.sectorByteCount
        let end = cache.read(start, newByteCount - start)
        result.write(end, end.count, at: start)
        byteCount = newByteCount
      }
    }
    result.resize(to: byteCount)
    for sector in unwritten.sorted() {
      let start = max(sector * Self.sectorByteCount, durable.byteCount)
      let end = min((sector + 1) * Self.sectorByteCount, byteCount)
      guard start < end else { continue }
      let bytes = stale(start)
      result.write(bytes, min(bytes.count, end - start), at: start)
    }
    return result
  }

  private static func sectors(_ offset: Int, _ count: Int) -> ClosedRange<Int> {
    offset / sectorByteCount...(offset + count - 1) / sectorByteCount
  }

  /// The sectors that begin at `start` or behind it, and before `end`.
  private static func sectors(from start: Int, _ end: Int) -> Range<Int> {
    let first = (start + sectorByteCount - 1) / sectorByteCount
    return first..<max(first, (end + sectorByteCount - 1) / sectorByteCount)
  }
}

/// How a sync goes wrong, and what becomes of the bytes that were to be made durable.
///
/// What file systems do is described by Rebello et al., "Can applications recover from fsync
/// failures?", USENIX ATC 2020.
public enum SyncFailure: Sendable, Hashable, CaseIterable {
  /// The error is reported; the cache goes on to show the new bytes as if they were durable, and
  /// the disk holds the old ones (ext4, XFS).
  case pagesLookClean
  /// The error is reported, and the cache falls back to the old bytes (Btrfs).
  case pagesRevert
  /// The error is reported, though the bytes did reach the disk.
  case dataArrived
  /// The sync seems to succeed: another open file was told of the error. The disk holds the old
  /// bytes. No store can keep its promise on such a disk; none may invent data on it.
  case reportedElsewhere
  /// The sync seems to succeed, and the next one of the file fails (ext4 with data journaling).
  /// The disk holds the old bytes. No store can keep its promise on such a disk either.
  case reportedLater
}
