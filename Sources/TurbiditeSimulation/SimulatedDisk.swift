// SimulatedDisk — a disk in memory that can crash, fill up, fail and be compared.
//
// Room:    Simulation.
// Source:  The idea, and the split of cached from durable state, from the simulated disks of
//          FoundationDB (Zhou et al., SIGMOD 2021, section 4) and of TigerBeetle.
// Limits:  For tests and simulation: one lock for all, and every write is kept until its sync.

import Synchronization
public import TurbiditeSystem

#if canImport(Glibc)
import Glibc
#endif

/// A disk in memory that tells synced from unsynced bytes and names, counts what it is asked, and
/// fails where a test wants it to.
///
/// May be used from any thread. Equal operations give equal disks: nothing depends on time,
/// addresses or the seed of hashing.
public final class SimulatedDisk: FileSystem {
  /// Asked before each operation, with its index from 0: what goes wrong with it, if anything.
  ///
  /// It may call ``crashed(_:)``, but start no operation.
  public typealias FaultPlan = @Sendable (FileOperation, Int) -> Fault?

  /// Called before each operation with its index from 0; what it throws, the operation throws, and
  /// nothing happens.
  ///
  /// It may call ``crashed(_:)``, but start no operation.
  package typealias Hook = @Sendable (FileOperation, Int) throws(SystemError) -> Void

  private struct State {
    var disk = DiskState()
    var operationCount = 0
    var trace = TraceHash()
    var hook: Hook?
    var plan: FaultPlan?
  }

  /// No file grows beyond this: the limit of ext4 with blocks of 4 KiB.
  private static let fileByteLimit: UInt64 = 16 << 40

  private let state: Mutex<State>

  /// An empty disk.
  public init() { state = Mutex(State()) }

  private init(_ disk: DiskState) {
    var start = State()
    start.disk = disk
    state = Mutex(start)
  }

  // MARK: - For tests

  /// The operations that were asked for, refused ones among them.
  public var operationCount: Int { state.withLock { $0.operationCount } }

  /// A hash over all operations with their arguments, in order.
  public var traceHash: UInt64 { state.withLock { $0.trace.value } }

  /// See ``Hook``.
  package var beforeOperation: Hook? {
    get { state.withLock { $0.hook } }
    set { state.withLock { $0.hook = newValue } }
  }

  /// What goes wrong from now on; nil when all goes well.
  public var faultPlan: FaultPlan? {
    get { state.withLock { $0.plan } }
    set { state.withLock { $0.plan = newValue } }
  }

  /// The files and directories that are open, without the root.
  public var openFileCount: Int { state.withLock { $0.disk.openFiles.count } }

  /// The bytes to which zeros were written so that later syncs have less to do.
  package var zeroedByteCount: Int { state.withLock { $0.disk.zeroedByteCount } }

  /// A hash of all that would survive if the power failed now and nothing else arrived.
  public var durableHash: UInt64 { state.withLock { $0.disk }.durableHash }

  /// A disk that is what this one is now, with all that is not durable.
  ///
  /// Files that are open here are not open there.
  public func copy() -> SimulatedDisk { crashed(.processKill) }

  /// What may survive a crash at this moment.
  ///
  /// Give each to ``crashed(_:)`` as ``Survival/these(_:)``. Two of them may leave equal disks
  /// (``durableHash``).
  public func crashSurvivors(
    _ model: CrashModel = .posix, bounds: CrashBounds = CrashBounds()
  ) -> [Survivors] {
    state.withLock { $0.disk }.crashSurvivors(model, bounds)
  }

  /// The disk as it is found after a crash at this moment; this one goes on unharmed.
  public func crashed(_ survival: Survival) -> SimulatedDisk {
    SimulatedDisk(state.withLock { $0.disk }.crashed(survival))
  }

  /// Limits the number of files that may be open at once; nil takes the limit away.
  public func setOpenFileLimit(_ count: Int?) {
    state.withLock { $0.disk.openFileLimit = count }
  }

  /// Limits the sum of the sizes of all files, in bytes; nil takes the limit away.
  ///
  /// A disk without a limit says that it has nothing left, so that stores hold room back on it as
  /// they do where there is little.
  public func setSpaceLimit(_ byteCount: Int?) {
    state.withLock { $0.disk.spaceLimit = byteCount }
  }

  /// The bytes of a file, as read now; nil when there is none.
  ///
  /// Not an operation.
  public func contents(_ path: String) -> [UInt8]? {
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
    try changeDisk(operation) { disk throws(DiskRefusal) in
      let (opening, file) = try disk.open(checked, .readWrite)
      disk.close(opening)
      var content = PagedBytes()
      content.write(bytes, bytes.count, at: 0)
      disk.files[file] = FileContent(durable: content)
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
      content.cut(to: byteCount)
    }
  }

  private func damage(
    _ path: String, _ body: (inout FileContent) -> Void
  ) throws(SystemError) {
    try changeDisk(FileOperation(.size, path)) { disk throws(DiskRefusal) in
      guard let file = Self.file(path, disk) else { throw DiskRefusal(ENOENT) }
      body(&disk.files[file, default: FileContent()])
    }
  }

