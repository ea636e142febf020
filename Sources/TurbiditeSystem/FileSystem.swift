// FileSystem — what the engine asks of a disk, small enough to read in a minute.
//
// Room:    System. Everything above names files by their path below one root, the store.
// Limits:  Paths are relative, `/`-separated, and never contain `..` or a symbolic link.

/// A directory tree that holds one store.
///
/// The engine calls this through `any FileSystem`: a call costs 8 ns more than a direct one, and a
/// system call costs hundreds. Every method may block, and may be called from any thread.
package protocol FileSystem: AnyObject, Sendable {
  /// Opens a file; what `mode` asks for decides whether it may exist.
  func open(_ path: String, _ mode: OpenMode) throws(SystemError) -> any File

  /// Creates a directory with mode 0700. An existing one is an error (`EEXIST`).
  func createDirectory(_ path: String) throws(SystemError)

  /// The names in a directory, sorted, without `.` and `..`. The root is `""`.
  func list(_ directory: String) throws(SystemError) -> [String]

  /// Renames a file, replacing what has the new name, in one step.
  func rename(_ source: String, to target: String) throws(SystemError)

  /// Removes the name of a file. An absent one is an error (`ENOENT`).
  func remove(_ path: String) throws(SystemError)

  /// Opens a directory so that the names in it can be made durable. The root is `""`.
  ///
  /// The root is open already: that takes no handle.
  func openDirectory(_ directory: String) throws(SystemError) -> any Directory

  /// Gives a file a second name: `target` in `other`, which may be this file system.
  ///
  /// The name must be free (`EEXIST`). `EXDEV` when the two lie on different disks.
  func link(_ source: String, to target: String, in other: any FileSystem) throws(SystemError)

  /// Renames a directory with all it holds, in one step. The new name must be free (`EEXIST`).
  func renameDirectory(_ source: String, to target: String) throws(SystemError)

  /// Removes the name of an empty directory; one that is not empty is an error (`ENOTEMPTY`).
  func removeDirectory(_ path: String) throws(SystemError)

  /// The bytes that the disk has left for this process, as it says: quotas of a user, and what a
  /// thin volume lacks, may not be in it.
  func availableByteCount() throws(SystemError) -> UInt64

  /// Whether the root is still where it was opened, and `file` still has the name it was opened
  /// under: neither was moved, removed or replaced.
  func isInPlace(_ file: any File) throws(SystemError) -> Bool
}

extension FileSystem {
  /// Makes the names in a directory durable.
  ///
  /// The root is `""`.
  package func syncDirectory(_ directory: String) throws(SystemError) {
    try openDirectory(directory).sync()
  }
}

/// One open directory.
///
/// It is closed when the last reference goes. Any thread may sync it.
package protocol Directory: AnyObject, Sendable {
  /// Makes the names in it durable (fsync). Needs no handle.
  func sync() throws(SystemError)
}

/// How a file is opened.
package enum OpenMode: Sendable, Hashable {
  /// The file must exist; it is never written.
  case read
  /// The file must not exist; it is created with mode 0600 and opened for reading and writing.
  case create
  /// The file is created when absent, and opened for reading and writing.
  case readWrite
}

/// One open file.
///
/// It is closed when the last reference goes.
///
/// Several threads may read at once. Writes are the business of one thread at a time.
package protocol File: AnyObject, Sendable {
  /// The path under which the file was opened.
  var path: String { get }

  /// The size in bytes.
  func size() throws(SystemError) -> UInt64

  /// Reads until `target` is full or the file ends, and returns the bytes read.
  func read(
    at offset: UInt64, into target: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int

  /// Writes all of `bytes` at `offset`, or throws; what was written before the error is unknown.
  func write(_ bytes: RawSpan, at offset: UInt64) throws(SystemError)

  /// Grows the file to `byteCount` bytes of zeros that occupy space. Never shrinks it.
  func preallocate(through byteCount: UInt64) throws(SystemError)

  /// Writes zeros to bytes `[start, end)`, which were allocated and never written: so the file
  /// system knows that they are in use, and need not be told with the sync of what comes there.
  ///
  /// A hint: the bytes read the same after it, whether it succeeds or not.
  func writeZeros(from start: UInt64, to end: UInt64)

  /// Cuts the file to `byteCount` bytes.
  func truncate(to byteCount: UInt64) throws(SystemError)

  /// Makes the bytes and the size durable (fdatasync).
  func sync() throws(SystemError)

  /// Has the system begin to write bytes `[start, end)` to the disk, so that a later ``sync()`` has
  /// less to wait for.
  ///
  /// A hint: nothing is promised, and no failure shows before the sync.
  func beginWriteback(from start: UInt64, to end: UInt64)

  /// Tries to lock bytes `[start, end)` of the file for this open file, without waiting. Locks
  /// may lie beyond the end of the file, and vanish with the process or the open file.
  ///
  /// - Returns: false when another open file holds a lock in the way.
  func tryLock(_ kind: LockKind, from start: UInt64, to end: UInt64) throws(SystemError) -> Bool

  /// Gives back what ``tryLock(_:from:to:)`` took on `[start, end)`.
  func unlock(from start: UInt64, to end: UInt64) throws(SystemError)

  /// Whether another open file holds any lock on `[start, end)`.
  func isLockedElsewhere(from start: UInt64, to end: UInt64) throws(SystemError) -> Bool
}

/// A lock that many may share, or one that excludes all others.
package enum LockKind: Sendable, Hashable {
  case shared
  case exclusive
}
