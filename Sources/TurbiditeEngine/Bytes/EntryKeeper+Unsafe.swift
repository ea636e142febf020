// EntryKeeper — what a cursor remembers of entries that go away.
//
// Room:    Engine/Bytes.
// Limits:  Grows to what its largest use needed, and never shrinks. One thread.

#if canImport(Glibc)
import Glibc
#endif

/// Copies of a key and of a value, each in memory that is used again for the next.
///
/// A superclass, so that a cursor for one entry has no second object. Its fields are changed here
/// alone, whole and at once: a value in an object's field would be checked for exclusive access at
/// each change, and a buffer that a field refers to counted (decision 0030).
///
/// Invariant: of each of the two, `count <= capacity`, and bytes below `count` are initialised.
///
/// Safe: all memory is this object's alone; every write makes room first.
@safe
class EntryKeeper {
  private final var keyStart: UnsafeMutableRawPointer?
  private final var keyCapacity = 0
  private final var keyCount = 0
  private final var valueStart: UnsafeMutableRawPointer?
  private final var valueCapacity = 0
  private final var valueCount = 0

  init() {}

  deinit {
    unsafe free(keyStart)
    unsafe free(valueStart)
  }

  /// The key; valid until the next one is kept.
  @inline(__always)
  final var keptKey: ByteView {
    guard let start = unsafe keyStart else { return .empty }
    return unsafe ByteView(start, count: keyCount)
  }

  /// The value; valid until the next one is kept.
  @inline(__always)
  final var keptValue: ByteView {
    guard let start = unsafe valueStart else { return .empty }
    return unsafe ByteView(start, count: valueCount)
  }

  /// Keeps a key, which is not the kept one.
  @inline(__always)
  final func keep(key: ByteView) throws(StoreError) {
    if key.count > keyCapacity { try growKey(key.count) }
    if let start = unsafe keyStart { unsafe key.copy(to: start) }
    keyCount = key.count
  }

  /// Keeps a value, which is not the kept one.
  @inline(__always)
  final func keep(value: ByteView) throws(StoreError) {
    if value.count > valueCapacity { try growValue(value.count) }
    if let start = unsafe valueStart { unsafe value.copy(to: start) }
    valueCount = value.count
  }

  // What was there is of no use when more is to be kept, and stays where there is no memory.

  @inline(never)
  private final func growKey(_ byteCount: Int) throws(StoreError) {
    let (larger, capacity) = try unsafe Self.allocate(byteCount)
    unsafe free(keyStart)
    unsafe keyStart = larger
    (keyCapacity, keyCount) = (capacity, 0)
  }

  @inline(never)
  private final func growValue(_ byteCount: Int) throws(StoreError) {
    let (larger, capacity) = try unsafe Self.allocate(byteCount)
    unsafe free(valueStart)
    unsafe valueStart = larger
    (valueCapacity, valueCount) = (capacity, 0)
  }

  /// Memory for `byteCount` bytes, and for more of the next.
  private static func allocate(
    _ byteCount: Int
  ) throws(StoreError) -> (start: UnsafeMutableRawPointer, capacity: Int) {
    let wanted = max(64, byteCount + byteCount / 2)
    guard let start = unsafe malloc(wanted) else {
      throw .resourceExhausted("no memory for \(wanted) bytes")
    }
    return unsafe (start, wanted)
  }
}
