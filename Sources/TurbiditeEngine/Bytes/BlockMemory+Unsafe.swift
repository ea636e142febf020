// BlockMemory — room for the decoded blocks of a cache, side by side in huge pages.
//
// Room:    Engine/Bytes.
// Source:  Pages of one size class with their own free slots: Bonwick, "The Slab Allocator", USENIX
//          Summer 1994; pages within larger, aligned segments as in mimalloc (Leijen, Zorn and de
//          Moura, APLAS 2019).
// Limits:  For sizes up to ``BlockMemory/largestByteCount``; classes are an eighth of a doubling
//          apart. Thread-safe.

import Synchronization

/// Hands out slots of memory, and takes them back from any thread.
///
/// A cached block is touched at random and seldom, so much of what a hit costs is finding its
/// pages: huge ones save a tenth to a fifth of a whole lookup (decision 0017).
///
/// Invariants:
/// 1. Every page of a segment that is held is in one list: that of its size class while it has
///    room, that of empty pages while no slot of it is in use, and none while it is full.
/// 2. A page's slots in use, its free slots, and those never handed out are all its slots.
/// 3. At most one segment has no page in use.
///
/// Safe to share: the mutex guards all of it, and free slots, which hold the address of the next
/// one, are nobody else's.
final class BlockMemory: Sendable {
  /// A slot that is in use.
  struct Slot: Sendable {
    let address: UInt
    let byteCount: Int
    fileprivate let page: Int32

    /// The piece of the system's memory that the slot is in.
    var segment: Int { Int(page) / State.pagesOfSegment }
  }

  static let largestByteCount = 16 << 10

  private let state: Mutex<State>

  /// - Parameter chunks: where the segments come from.
  init(chunks: ChunkPool) { state = Mutex(State(chunks: chunks)) }

  deinit {
    state.withLock { state in
      for segment in state.segments where segment.address != 0 {
        state.chunks.giveBack(segment.address)
      }
    }
  }

  /// Room for `byteCount` bytes, aligned to 64; nil when memory is short.
  func allocate(_ byteCount: Int) -> Slot? {
    precondition(byteCount <= BlockMemory.largestByteCount)
    return state.withLock { $0.allocate(SizeClass(holding: byteCount)) }
  }

  /// Takes back a slot that nobody uses any more.
  func release(_ slot: Slot) { state.withLock { $0.release(slot) } }

  /// The segments with the fewest bytes in use that would have to go for the others to take at
  /// most `byteCount` bytes.
  func sparsestSegments(over byteCount: Int) -> Set<Int> {
    state.withLock { state in
      let held = state.segments.indices.filter { state.segments[$0].address != 0 }
      let excess = held.count - max(0, byteCount) / ChunkPool.chunkByteCount
      guard excess > 0 else { return [] }
      let sorted = held.sorted {
        (state.segments[$0].usedByteCount, $0) < (state.segments[$1].usedByteCount, $1)
      }
      return Set(sorted.prefix(excess))
    }
  }

  /// Bytes that were taken from the system.
  var reservedByteCount: Int {
    state.withLock { state in
      state.segments.reduce(0) { $0 + ($1.address == 0 ? 0 : ChunkPool.chunkByteCount) }
    }
  }
}

/// Sizes of 512 bytes and up, eight to each doubling.
private struct SizeClass {
  let index: Int
  let byteCount: Int

  static let count = 41

  init(holding byteCount: Int) {
    guard byteCount > 512 else {
      index = 0
      self.byteCount = 512
      return
    }
    let last = byteCount &- 1
    let exponent = Int.bitWidth &- 1 &- last.leadingZeroBitCount
    let eighths = last >> (exponent &- 3)
    index = (exponent &- 9) &* 8 &+ eighths &- 7
    self.byteCount = (eighths &+ 1) << (exponent &- 3)
  }
}

private struct State {
  struct Segment {
    /// 0 when it was given back.
    var address: UInt
    var usedPageCount = 0
    var usedByteCount = 0
  }

  struct Page {
    var start: UInt
    /// ``State/empty`` while no slot is in use.
    var list = State.empty
    var slotByteCount = 0
    var usedCount = 0
    /// The first of the free slots that were in use before, or 0.
    var firstFree: UInt = 0
    /// Where the slots begin that were never handed out.
    var fresh: UInt
    var next: Int32 = -1
    var previous: Int32 = -1

    var hasRoom: Bool {
      firstFree != 0 || fresh &+ UInt(slotByteCount) <= start &+ UInt(State.pageByteCount)
    }
  }

  static let pageByteCount = 128 << 10
  static let pagesOfSegment = ChunkPool.chunkByteCount / pageByteCount
  /// The list of empty pages comes behind those of the classes.
  static let empty = SizeClass.count

