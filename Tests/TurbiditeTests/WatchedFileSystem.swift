// WatchedFileSystem — a file system that tells a test what is about to be done.

import TurbiditeSystem

/// Passes everything on; calls `onCreate` before a file is made, `onList` before names are read.
final class WatchedFileSystem: FileSystem {
  private let base: any FileSystem
  private let onCreate: @Sendable (String) -> Void
  private let onList: @Sendable (String) -> Void

  init(
    _ base: any FileSystem, onCreate: @escaping @Sendable (String) -> Void = { _ in },
    onList: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.base = base
    self.onCreate = onCreate
    self.onList = onList
  }

  func open(_ path: String, _ mode: OpenMode) throws(SystemError) -> any File {
    if mode == .create { onCreate(path) }
    return try base.open(path, mode)
  }

  func createDirectory(_ path: String) throws(SystemError) { try base.createDirectory(path) }

  func list(_ directory: String) throws(SystemError) -> [String] {
    onList(directory)
    return try base.list(directory)
  }

  func rename(_ source: String, to target: String) throws(SystemError) {
    try base.rename(source, to: target)
  }

  func remove(_ path: String) throws(SystemError) { try base.remove(path) }

  func openDirectory(_ directory: String) throws(SystemError) -> any Directory {
    try base.openDirectory(directory)
  }

  func link(
    _ source: String, to target: String, in other: any FileSystem
  ) throws(SystemError) {
    try base.link(source, to: target, in: other)
  }

  func renameDirectory(_ source: String, to target: String) throws(SystemError) {
    try base.renameDirectory(source, to: target)
  }

  func removeDirectory(_ path: String) throws(SystemError) { try base.removeDirectory(path) }

  func availableByteCount() throws(SystemError) -> UInt64 { try base.availableByteCount() }

  func isInPlace(_ file: any File) throws(SystemError) -> Bool { try base.isInPlace(file) }
}