  private static func file(_ path: String, _ disk: DiskState) -> Int? {
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
      disk throws(DiskRefusal) in
      try disk.open(checked, mode)
    }
    return SimulatedFile(
      self, opening: opening, file: file, path: path, isWritable: mode != .read)
  }

  package func createDirectory(_ path: String) throws(SystemError) {
    let checked = try RelativePath(path, operation: "mkdir")
    try perform(FileOperation(.createDirectory, path)) { disk throws(DiskRefusal) in
      try disk.createDirectory(checked)
    }
  }

  package func list(_ directory: String) throws(SystemError) -> [String] {
    let checked = try RelativePath(directory, operation: "readdir", mayBeRoot: true)
    return try perform(FileOperation(.list, directory)) { disk throws(DiskRefusal) in
      let number = try disk.directory(checked)
      return (disk.directories[number]?.current.keys).map { $0.sorted() } ?? []
    }
  }

  package func rename(_ source: String, to target: String) throws(SystemError) {
    let from = try RelativePath(source, operation: "rename")
    let to = try RelativePath(target, operation: "rename")
    try perform(FileOperation(.rename(to: target), source)) { disk throws(DiskRefusal) in
      try disk.rename(from, to: to)
    }
  }

  package func remove(_ path: String) throws(SystemError) {
    let checked = try RelativePath(path, operation: "unlink")
    try perform(FileOperation(.remove, path)) { disk throws(DiskRefusal) in
      try disk.remove(checked)
    }
  }

  package func openDirectory(_ directory: String) throws(SystemError) -> any Directory {
    let checked = try RelativePath(directory, operation: "open", mayBeRoot: true)
    let operation = FileOperation(.openDirectory, directory)
    // The root is open as long as the disk: nothing is asked for.
    let (opening, number) =
      if checked.components.isEmpty {
        try changeDisk(operation) { disk throws(DiskRefusal) in try disk.openDirectory(checked) }
      } else {
        try perform(operation) { disk throws(DiskRefusal) in try disk.openDirectory(checked) }
      }
    return SimulatedDirectory(self, opening: opening, directory: number, path: directory)
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
    try perform(FileOperation(.link(to: targetPath), source)) { disk throws(DiskRefusal) in
      try disk.link(from, to: to)
    }
  }

  package func renameDirectory(_ source: String, to target: String) throws(SystemError) {
    let from = try RelativePath(source, operation: "rename")
    let to = try RelativePath(target, operation: "rename")
    try perform(FileOperation(.renameDirectory(to: target), source)) {
      disk throws(DiskRefusal) in
      try disk.renameDirectory(from, to: to)
    }
  }

  package func removeDirectory(_ path: String) throws(SystemError) {
    let checked = try RelativePath(path, operation: "rmdir")
    try perform(FileOperation(.removeDirectory, path)) { disk throws(DiskRefusal) in
      try disk.removeDirectory(checked)
    }
  }

  /// Not an operation: nothing is read or written.
  package func availableByteCount() throws(SystemError) -> UInt64 {
    state.withLock { UInt64(max(0, ($0.disk.spaceLimit ?? 0) - $0.disk.usedByteCount)) }
  }

  /// Not an operation: nothing of the disk is asked for.
  package func isInPlace(_ file: any File) throws(SystemError) -> Bool {
    guard let file = file as? SimulatedFile else { return false }
    return state.withLock { Self.file(file.path, $0.disk) == file.file }
  }

  // MARK: - Details

  /// Counts and traces `operation`, asks the hook, and then changes the disk.
  ///
  /// - Parameter partly: does the first bytes of a write.
  /// - Parameter failing: does a sync that goes wrong.
  func perform<Value: Sendable>(
    _ operation: FileOperation, content: [UInt8] = [],
    partly: ((Int) throws(SystemError) -> Void)? = nil,
    failing: ((inout DiskState, SyncFailure) throws(DiskRefusal) -> Value)? = nil,
    _ body: (inout DiskState) throws(DiskRefusal) -> Value
  ) throws(SystemError) -> Value {
    let (hook, plan, index) = state.withLock { state -> (Hook?, FaultPlan?, Int) in
      state.trace.add(operation, content: content)
      state.operationCount += 1
      return (state.hook, state.plan, state.operationCount - 1)
    }
    // Outside the lock: both may look at the disk.
    try hook?(operation, index)
    switch plan?(operation, index) {
    case nil: return try changeDisk(operation, body)
    case .error(let code):
      throw SystemError(operation: operation.systemName, path: operation.path, code: code)
    case .partialWrite(let byteCount, let code):
      try partly?(byteCount)
      throw SystemError(operation: operation.systemName, path: operation.path, code: code)
    case .syncFailure(let failure):
      guard let failing else { return try changeDisk(operation, body) }
      return try changeDisk(operation) { disk throws(DiskRefusal) in try failing(&disk, failure) }
    }
  }

  func changeDisk<Value: Sendable>(
    _ operation: FileOperation, _ body: (inout DiskState) throws(DiskRefusal) -> Value
  ) throws(SystemError) -> Value {
    do throws(DiskRefusal) {
      return try state.withLock { state throws(DiskRefusal) in try body(&state.disk) }
    } catch {
      throw SystemError(
        operation: operation.systemName, path: operation.path, code: error.code)
    }
  }

  /// A file's or directory's last reference is gone.
  func close(_ opening: Int) { state.withLock { $0.disk.close(opening) } }

  func writeZeros(_ file: Int, from start: Int, to end: Int) {
    state.withLock { $0.disk.writeZeros(file, from: start, to: end) }
  }

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
