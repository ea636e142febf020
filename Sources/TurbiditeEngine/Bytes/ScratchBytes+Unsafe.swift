// ScratchBytes — bytes that are collected in memory which is used again for the next ones.
//
// Room:    Engine/Bytes.
// Limits:  Grows by doubling to what its largest use needed, and never shrinks. One thread.

#if canImport(Glibc)
import Glibc
#endif

/// Bytes with one owner.
///
/// What an array is, but for two things: it need not look at each change whether somebody shares
/// it, and memory that cannot be had is an error instead of the end of the process.
///
/// Invariant: `count <= capacity`; bytes below `count` are initialised.
///
/// Safe: all memory is this value's alone; every write makes room first.
@safe
struct ScratchBytes: ~Copyable {
  private var start: UnsafeMutableRawPointer?
  private var capacity = 0
  /// The bytes held.
  private(set) var count = 0

  init() {}

  deinit { unsafe free(start) }

  var isEmpty: Bool { count == 0 }

  /// All bytes; valid until the next change.
  var view: ByteView {
    guard let start = unsafe start else { return .empty }
    return unsafe ByteView(start, count: count)
  }

  /// An owned copy.
  func bytes() -> [UInt8] { view.bytes() }

  /// Forgets all bytes.
  @inline(__always)
  mutating func removeAll() { count = 0 }

  /// Makes room for `byteCount` more bytes.
  @inline(__always)
  mutating func reserve(_ byteCount: Int) throws(StoreError) {
    precondition(byteCount >= 0)
    if byteCount > capacity &- count { try grow(byteCount) }
  }

  @inline(never)
  private mutating func grow(_ byteCount: Int) throws(StoreError) {
    let wanted = max(64, 2 * capacity, count + byteCount)
    // Safe: the memory was realloc's, and what it gives holds the bytes so far.
    guard let larger = unsafe realloc(start, wanted) else {
      throw .resourceExhausted("no memory for \(wanted) bytes")
    }
    unsafe start = larger
    capacity = wanted
  }

  /// Appends what a view shows, which is none of these bytes.
  @inline(__always)
  mutating func append(_ view: ByteView) throws(StoreError) {
    try reserve(view.count)
    guard let start = unsafe start else { return }
    unsafe view.copy(to: start + count)
    count &+= view.count
  }

  /// Makes the bytes of `view`, which is none of these, the content.
  @inline(__always)
  mutating func replace(with view: ByteView) throws(StoreError) {
    count = 0
    try append(view)
  }

  /// Appends what `body` writes, at most `room` bytes.
  @inline(__always)
  mutating func append(room: Int, _ body: (inout RoomWriter) -> Void) throws(StoreError) {
    try reserve(room)
    guard let start = unsafe start else { return }
    var writer = unsafe RoomWriter(start + count, count: room)
    body(&writer)
    count &+= writer.count
  }

  /// Appends `byteCount` zeros.
  mutating func append(zeros byteCount: Int) throws(StoreError) {
    try reserve(byteCount)
    guard let start = unsafe start else { return }
    unsafe (start + count).initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    count &+= byteCount
  }

  /// Appends an integer, low byte first.
  @inline(__always)
  mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(
    littleEndian value: Value
  ) throws(StoreError) {
    try append(room: MemoryLayout<Value>.size) { $0.append(littleEndian: value) }
  }

  /// Overwrites the integer at `offset`, low byte first.
  @inline(__always)
  mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
    precondition(offset >= 0)
    precondition(offset <= count &- MemoryLayout<Value>.size)
    unsafe start?.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
  }
}

/// Writes fields one after the other into room that somebody has made.
///
/// Safe: every write checks that it ends within the room.
@safe
struct RoomWriter: ~Copyable {
  private let start: UnsafeMutableRawPointer
  private let capacity: Int
  /// The bytes written.
  private(set) var count = 0

  /// - Parameter start: `count` bytes that live as long as the writer.
  @unsafe
  init(_ start: UnsafeMutableRawPointer, count: Int) {
    unsafe self.start = start
    capacity = count
  }

  /// Appends an integer, low byte first.
  @inline(__always)
  mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(littleEndian value: Value) {
    precondition(MemoryLayout<Value>.size <= capacity &- count)
    unsafe start.storeBytes(of: value.littleEndian, toByteOffset: count, as: Value.self)
    count &+= MemoryLayout<Value>.size
  }

  /// Overwrites the integer at `offset` of the room, low byte first.
  @inline(__always)
  func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
    precondition(offset >= 0)
    precondition(offset <= capacity &- MemoryLayout<Value>.size)
    unsafe start.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
  }

  /// Appends a varint, as ``Swift/Array/append(varint:)-(UInt64)`` does.
  @inline(__always)
  mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(littleEndian: UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(littleEndian: UInt8(truncatingIfNeeded: rest))
  }

  @inline(__always)
  mutating func append(_ view: ByteView) {
    precondition(view.count <= capacity &- count)
    unsafe view.copy(to: start + count)
    count &+= view.count
  }

  @inline(__always)
  mutating func append(lengthPrefixed view: ByteView) {
    append(varint: UInt64(view.count))
    append(view)
  }
}
