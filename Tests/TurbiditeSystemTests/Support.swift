// Support — what several tests need: temporary directories, bytes in and out.

import Foundation
import TurbiditeSimulation
import TurbiditeSystem

/// A directory of its own that goes with the object.
final class TemporaryDirectory {
  let path: String

  init() {
    var template = Array("/tmp/turbidite-test-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { bytes -> String? in
      guard let base = bytes.baseAddress, mkdtemp(base) != nil else { return nil }
      return String(cString: base)
    }
    guard let made else { preconditionFailure("no temporary directory can be made") }
    path = made
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

extension File {
  func write(_ bytes: [UInt8], at offset: UInt64) throws(SystemError) {
    try write(bytes.span.bytes, at: offset)
  }

  func bytes(at offset: UInt64, _ count: Int) throws(SystemError) -> [UInt8] {
    let target = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
    defer { target.deallocate() }
    let read = try self.read(at: offset, into: target)
    return Array(target.prefix(read))
  }

  func allBytes() throws(SystemError) -> [UInt8] { try bytes(at: 0, Int(size())) }
}

/// The `errno` of a call, or nil when it does not throw.
func code(_ body: () throws -> Void) -> Int32? {
  do {
    try body()
    return nil
  } catch {
    return (error as? SystemError)?.code ?? -1
  }
}

func mode(_ path: String) -> mode_t {
  var status = stat()
  return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
}

extension RandomSource {
  func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(below(256)) } }
  func element<T>(_ list: [T]) -> T { list[below(list.count)] }
}
