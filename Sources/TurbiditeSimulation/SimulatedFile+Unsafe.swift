// SimulatedFile — one open file of the file system in memory.
//
// Room:    Simulation.

import TurbiditeSystem

#if canImport(Glibc)
import Glibc
#endif

/// An open file.
///
/// It keeps its bytes when its name goes.
final class SimulatedFile: File {
  let path: String
  private let disk: SimulatedDisk
  private let opening: Int
  let file: Int
  private let isWritable: Bool

  init(_ disk: SimulatedDisk, opening: Int, file: Int, path: String, isWritable: Bool) {
    self.disk = disk
    self.opening = opening
    self.file = file
    self.path = path
    self.isWritable = isWritable
  }

  deinit { disk.close(opening) }

  func size() throws(SystemError) -> UInt64 {
    try disk.perform(FileOperation(.size, path)) { UInt64($0.byteCount(of: file)) }
  }

  func read(
    at offset: UInt64, into target: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    let count = target.count
    let operation = FileOperation(.read(offset: offset, count: count), path)
    let position = try SimulatedDisk.position(offset, operation, limit: .max)
    let bytes = try disk.perform(operation) {
      $0.files[file]?.current.read(position, count) ?? []
    }
    // Safe: no more than the target's count was read, and `copy` checks it.
    unsafe bytes.copy(to: target)
    return bytes.count
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(SystemError) {
    let operation = FileOperation(.write(offset: offset, count: bytes.byteCount), path)
    let position = try writablePosition(offset, operation)
    let content = [UInt8](copying: bytes)
    let (end, overflows) = offset.addingReportingOverflow(UInt64(content.count))
    _ = try SimulatedDisk.position(overflows ? .max >> 1 : end, operation)
    try disk.perform(
      operation, content: content,
      partly: { [disk, file] byteCount throws(SystemError) in
        // What arrives whole does not fail.
        let arrived = Array(content.prefix(max(0, min(byteCount, content.count - 1))))
        try disk.changeDisk(operation) { disk throws(DiskRefusal) in
          try disk.write(arrived, to: file, at: position)
        }
      },
      { disk throws(DiskRefusal) in try disk.write(content, to: file, at: position) })
  }

  func preallocate(through byteCount: UInt64) throws(SystemError) {
    let operation = FileOperation(.preallocate(through: byteCount), path)
    let end = try writablePosition(byteCount, operation)
    try disk.perform(operation) { disk throws(DiskRefusal) in
      try disk.preallocate(file, through: end)
    }
  }

  /// Not an operation: what was allocated and not written reads as zeros, here, too.
  func writeZeros(from start: UInt64, to end: UInt64) {
    disk.writeZeros(file, from: Int(start), to: Int(end))
  }

  /// Not an operation: it changes nothing that a crash must leave.
  func beginWriteback(from start: UInt64, to end: UInt64) {}

  func truncate(to byteCount: UInt64) throws(SystemError) {
    let operation = FileOperation(.truncate(to: byteCount), path)
    let end = try writablePosition(byteCount, operation)
    try disk.perform(operation) { $0.resize(file, to: end) }
  }

  func sync() throws(SystemError) {
    try disk.perform(
      FileOperation(.sync, path),
      failing: { [file] disk, failure throws(DiskRefusal) in try disk.failSync(file, failure) },
      { disk throws(DiskRefusal) in try disk.sync(file) })
  }

  func tryLock(
    _ kind: LockKind, from start: UInt64, to end: UInt64
  ) throws(SystemError) -> Bool {
    let operation = FileOperation(.tryLock(kind, from: start, to: end), path)
    try checkRange(start, end, operation)
    if kind == .exclusive { try requireWritable(operation) }
    return try disk.perform(operation) {
      $0.locks[file, default: RangeLocks()].tryLock(kind, owner: opening, from: start, to: end)
    }
  }

  func unlock(from start: UInt64, to end: UInt64) throws(SystemError) {
    let operation = FileOperation(.unlock(from: start, to: end), path)
    try checkRange(start, end, operation)
    try disk.perform(operation) {
      $0.locks[file]?.unlock(owner: opening, from: start, to: end)
    }
  }

  func isLockedElsewhere(from start: UInt64, to end: UInt64) throws(SystemError) -> Bool {
    let operation = FileOperation(.isLockedElsewhere(from: start, to: end), path)
    try checkRange(start, end, operation)
    return try disk.perform(operation) {
      $0.locks[file]?.isLocked(byOthersThan: opening, from: start, to: end) ?? false
    }
  }

  // MARK: - Details

  private func requireWritable(_ operation: FileOperation) throws(SystemError) {
    guard isWritable else {
      throw SystemError(operation: operation.systemName, path: path, code: EBADF)
    }
  }

  private func writablePosition(
    _ offset: UInt64, _ operation: FileOperation
  ) throws(SystemError) -> Int {
    try requireWritable(operation)
    return try SimulatedDisk.position(offset, operation)
  }

  private func checkRange(
    _ start: UInt64, _ end: UInt64, _ operation: FileOperation
  ) throws(SystemError) {
    precondition(start < end, "an empty range cannot be locked")
    _ = try SimulatedDisk.position(end, operation, limit: .max)
  }
}
