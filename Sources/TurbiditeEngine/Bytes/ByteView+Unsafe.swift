// ByteView — a borrowed run of bytes whose owner the reader keeps alive.
//
// Room:    Engine/Bytes.
// Limits:  Bounds are always checked. Lifetime is not: a view is valid as long as the memory it
//          was made from, and each type that hands one out says how long that is.

import CXXHash
import TurbiditeSystem

#if canImport(Glibc)
import Glibc
#endif

/// A pointer and a count that never reads outside its bounds.
///
/// The engine's keys and values live in arenas, blocks and buffers that outlive a single call, so a
/// non-escaping `RawSpan` cannot describe them. A view is that description: trivial to copy, free
/// of reference counts, checked at its ends.
///
/// Safe: every access below checks its range against `count`, and `init` is the only unsafe door.
@safe
struct ByteView: @unchecked Sendable {
  /// The first byte.
  ///
  /// Never dangling while the owner lives; points at `emptyByte` when empty.
  let start: UnsafeRawPointer
  /// The bytes in view.
  let count: Int

  /// A view of `count` bytes at `start`, which must stay valid as long as the view is used.
  @unsafe
  init(_ start: UnsafeRawPointer, count: Int) {
    assert(count >= 0)
    unsafe self.start = start
    self.count = count
  }

  /// A view of nothing.
  static let empty = unsafe ByteView(UnsafeRawPointer(bitPattern: 8).unsafelyUnwrapped, count: 0)

  var isEmpty: Bool { count == 0 }

  subscript(index: Int) -> UInt8 {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
    return unsafe start.load(fromByteOffset: index, as: UInt8.self)
  }

  /// The bytes `[from, from + length)`.
  func slice(_ from: Int, _ length: Int) -> ByteView {
    precondition(from >= 0)
    precondition(length >= 0)
    precondition(from <= count &- length)
    return unsafe ByteView(start + from, count: length)
  }

