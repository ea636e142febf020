// TableInput — bytes from a file into memory of our own.
//
// Room:    Engine/Table.
// Limits:  Allocations are as large as the caller says: callers bound `count` by the file's size or
//          by the format's limits first.

import TurbiditeSystem

extension OwnedBuffer {
  /// Room for `count` bytes, or `resourceExhausted`.
  static func allocate(_ count: Int, for what: String) throws(StoreError) -> OwnedBuffer {
    guard let buffer = OwnedBuffer(count: count) else {
      throw .resourceExhausted("no memory for \(count) bytes of \(what)")
    }
    return buffer
  }

  /// Writes an integer, low byte first.
  func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
    precondition(offset >= 0)
    precondition(offset <= count &- MemoryLayout<Value>.size)
    // Safe: the range was checked against `count` above; the caller is the maker, before sharing.
    unsafe start.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
  }

  /// Copies `view` to `offset`.
  func store(_ view: ByteView, at offset: Int) {
    precondition(offset >= 0)
    precondition(offset <= count &- view.count)
    // Safe: the range was checked against `count` above; the caller is the maker, before sharing.
    unsafe view.copy(to: start + offset)
  }

  /// Sets the bytes from `offset` on to zero.
  func clear(from offset: Int = 0) {
    precondition(offset >= 0)
    precondition(offset <= count)
    // Safe: the range was checked against `count` above.
    unsafe (start + offset).initializeMemory(
      as: UInt8.self, repeating: 0, count: count &- offset)
  }

  /// The address modulo `alignment`, a power of two.
  func misalignment(_ alignment: Int) -> Int {
    // Safe: the address is only looked at as a number.
    unsafe Int(bitPattern: start) & (alignment &- 1)
  }
}

/// A run of bytes that came from a file, and the buffer that keeps them alive.
struct FileBytes {
  let owner: OwnedBuffer
  /// What was read: fewer bytes than asked for when the file ends before.
  let view: ByteView
}

/// Reads up to `count` bytes at `offset`; fewer only where the file ends.
func readAvailable(
  _ file: any File, at offset: UInt64, count: Int
) throws(StoreError) -> FileBytes {
  let buffer = try OwnedBuffer.allocate(count, for: file.path)
  let got: Int
  do throws(SystemError) {
    // Safe: the target is the buffer's own memory and size, and the buffer outlives the call.
    let target = unsafe UnsafeMutableRawBufferPointer(start: buffer.start, count: count)
    got = try unsafe file.read(at: offset, into: target)
  } catch { throw StoreError(error) }
  return FileBytes(owner: buffer, view: buffer.view.slice(0, min(max(got, 0), count)))
}
