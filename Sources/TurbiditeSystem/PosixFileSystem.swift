// PosixFileSystem — a directory of the real disk, held by descriptor and never left.
//
// Room:    System.
// Source:  Creation follows Pillai et al., OSDI 2014: a new name counts once its directory is
//          synced. Paths below the root follow no symbolic link (openat2(2), RESOLVE_BENEATH).
// Limits:  Symbolic links in the path of the root itself are followed. Names that are not UTF-8 are
//          listed with replacement characters, so they never match a name of ours.

import CTurbiditeShims

#if canImport(Glibc)
import Glibc
#endif

/// Which directory or file it is, whatever its path says.
package struct DirectoryIdentity: Sendable, Hashable {
  package var device: UInt64
  package var inode: UInt64
}

/// A directory tree on the real disk.
///
/// Invariant 1: `root` is open as long as this object lives.
/// Invariant 2: every name used below `root` was checked by ``RelativePath``.
package final class PosixFileSystem: FileSystem {
  private let root: Int32
  /// Absolute, so that a later change of the working directory does not matter.
  package let rootPath: String
  /// The device and inode that were opened.
  package let identity: DirectoryIdentity

  private init(root: Int32, path: String) throws(SystemError) {
    self.root = root
    rootPath = path
    do throws(SystemError) { identity = try Self.status(of: root, "").identity } catch {
      close(root)
      throw error
    }
  }

  deinit { close(root) }

  /// Opens an existing directory as a root.
  package static func openRoot(_ path: String) throws(SystemError) -> PosixFileSystem {
    let path = try absolute(path)
    // Safe: the path is a Swift string that lives through the call; so it is below.
    let root = try retrying("open", "") {
      unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    return try PosixFileSystem(root: root, path: path)
  }

  /// Opens a directory as a root; creates it, but not its parents, when it is absent.
  ///
  /// When this returns, a directory that was created has mode 0700 and its name is durable. The
  /// name of one that existed is made durable too, if its parent may be read: whoever created it
  /// may have been killed before.
  package static func createRoot(_ path: String) throws(SystemError) -> PosixFileSystem {
    let path = try absolute(path)
    // Safe: the path is a Swift string that lives through the call.
    let isNew = unsafe mkdir(path, 0o700) == 0
    if !isNew && errno != EEXIST { throw failure("mkdir", "") }
    let opened = try openRoot(path)
    if isNew { _ = try retrying("fchmod", "") { fchmod(opened.root, 0o700) } }
    do throws(SystemError) {
      try syncParent(of: path)
    } catch {
      if isNew || error.cause != .permission { throw error }
    }
    return opened
  }

  /// Whether the path of the root still names the directory that was opened.
  package func stillAtPath() throws(SystemError) -> Bool {
    var status = stat()
    // Safe: the path is a Swift string, and `status` is a local that stat fills.
    if unsafe stat(rootPath, &status) == 0 { return DirectoryIdentity(status) == identity }
    if errno == ENOENT || errno == ENOTDIR { return false }
    throw Self.failure("stat", "")
  }

  /// Whether this directory is `other`, or lies anywhere below it.
  ///
  /// Follows the parents of the directory itself, whatever path and links led to it.
  package func isWithin(_ other: PosixFileSystem) throws(SystemError) -> Bool {
    var directory = Descriptor(root, isOwned: false)
    var current = identity
    while current != other.identity {
      let number = try directory.use { number throws(SystemError) in
        try Self.retrying("open", "..") {
          // Safe: the name is a literal that lives through the call.
          unsafe Glibc.openat(number, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)
        }
      }
      directory = Descriptor(number)
      let above = try directory.use { number throws(SystemError) in
        try Self.status(of: number, "..").identity
      }
      // The top of all is its own parent.
      if above == current { return false }
      current = above
    }
    return true
  }

  // MARK: - FileSystem

  package func open(_ path: String, _ mode: OpenMode) throws(SystemError) -> any File {
    _ = try RelativePath(path, operation: "open")
    switch mode {
    case .read:
      return try openExisting(path, O_RDONLY)
    case .create:
      return try openNew(path)
    case .readWrite:
      // The name may come and go between two attempts; it does not do so for ever.
      for _ in 0..<16 {
        do throws(SystemError) {
          return try openExisting(path, O_RDWR)
        } catch  where error.isAbsent {
          do throws(SystemError) { return try openNew(path) } catch  where error.code == EEXIST {}
        }
      }
      throw SystemError(operation: "open", path: path, code: EAGAIN)
    }
  }

  package func createDirectory(_ path: String) throws(SystemError) {
    let (parent, name) = try parentDirectory(of: path, operation: "mkdir")
    // Safe: the name is a Swift string that lives through the call.
    try parent.call("mkdir", path) { unsafe mkdirat($0, name, 0o700) }
    // The mode of mkdirat is cut by the umask; that of fchmod is not.
    let made = try parent.use { number throws(SystemError) in
      try openDescriptor(name, O_RDONLY | O_DIRECTORY, path: path, in: number)
    }
    try made.call("fchmod", path) { fchmod($0, 0o700) }
  }

  package func list(_ directory: String) throws(SystemError) -> [String] {
    let descriptor = try openDirectory(directory, operation: "readdir")
    let number = descriptor.take()
    // Safe: `number` is an open directory, which `stream` owns from here on.
    guard let stream = unsafe fdopendir(number) else {
      let error = Self.failure("readdir", directory)
      close(number)
      throw error
    }
    // Safe: `stream` is closed once, here.
    defer { unsafe _ = closedir(stream) }
    var names: [String] = []
    // Safe: each name ends with a zero and is copied before the next call.
    while let name = unsafe turbidite_next_name(stream) {
      let text = unsafe String(cString: name)
      if text != "." && text != ".." { names.append(text) }
    }
    guard errno == 0 else { throw Self.failure("readdir", directory) }
    return names.sorted()
  }

  package func rename(_ source: String, to target: String) throws(SystemError) {
    let (sourceParent, sourceName) = try parentDirectory(of: source, operation: "rename")
    let (targetParent, targetName) = try parentDirectory(of: target, operation: "rename")
    try sourceParent.use { sourceNumber throws(SystemError) in
      // Directories are not renamed; the simulated disk counts on it.
      var status = stat()
      // Safe: the name is a Swift string, and `status` is a local that fstatat fills.
      let isFound = unsafe fstatat(sourceNumber, sourceName, &status, AT_SYMLINK_NOFOLLOW) == 0
      if isFound && status.st_mode & S_IFMT == S_IFDIR {
        throw SystemError(operation: "rename", path: source, code: EISDIR)
      }
      try targetParent.call("rename", source) {
        // Safe: the names are Swift strings that live through the call.
        unsafe renameat(sourceNumber, sourceName, $0, targetName)
      }
    }
  }

  package func remove(_ path: String) throws(SystemError) {
    let (parent, name) = try parentDirectory(of: path, operation: "unlink")
    // Safe: the name is a Swift string that lives through the call.
    try parent.call("unlink", path) { unsafe unlinkat($0, name, 0) }
  }

  package func openDirectory(_ directory: String) throws(SystemError) -> any Directory {
    let checked = try RelativePath(directory, operation: "open", mayBeRoot: true)
    if checked.components.isEmpty { return OpenDirectory(root, path: directory, rootOf: self) }
    let opened = try openDirectory(directory, operation: "open")
    return OpenDirectory(opened.take(), path: directory, rootOf: nil)
  }

  package func link(
    _ source: String, to target: String, in other: any FileSystem
  ) throws(SystemError) {
    let (system, targetPath) = Subdirectory.resolve(target, in: other)
    guard let system = system as? PosixFileSystem else {
      throw SystemError(operation: "link", path: source, code: EXDEV)
    }
    let (sourceParent, sourceName) = try parentDirectory(of: source, operation: "link")
    let (targetParent, targetName) = try system.parentDirectory(of: targetPath, operation: "link")
    try sourceParent.use { sourceNumber throws(SystemError) in
      try targetParent.call("link", source) {
        // Safe: the names are Swift strings that live through the call.
        unsafe linkat(sourceNumber, sourceName, $0, targetName, 0)
      }
    }
    // The other root must be open until here: the names of its top lie in its own descriptor.
    withExtendedLifetime(system) {}
  }

  package func renameDirectory(_ source: String, to target: String) throws(SystemError) {
    let (sourceParent, sourceName) = try parentDirectory(of: source, operation: "rename")
    let (targetParent, targetName) = try parentDirectory(of: target, operation: "rename")
    try sourceParent.use { sourceNumber throws(SystemError) in
      guard try Self.kind(of: sourceName, in: sourceNumber, path: source) == S_IFDIR else {
        throw SystemError(operation: "rename", path: source, code: ENOTDIR)
      }
      try targetParent.use { targetNumber throws(SystemError) in
        // What takes the name between this look and the call is replaced only if it is an empty
        // directory: rename refuses anything else.
        do throws(SystemError) {
          _ = try Self.kind(of: targetName, in: targetNumber, path: target)
        } catch {
          guard error.isAbsent else { throw error }
          // Safe: the names are Swift strings that live through the call.
          _ = try Self.retrying("rename", source) {
            unsafe renameat(sourceNumber, sourceName, targetNumber, targetName)
          }
          return
        }
        throw SystemError(operation: "rename", path: target, code: EEXIST)
      }
    }
  }

  package func removeDirectory(_ path: String) throws(SystemError) {
    let (parent, name) = try parentDirectory(of: path, operation: "rmdir")
    // Safe: the name is a Swift string that lives through the call.
    try parent.call("rmdir", path) { unsafe unlinkat($0, name, AT_REMOVEDIR) }
  }

  package func availableByteCount() throws(SystemError) -> UInt64 {
    var status = statvfs()
    // Safe: `status` is a local that fstatvfs fills.
    _ = try Self.retrying("fstatvfs", "") { unsafe fstatvfs(root, &status) }
    let (byteCount, overflows) = UInt64(status.f_bavail)
      .multipliedReportingOverflow(by: UInt64(status.f_frsize))
    return overflows ? .max : byteCount
  }

  package func isInPlace(_ file: any File) throws(SystemError) -> Bool {
    do throws(SystemError) {
      guard try stillAtPath() else { return false }
    } catch {
      // Who gave up the right to look at the path may go on with the directory in hand.
      guard error.cause == .permission else { throw error }
    }
    guard let opened = try (file as? PosixFile)?.identity() else { return false }
    var status = stat()
    // Safe: the path is a Swift string, and `status` is a local that fstatat fills.
    if unsafe fstatat(root, file.path, &status, AT_SYMLINK_NOFOLLOW) == 0 {
      return DirectoryIdentity(status) == opened
    }
    if errno == ENOENT || errno == ENOTDIR { return false }
    throw Self.failure("fstatat", file.path)
  }

  /// The kind of file that `name` in an open directory is: the format bits of its mode.
  private static func kind(
    of name: String, in directory: Int32, path: String
  ) throws(SystemError) -> mode_t {
    var status = stat()
    // Safe: the name is a Swift string, and `status` is a local that fstatat fills.
    guard unsafe fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
      throw failure("fstatat", path)
    }
    return status.st_mode & S_IFMT
  }

  // MARK: - Opening

  /// A descriptor that is closed with its last reference, unless it was lent or taken.
  private final class Descriptor {
    private let number: Int32
    private var isOwned: Bool

    init(_ number: Int32, isOwned: Bool = true) {
      self.number = number
      self.isOwned = isOwned
    }

    deinit { if isOwned { close(number) } }

    /// The number, which the caller must close.
    func take() -> Int32 {
      isOwned = false
      return number
    }

    /// Keeps the descriptor open while `body` runs: without this, its last use is the reading of
    /// the number, before the system call.
    func use<Result>(
      _ body: (Int32) throws(SystemError) -> Result
    ) throws(SystemError) -> Result {
      try withExtendedLifetime(self) { () throws(SystemError) in try body(number) }
    }

    /// A system call on the descriptor, repeated while a signal interrupts it.
    func call(
      _ operation: String, _ path: String, _ body: (Int32) -> Int32
    ) throws(SystemError) {
      try use { number throws(SystemError) in
        _ = try retrying(operation, path) { body(number) }
      }
    }
  }

  /// A directory that can be synced.
  private final class OpenDirectory: Directory {
    private let number: Int32
    private let path: String
    /// Owns the number when the directory is its root.
    private let owner: PosixFileSystem?

    init(_ number: Int32, path: String, rootOf owner: PosixFileSystem?) {
      self.number = number
      self.path = path
      self.owner = owner
    }

    deinit { if owner == nil { close(number) } }

    func sync() throws(SystemError) {
      try withExtendedLifetime(self) { () throws(SystemError) in
        _ = try retrying("fsync", path) { fsync(number) }
      }
    }
  }

  private func openDescriptor(
    _ name: String, _ flags: Int32, path: String, in directory: Int32? = nil
  ) throws(SystemError) -> Descriptor {
    // Non-blocking, so that a FIFO in place of a file does not hang; regular files ignore it.
    // O_PATH opens nothing that could hang, and openat2 refuses other flags beside it.
    let harmless = flags & O_PATH != 0 ? 0 : O_NOCTTY | O_NONBLOCK
    let all = flags | O_CLOEXEC | harmless
    let number = try Self.retrying("open", path) {
      // Safe: the name is a Swift string that lives through the call.
      unsafe turbidite_open_beneath(directory ?? root, name, all, 0o600)
    }
    return Descriptor(number)
  }

  private func openExisting(_ path: String, _ access: Int32) throws(SystemError) -> any File {
    let opened = try openDescriptor(path, access, path: path)
    return try file(opened, path, isWritable: access != O_RDONLY)
  }

  private func openNew(_ path: String) throws(SystemError) -> any File {
    let opened = try openDescriptor(path, O_RDWR | O_CREAT | O_EXCL, path: path)
    // The mode of open is cut by the umask; that of fchmod is not.
    try opened.call("fchmod", path) { fchmod($0, 0o600) }
    return try file(opened, path, isWritable: true)
  }

  private func file(
    _ opened: Descriptor, _ path: String, isWritable: Bool
  ) throws(SystemError) -> any File {
    let kind = try opened.use { number throws(SystemError) in
      try Self.status(of: number, path).mode & S_IFMT
    }
    guard kind == S_IFREG else {
      throw SystemError(operation: "open", path: path, code: kind == S_IFDIR ? EISDIR : EINVAL)
    }
    return PosixFile(descriptor: opened.take(), path: path, isWritable: isWritable)
  }

  private func openDirectory(
    _ path: String, operation: String
  ) throws(SystemError) -> Descriptor {
    let checked = try RelativePath(path, operation: operation, mayBeRoot: true)
    if checked.components.isEmpty {
      // A descriptor of its own: the read position belongs to the open file.
      return try openDescriptor(".", O_RDONLY | O_DIRECTORY, path: path)
    }
    return try openDescriptor(path, O_RDONLY | O_DIRECTORY, path: path)
  }

  private func parentDirectory(
    of path: String, operation: String
  ) throws(SystemError) -> (Descriptor, String) {
    let checked = try RelativePath(path, operation: operation)
    if checked.components.count == 1 { return (Descriptor(root, isOwned: false), checked.name) }
    return (
      try openDescriptor(checked.parent, O_PATH | O_DIRECTORY, path: path), checked.name
    )
  }

  // MARK: - System calls

  static func failure(_ operation: String, _ path: String) -> SystemError {
    SystemError(operation: operation, path: path, code: errno)
  }

  /// Repeats a call while a signal interrupts it.
  static func retrying(
    _ operation: String, _ path: String, _ call: () -> Int32
  ) throws(SystemError) -> Int32 {
    while true {
      let result = call()
      if result >= 0 { return result }
      if errno != EINTR { throw failure(operation, path) }
    }
  }

  /// What fstat says and we ask for.
  struct Status {
    var mode: mode_t
    var byteCount: UInt64
    var identity: DirectoryIdentity
  }

  static func status(of descriptor: Int32, _ path: String) throws(SystemError) -> Status {
    var status = stat()
    // Safe: `status` is a local that fstat fills.
    guard unsafe fstat(descriptor, &status) == 0 else { throw failure("fstat", path) }
    return Status(
      mode: status.st_mode, byteCount: UInt64(status.st_size),
      identity: DirectoryIdentity(status))
  }

  private static func absolute(_ path: String) throws(SystemError) -> String {
    if path.hasPrefix("/") { return path }
    var buffer = [CChar](repeating: 0, count: RelativePath.byteLimit + 1)
    // Safe: getcwd is given the array's own size and ends what it writes with a zero.
    let isKnown = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return false }
      return unsafe getcwd(base, bytes.count) != nil
    }
    guard isKnown else { throw failure("getcwd", "") }
    // Mended bytes would be the name of another directory.
    guard let directory = String(validating: buffer.prefix { $0 != 0 }, as: UTF8.self) else {
      throw SystemError(operation: "getcwd", path: "", code: SystemError.notTextCode)
    }
    return directory + "/" + path
  }

  private static func syncParent(of path: String) throws(SystemError) {
    // Through the directory itself, so that a path ending in a slash or a link needs no parsing.
    let parent = try retrying("open", "") {
      // Safe: the path is a Swift string that lives through the call.
      unsafe Glibc.open(path + "/..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }
    defer { close(parent) }
    _ = try retrying("fsync", "") { fsync(parent) }
  }
}

extension DirectoryIdentity {
  fileprivate init(_ status: stat) {
    self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }
}