  let chunks: ChunkPool
  var segments: [Segment] = []
  var pages: [Page] = []
  /// The first page of each list.
  var heads = [Int32](repeating: -1, count: State.empty + 1)
  /// Segments without a page in use.
  var idleSegmentCount = 0

  init(chunks: ChunkPool) { self.chunks = chunks }

  mutating func allocate(_ size: SizeClass) -> BlockMemory.Slot? {
    if heads[size.index] < 0 {
      guard addPage(size) else { return nil }
    }
    let page = Int(heads[size.index])
    let address: UInt
    if pages[page].firstFree != 0 {
      address = pages[page].firstFree
      pages[page].firstFree = State.next(of: address)
    } else {
      address = pages[page].fresh
      pages[page].fresh &+= UInt(size.byteCount)
    }
    pages[page].usedCount &+= 1
    segments[page / State.pagesOfSegment].usedByteCount &+= size.byteCount
    if !pages[page].hasRoom { unlink(page) }
    return BlockMemory.Slot(address: address, byteCount: size.byteCount, page: Int32(page))
  }

  mutating func release(_ slot: BlockMemory.Slot) {
    let page = Int(slot.page)
    let hadRoom = pages[page].hasRoom
    State.setNext(of: slot.address, pages[page].firstFree)
    pages[page].firstFree = slot.address
    pages[page].usedCount &-= 1
    segments[page / State.pagesOfSegment].usedByteCount &-= slot.byteCount
    if pages[page].usedCount == 0 {
      if hadRoom { unlink(page) }
      link(page, to: State.empty)
      leave(page / State.pagesOfSegment)
    } else if !hadRoom {
      link(page, to: pages[page].list)
    }
  }

  /// Gives a class a page with all slots free; false when memory is short.
  private mutating func addPage(_ size: SizeClass) -> Bool {
    if heads[State.empty] < 0 {
      guard addSegment() else { return false }
    }
    let page = Int(heads[State.empty])
    unlink(page)
    pages[page].slotByteCount = size.byteCount
    pages[page].firstFree = 0
    pages[page].fresh = pages[page].start
    link(page, to: size.index)
    let segment = page / State.pagesOfSegment
    if segments[segment].usedPageCount == 0 { idleSegmentCount -= 1 }
    segments[segment].usedPageCount += 1
    return true
  }

  private mutating func addSegment() -> Bool {
    guard let address = chunks.take() else { return false }
    let segment = segments.firstIndex { $0.address == 0 } ?? segments.count
    if segment == segments.count {
      segments.append(Segment(address: address))
      let page = Page(start: 0, fresh: 0)
      pages.append(contentsOf: repeatElement(page, count: State.pagesOfSegment))
    }
    segments[segment].address = address
    idleSegmentCount += 1
    for place in 0..<State.pagesOfSegment {
      let page = segment * State.pagesOfSegment + place
      pages[page].start = address + UInt(place * State.pageByteCount)
      link(page, to: State.empty)
    }
    return true
  }

  /// Notes that a page of a segment is empty; gives back a second segment without a page in use.
  private mutating func leave(_ segment: Int) {
    segments[segment].usedPageCount -= 1
    guard segments[segment].usedPageCount == 0 else { return }
    idleSegmentCount += 1
    guard idleSegmentCount > 1 else { return }
    idleSegmentCount -= 1
    for place in 0..<State.pagesOfSegment { unlink(segment * State.pagesOfSegment + place) }
    chunks.giveBack(segments[segment].address)
    segments[segment].address = 0
  }

  // MARK: - Lists of pages

  private mutating func link(_ page: Int, to list: Int) {
    let head = heads[list]
    pages[page].list = list
    pages[page].previous = -1
    pages[page].next = head
    if head >= 0 { pages[Int(head)].previous = Int32(page) }
    heads[list] = Int32(page)
  }

  private mutating func unlink(_ page: Int) {
    let (previous, next) = (pages[page].previous, pages[page].next)
    if previous >= 0 { pages[Int(previous)].next = next } else { heads[pages[page].list] = next }
    if next >= 0 { pages[Int(next)].previous = previous }
  }

  // MARK: - Free slots

  /// Safe: in both a free slot is 64 bytes or more of a live segment, and nobody else's.
  private static func next(of slot: UInt) -> UInt {
    guard let place = unsafe UnsafePointer<UInt>(bitPattern: slot) else { return 0 }
    return unsafe place.pointee
  }

  private static func setNext(of slot: UInt, _ next: UInt) {
    guard let place = unsafe UnsafeMutablePointer<UInt>(bitPattern: slot) else { return }
    unsafe place.pointee = next
  }
}
