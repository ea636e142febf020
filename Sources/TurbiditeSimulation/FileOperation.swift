// FileOperation — one call of a file system, as a value: to count, to refuse, to compare.
//
// Room:    Simulation.

package import TurbiditeSystem

/// What was asked of a file system, and of which file.
public struct FileOperation: Sendable, Hashable {
  /// The call and its arguments.
  package enum Kind: Sendable, Hashable {
    case open(OpenMode)
    case createDirectory
    case list
    case rename(to: String)
    case remove
    case openDirectory
    case syncDirectory
    case link(to: String)
    case renameDirectory(to: String)
    case removeDirectory
    case size
    case read(offset: UInt64, count: Int)
    case write(offset: UInt64, count: Int)
    case preallocate(through: UInt64)
    case truncate(to: UInt64)
    case sync
    case tryLock(LockKind, from: UInt64, to: UInt64)
    case unlock(from: UInt64, to: UInt64)
    case isLockedElsewhere(from: UInt64, to: UInt64)
  }

  package var kind: Kind
  /// The path given, or the one under which the file was opened; empty for the store's directory.
  public var path: String

  package init(_ kind: Kind, _ path: String) {
    self.kind = kind
    self.path = path
  }

  /// Whether the call may change what a crash leaves: a crash before any other call leaves what a
  /// crash after it does.
  public var changesDisk: Bool {
    switch kind {
    case .open(let mode): mode != .read
    case .createDirectory, .rename, .remove, .syncDirectory, .link, .renameDirectory,
      .removeDirectory, .write, .preallocate, .truncate, .sync:
      true
    case .openDirectory, .list, .size, .read, .tryLock, .unlock, .isLockedElsewhere: false
    }
  }

  /// The system call's name, as in `pwrite`.
  public var systemName: String {
    switch kind {
    case .open, .openDirectory: "open"
    case .createDirectory: "mkdir"
    case .list: "readdir"
    case .rename, .renameDirectory: "rename"
    case .link: "link"
    case .removeDirectory: "rmdir"
    case .remove: "unlink"
    case .syncDirectory: "fsync"
    case .size: "fstat"
    case .read: "pread"
    case .write: "pwrite"
    case .preallocate: "fallocate"
    case .truncate: "ftruncate"
    case .sync: "fdatasync"
    case .tryLock, .unlock, .isLockedElsewhere: "fcntl"
    }
  }
}

/// A running hash of operations: equal for equal sequences, and different in practice for others.
///
/// FNV-1a (Fowler, Noll and Vo, 1991) over 64-bit words, each first mixed as SplitMix64 does, so
/// that high bits count as much as low ones.
struct TraceHash: Sendable {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ word: UInt64) {
    value = (value ^ SplitMix64.mixed(word)) &* 0x0000_0100_0000_01B3
  }

  mutating func add(_ text: String) {
    add(UInt64(text.utf8.count))
    for byte in text.utf8 { add(UInt64(byte)) }
  }

  /// - Parameter content: the bytes written, if any.
  mutating func add(_ operation: FileOperation, content: [UInt8]) {
    add(operation.path)
    switch operation.kind {
    case .open(let mode): add(1, mode == .read ? 0 : mode == .create ? 1 : 2)
    case .createDirectory: add(2, 0)
    case .list: add(3, 0)
    case .rename(let target):
      add(4, 0)
      add(target)
    case .remove: add(5, 0)
    case .syncDirectory: add(6, 0)
    case .size: add(7, 0)
    case .read(let offset, let count): add(8, offset, UInt64(count))
    case .write(let offset, let count):
      add(9, offset, UInt64(count))
      content.forEachWord { add($0) }
    case .preallocate(let byteCount): add(10, byteCount)
    case .truncate(let byteCount): add(11, byteCount)
    case .sync: add(12, 0)
    case .tryLock(let kind, let start, let end):
      add(kind == .shared ? 13 : 14, start, end)
    case .unlock(let start, let end): add(15, start, end)
    case .isLockedElsewhere(let start, let end): add(16, start, end)
    case .link(let target):
      add(17, 0)
      add(target)
    case .renameDirectory(let target):
      add(18, 0)
      add(target)
    case .removeDirectory: add(19, 0)
    case .openDirectory: add(20, 0)
    }
  }

  private mutating func add(_ words: UInt64...) {
    for word in words { add(word) }
  }
}
