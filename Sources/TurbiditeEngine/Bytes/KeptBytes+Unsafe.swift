// KeptBytes — what an object remembers of bytes that go away.
//
// Room:    Engine/Bytes.
// Limits:  Grows to what its largest use needed, and never shrinks. One thread.

#if canImport(Glibc)
import Glibc
#endif

/// A copy of bytes, in memory that is used again for the next ones.
///
/// An object, and not ``ScratchBytes``: a value in an object's field would be checked for exclusive
/// access at each change, and a buffer that the field only refers to counted (decision 0030).
///
/// Invariant: `count <= capacity`; bytes below `count` are initialised.
///
/// Safe: all memory is this object's alone; every write makes room first.
@safe
final class KeptBytes {
  private var start: UnsafeMutableRawPointer?
  private var capacity = 0
  private var count = 0

  init() {}

  deinit { unsafe free(start) }

  /// The bytes; valid until the next ones are kept.
  @inline(__always)
  var view: ByteView {
    guard let start = unsafe start else { return .empty }
    return unsafe ByteView(start, count: count)
  }

  /// Keeps the bytes of `view`, which is none of these, and shows them.
  @inline(__always)
  func keep(_ view: ByteView) throws(StoreError) {
    if view.count > capacity { try grow(view.count) }
    if let start = unsafe start { unsafe view.copy(to: start) }
    count = view.count
  }

  @inline(never)
  private func grow(_ byteCount: Int) throws(StoreError) {
    let wanted = max(64, byteCount + byteCount / 2)
    // What was there is of no use any more.
    guard let larger = unsafe malloc(wanted) else {
      throw .resourceExhausted("no memory for \(wanted) bytes")
    }
    unsafe free(start)
    unsafe start = larger
    (capacity, count) = (wanted, 0)
  }
}