  /// Little-endian integer at `offset`.
  func load<Value: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: Value.Type) -> Value
  {
    precondition(offset >= 0)
    precondition(offset <= count &- MemoryLayout<Value>.size)
    return Value(
      littleEndian: unsafe start.loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// The eight bytes from `offset` on as a big-endian integer, padded with zeros: comparing two of
  /// these compares the bytes.
  ///
  /// Equal ones say nothing about what follows, nor about the padding.
  @inline(__always)
  func prefix(at offset: Int = 0) -> UInt64 {
    let available = count &- offset
    if available >= 8 { return word(offset) }
    if available <= 0 { return 0 }
    guard count >= 8 else { return shortPrefix(at: offset) }
    return word(count &- 8) &<< UInt64(8 &* (8 &- available))
  }

  /// The eight bytes from `offset` on, of which there are as many, as a big-endian integer.
  @inline(__always)
  private func word(_ offset: Int) -> UInt64 {
    unsafe UInt64(bigEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  @inline(never)
  private func shortPrefix(at offset: Int) -> UInt64 {
    let available = count &- offset
    var value: UInt64 = 0
    var index = offset
    while index < count {
      value = value << 8 | UInt64(unsafe start.load(fromByteOffset: index, as: UInt8.self))
      index &+= 1
    }
    return value << UInt64(8 &* (8 &- available))
  }

  /// Whether two words that may overlap cover the bytes: so it is with most keys, and a call for
  /// each would take several times as long.
  @inline(__always)
  private var isTwoWords: Bool { UInt(bitPattern: count &- 8) <= 8 }

  /// Bytewise order: negative, zero or positive; a proper prefix comes first.
  @inline(__always)
  func compare(_ other: ByteView) -> Int {
    guard count == other.count, isTwoWords else { return compareByCall(other) }
    var (mine, theirs) = (word(0), other.word(0))
    if mine == theirs { (mine, theirs) = (word(count &- 8), other.word(count &- 8)) }
    return mine == theirs ? 0 : mine < theirs ? -1 : 1
  }

  private func compareByCall(_ other: ByteView) -> Int {
    let shared = min(count, other.count)
    let order = unsafe Int(memcmp(start, other.start, shared))
    return order != 0 ? order : count &- other.count
  }

  @inline(__always)
  func isEqual(to other: ByteView) -> Bool {
    guard count == other.count else { return false }
    guard isTwoWords else { return unsafe memcmp(start, other.start, count) == 0 }
    return word(0) == other.word(0) && word(count &- 8) == other.word(count &- 8)
  }

  /// Where a byte comes first; nil where it does not.
  func firstIndex(of byte: UInt8) -> Int? {
    guard let found = unsafe memchr(start, Int32(byte), count) else { return nil }
    return unsafe UnsafeRawPointer(found) - start
  }

  func hasPrefix(_ other: ByteView) -> Bool {
    unsafe count >= other.count && memcmp(start, other.start, other.count) == 0
  }

  /// The number of leading bytes that both share.
  func sharedPrefixCount(_ other: ByteView) -> Int {
    let limit = min(count, other.count)
    var index = 0
    while index &+ 8 <= limit {
      let mine = unsafe start.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      let theirs = unsafe other.start.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      let difference = mine ^ theirs
      if difference != 0 {
        return index &+ UInt64(littleEndian: difference).trailingZeroBitCount / 8
      }
      index &+= 8
    }
    if limit >= 8 {
      // The last word overlaps the one before, of which all is shared.
      let last = limit &- 8
      let mine = unsafe start.loadUnaligned(fromByteOffset: last, as: UInt64.self)
      let theirs = unsafe other.start.loadUnaligned(fromByteOffset: last, as: UInt64.self)
      let difference = mine ^ theirs
      return difference == 0
        ? limit : last &+ UInt64(littleEndian: difference).trailingZeroBitCount / 8
    }
    while index < limit {
      if unsafe start.load(fromByteOffset: index, as: UInt8.self)
        != other.start.load(fromByteOffset: index, as: UInt8.self)
      {
        return index
      }
      index &+= 1
    }
    return index
  }

  /// XXH3-64 of the bytes.
  func hash(seed: UInt64 = 0) -> UInt64 {
    unsafe turbidite_xxh3(start, count, seed)
  }

  /// An owned copy.
  func bytes() -> [UInt8] {
    unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
  }

  /// The bytes as a span, valid as long as the owner of the view.
  var span: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = unsafe RawSpan(_unsafeStart: start, byteCount: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Copies all bytes to `target`, which must have room for `count`.
  @unsafe
  func copy(to target: UnsafeMutableRawPointer) {
    unsafe memcpy(target, start, count)
  }
}

extension [UInt8] {
  /// Lends the bytes as a view for the duration of `body`.
  @inline(__always)
  func withView<Result: ~Copyable, Failure: Error>(
    _ body: (ByteView) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // Safe: the view does not leave `body`, and the array's storage stays for its duration.
    try unsafe span.withUnsafeBufferPointer { (elements) throws(Failure) -> Result in
      guard let base = elements.baseAddress else { return try body(.empty) }
      return try unsafe body(ByteView(UnsafeRawPointer(base), count: elements.count))
    }
  }

  /// Appends what a view shows, which is none of these bytes.
  ///
  /// Several times as fast as `append(contentsOf:)` for the few bytes of a key.
  mutating func append(_ view: ByteView) {
    // Adding nothing to an empty array would write to the storage that all empty arrays share.
    guard !view.isEmpty else { return }
    append(addingCapacity: view.count) { output in
      // Safe: there is room for as many bytes as the view has, and all of them are initialised.
      unsafe output.withUnsafeMutableBufferPointer { target, count in
        guard let base = target.baseAddress else { return }
        unsafe view.copy(to: UnsafeMutableRawPointer(base))
        count = view.count
      }
    }
  }

  /// Appends what `body` writes, at most `room` bytes.
  ///
  /// The array is looked at once, not for each field: half the cost of encoding a short entry.
  @inline(__always)
  mutating func append(room: Int, _ body: (inout RoomWriter) -> Void) {
    precondition(room > 0)
    append(addingCapacity: room) { output in
      // Safe: the writer stays within the room there is, and all that it has passed is initialised.
      unsafe output.withUnsafeMutableBufferPointer { target, count in
        guard let base = target.baseAddress else { return }
        var writer = unsafe RoomWriter(UnsafeMutableRawPointer(base), count: target.count)
        body(&writer)
        count = writer.count
      }
    }
  }

  /// Overwrites bytes `[offset, offset + count)`, from the first on, with what `body` writes.
  mutating func overwrite(_ offset: Int, _ count: Int, _ body: (inout RoomWriter) -> Void) {
    precondition(offset >= 0)
    precondition(count > 0)
    precondition(offset <= self.count &- count)
    // Safe: the range lies within the array.
    unsafe withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      var writer = unsafe RoomWriter(base + offset, count: count)
      body(&writer)
    }
  }

  /// Overwrites the integer at `offset`, low byte first.
  mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
    precondition(offset >= 0)
    precondition(offset <= count &- MemoryLayout<Value>.size)
    // Safe: the range lies within the array.
    unsafe withUnsafeMutableBytes { bytes in
      unsafe bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }
  }
}

extension Span<UInt8> {
  /// The elements as raw bytes.
  var rawBytes: RawSpan {
    @_lifetime(copy self)
    get {
      // Safe: every byte of initialised UInt8 elements is initialised.
      let raw = unsafe bytes
      return unsafe _overrideLifetime(raw, copying: self)
    }
  }
}

extension RawSpan {
  /// Lends the bytes as a view for the duration of `body`.
  @inline(__always)
  func withView<Result: ~Copyable, Failure: Error>(
    _ body: (ByteView) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // Safe: as above.
    try unsafe withUnsafeBytes { (bytes) throws(Failure) -> Result in
      guard let base = bytes.baseAddress else { return try body(.empty) }
      return try unsafe body(ByteView(base, count: bytes.count))
    }
  }
}

/// A block of memory that owns its bytes and lends views of them for as long as it lives.
///
/// A failed Swift allocation stops the process: here it is nil.
///
/// Safe: the memory goes back in `deinit` only; writing is for the maker, before it is shared.
@safe
final class OwnedBuffer: @unchecked Sendable {
  /// Where the memory came from and goes back to.
  private enum Home {
    case malloc
    case pages(byteCount: Int)
    case cache(BlockMemory, BlockMemory.Slot)
  }

  /// The memory.
  ///
  /// Written only before the buffer is handed to a second thread.
  let start: UnsafeMutableRawPointer
  let count: Int
  private let home: Home

  private init?(_ address: UInt, _ count: Int, _ home: Home) {
    guard let start = unsafe UnsafeMutableRawPointer(bitPattern: address) else { return nil }
    unsafe self.start = start
    self.count = count
    self.home = home
  }

  /// Larger ones are not worth keeping for the next that is as large.
  private static let largestRecycledByteCount = 512 << 10

  /// Room for `count` bytes, for a while.
  convenience init?(count: Int) {
    if count > OwnedBuffer.largestRecycledByteCount {
      let rounded = PageMemory.rounded(count)
      if let address = PageMemory.take(rounded) {
        self.init(address, count, .pages(byteCount: rounded))
        return
      }
    }
    guard let memory = unsafe malloc(max(count, 1)) else { return nil }
    self.init(UInt(bitPattern: memory), count, .malloc)
  }

  /// Room for `count` bytes, or for a few more, for something that stays.
  convenience init?(lasting count: Int) {
    let rounded = PageMemory.rounded(count)
    guard count >= PageMemory.smallestByteCount, let address = PageMemory.take(rounded) else {
      self.init(count: count)
      return
    }
    self.init(address, rounded, .pages(byteCount: rounded))
  }

  /// Room for `count` bytes, or for a few more, out of a cache's memory where it has such slots.
  convenience init?(count: Int, from memory: BlockMemory?) {
    guard let memory else {
      self.init(count: count)
      return
    }
    guard count <= BlockMemory.largestByteCount, let slot = memory.allocate(count) else {
      // A few KiB may be had where a segment is not.
      self.init(lasting: count)
      return
    }
    self.init(slot.address, slot.byteCount, .cache(memory, slot))
  }

  /// A copy of `view`, or nil when memory is short.
  convenience init?(copying view: ByteView) {
    self.init(count: view.count)
    unsafe view.copy(to: start)
  }

  deinit {
    switch home {
    case .malloc: unsafe free(start)
    case .pages(let byteCount): unsafe PageMemory.giveBack(UInt(bitPattern: start), byteCount)
    case .cache(let memory, let slot): memory.release(slot)
    }
  }

  /// Replaces the first bytes by those of `view`, and shows them.
  ///
  /// For a buffer of one thread.
  func overwrite(with view: ByteView) -> ByteView {
    precondition(view.count <= count)
    unsafe view.copy(to: start)
    return self.view.slice(0, view.count)
  }

  /// The segment of the cache's memory that the buffer is in; nil when it is in none.
  var segment: Int? { if case .cache(_, let slot) = home { slot.segment } else { nil } }

  /// All bytes; valid while this object lives.
  var view: ByteView { unsafe ByteView(start, count: count) }
}
