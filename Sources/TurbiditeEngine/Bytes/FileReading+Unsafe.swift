// FileReading — whole runs of bytes from a file into memory that may be refused.
//
// Room:    Engine/Bytes.

import TurbiditeSystem

extension File {
  /// Reads exactly `count` bytes at `offset`.
  ///
  /// - Throws: corruption when the file ends before; the caller has bounded `count`.
  func readBuffer(at offset: UInt64, count: Int) throws(StoreError) -> OwnedBuffer {
    guard let buffer = OwnedBuffer(count: count) else {
      throw .resourceExhausted("\(count) bytes of memory to read \(path)")
    }
    let read: Int
    do throws(SystemError) {
      // Safe: the buffer was made with `count` bytes on the lines above and is not shared yet.
      read = unsafe try self.read(
        at: offset, into: UnsafeMutableRawBufferPointer(start: buffer.start, count: count))
    } catch {
      throw StoreError(error)
    }
    guard read == count || planted(.acceptShortRead) else {
      throw .corrupt(
        Damage(
          file: path, offset: offset,
          finding: "the file ends after \(read) of \(count) bytes"))
    }
    return buffer
  }
}
