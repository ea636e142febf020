// MemoryFileSystem — a disk in memory that can crash, fill up, fail and be compared.
//
// Room:    System.
// Source:  The idea, and the split of cached from durable state, from the simulated disks of
//          FoundationDB (Zhou et al., SIGMOD 2021, section 4) and of TigerBeetle.
// Limits:  For tests and simulation: one lock for all, and every write is kept until its sync.

import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// A file system that tells synced from unsynced bytes and names.
package final class MemoryFileSystem: FileSystem {
  /// Called before each operation with its index from 0; what it throws, the operation throws, and
  /// nothing happens.
  ///
  /// It may call ``crashed(_:)``, but start no operation.
  package typealias Hook = @Sendable (FileOperation, Int) throws(SystemError) -> Void

  private struct State {
    var disk = MemoryDisk()
    var operationCount = 0
    var trace = TraceHash()
    var hook: Hook?
  }

  /// No file grows beyond this: the limit of ext4 with blocks of 4 KiB.
  private static let fileByteLimit: UInt64 = 16 << 40

  private let state: Mutex<State>

  /// An empty disk.
  package init() { state = Mutex(State()) }

  private init(_ disk: MemoryDisk) {
    var start = State()
    start.disk = disk
    state = Mutex(start)
  }

  // MARK: - For tests

  /// The operations that were asked for, refused ones among them.
  package var operationCount: Int { state.withLock { $0.operationCount } }

  /// A hash over all operations with their arguments, in order.
  package var traceHash: UInt64 { state.withLock { $0.trace.value } }

  /// See ``Hook``.
  package var beforeOperation: Hook? {
    get { state.withLock { $0.hook } }
    set { state.withLock { $0.hook = newValue } }
  }

  /// The disk as it is found after a crash at this moment; this one goes on unharmed.
  package func crashed(_ survival: Survival) -> MemoryFileSystem {
    MemoryFileSystem(state.withLock { $0.disk }.crashed(survival))
  }

  /// Limits the sum of the sizes of all files; nil takes the limit away.
  package func setSpaceLimit(_ byteCount: Int?) {
    state.withLock { $0.disk.spaceLimit = byteCount }
  }

  /// The bytes of a file, as read now; nil when there is none.
  ///
  /// Not an operation.
  package func contents(_ path: String) -> [UInt8]? {
    state.withLock { state -> [UInt8]? in
      guard let file = Self.file(path, state.disk), let content = state.disk.files[file] else {
        return nil
      }
      return content.current.read(0, content.current.byteCount)
    }
  }

  /// Gives a file these bytes, durably, and makes it if it is absent; its directory exists.
  ///
  /// Not an operation.
  package func setContents(_ path: String, _ bytes: [UInt8]) throws(SystemError) {
    let operation = FileOperation(.write(offset: 0, count: bytes.count), path)
    let checked = try RelativePath(path, operation: operation.systemName)
    try changeDisk(operation) { disk throws(MemoryDiskError) in
      let (opening, file) = try disk.open(checked, .readWrite)
      disk.close(opening)
      var content = PagedBytes()
      content.write(bytes, bytes.count, at: 0)
      disk.files[file] = MemoryContent(durable: content)
      disk.syncDirectory(try disk.parent(of: checked).directory)
    }
  }

  /// Changes the byte at `offset` by `mask`, in the cache and on the disk.
  ///
  /// Nothing changes beyond the end. What the file holds is durable after it. Not an operation.
  package func corrupt(
    _ path: String, at offset: Int, xor mask: UInt8
  ) throws(SystemError) {
    try damage(path) { $0.flip(offset, mask) }
  }

  /// Cuts the file to `byteCount` bytes, in the cache and on the disk.
  ///
  /// What the file holds is durable after it. Not an operation.
  package func truncateDurable(_ path: String, to byteCount: Int) throws(SystemError) {
    try damage(path) { content in
      guard byteCount < content.current.byteCount else { return }
      content.resize(to: byteCount)
      content.sync()
    }
  }

  private func damage(
    _ path: String, _ body: (inout MemoryContent) -> Void
  ) throws(SystemError) {
    try changeDisk(FileOperation(.size, path)) { disk throws(MemoryDiskError) in
      guard let file = Self.file(path, disk) else { throw MemoryDiskError(ENOENT) }
      body(&disk.files[file, default: MemoryContent()])
    }
  }

  private static func file(_ path: String, _ disk: MemoryDisk) -> Int? {
    do {
      let checked = try RelativePath(path, operation: "open")
      guard case .file(let file) = try disk.node(checked) else { return nil }
      return file
    } catch {
      // A path that cannot be leads to no file.
      return nil
    }
  }

  // MARK: - FileSystem

  package func open(_ path: String, _ mode: OpenMode) throws(SystemError) -> any File {
    let checked = try RelativePath(path, operation: "open")
    let (opening, file) = try perform(FileOperation(.open(mode), path)) {
      disk throws(MemoryDiskError) in
      try disk.open(checked, mode)
    }
    return MemoryFile(
      self, opening: opening, file: file, path: path, isWritable: mode != .read)
  }

  package func createDirectory(_ path: String) throws(SystemError) {
    let checked = try RelativePath(path, operation: "mkdir")
    try perform(FileOperation(.createDirectory, path)) { disk throws(MemoryDiskError) in
      try disk.createDirectory(checked)
    }
  }

  package func list(_ directory: String) throws(SystemError) -> [String] {
    let checked = try RelativePath(directory, operation: "readdir", mayBeRoot: true)
    return try perform(FileOperation(.list, directory)) { disk throws(MemoryDiskError) in
      let number = try disk.directory(checked)
      return (disk.directories[number]?.current.keys).map { $0.sorted() } ?? []
    }
  }

  package func rename(_ source: String, to target: String) throws(SystemError) {
    let from = try RelativePath(source, operation: "rename")
    let to = try RelativePath(target, operation: "rename")
    try perform(FileOperation(.rename(to: target), source)) { disk throws(MemoryDiskError) in
      try disk.rename(from, to: to)
    }
  }

  package func remove(_ path: String) throws(SystemError) {
    let checked = try RelativePath(path, operation: "unlink")
    try perform(FileOperation(.remove, path)) { disk throws(MemoryDiskError) in
      try disk.remove(checked)
    }
  }

  package func syncDirectory(_ directory: String) throws(SystemError) {
    let checked = try RelativePath(directory, operation: "fsync", mayBeRoot: true)
    try perform(FileOperation(.syncDirectory, directory)) { disk throws(MemoryDiskError) in
      disk.syncDirectory(try disk.directory(checked))
    }
  }

  package func link(
    _ source: String, to target: String, in other: any FileSystem
  ) throws(SystemError) {
    let (system, targetPath) = Subdirectory.resolve(target, in: other)
    guard system === self else {
      throw SystemError(operation: "link", path: source, code: EXDEV)
    }
    let from = try RelativePath(source, operation: "link")
    let to = try RelativePath(targetPath, operation: "link")
    try perform(FileOperation(.link(to: targetPath), source)) { disk throws(MemoryDiskError) in
      try disk.link(from, to: to)
    }
  }

  package func renameDirectory(_ source: String, to target: String) throws(SystemError) {
    let from = try RelativePath(source, operation: "rename")
    let to = try RelativePath(target, operation: "rename")
    try perform(FileOperation(.renameDirectory(to: target), source)) {
      disk throws(MemoryDiskError) in
      try disk.renameDirectory(from, to: to)
    }
  }

  package func removeDirectory(_ path: String) throws(SystemError) {
    let checked = try RelativePath(path, operation: "rmdir")
    try perform(FileOperation(.removeDirectory, path)) { disk throws(MemoryDiskError) in
      try disk.removeDirectory(checked)
    }
  }

  // MARK: - Details

  /// Counts and traces `operation`, asks the hook, and then changes the disk.
  func perform<Value: Sendable>(
    _ operation: FileOperation, content: [UInt8] = [],
    _ body: (inout MemoryDisk) throws(MemoryDiskError) -> Value
  ) throws(SystemError) -> Value {
    let (hook, index) = state.withLock { state -> (Hook?, Int) in
      state.trace.add(operation, content: content)
      state.operationCount += 1
      return (state.hook, state.operationCount - 1)
    }
    // Outside the lock: the hook may look at the disk.
    try hook?(operation, index)
    return try changeDisk(operation, body)
  }

  private func changeDisk<Value: Sendable>(
    _ operation: FileOperation, _ body: (inout MemoryDisk) throws(MemoryDiskError) -> Value
  ) throws(SystemError) -> Value {
    do throws(MemoryDiskError) {
      return try state.withLock { state throws(MemoryDiskError) in try body(&state.disk) }
    } catch {
      throw SystemError(
        operation: operation.systemName, path: operation.path, code: error.code)
    }
  }

  /// A file's last reference is gone.
  func close(_ opening: Int) { state.withLock { $0.disk.close(opening) } }

  /// A position that a file may have, as the real system takes it.
  static func position(
    _ value: UInt64, _ operation: FileOperation, limit: UInt64 = fileByteLimit
  ) throws(SystemError) -> Int {
    guard let position = Int(exactly: value) else {
      throw SystemError(operation: operation.systemName, path: operation.path, code: EINVAL)
    }
    guard value <= limit else {
      throw SystemError(operation: operation.systemName, path: operation.path, code: EFBIG)
    }
    return position
  }
}
