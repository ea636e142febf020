// WatchedFileSystem — a file system that tells a test of each file that is made.

import TurbiditeSystem

/// Passes everything on; calls `onCreate` before a file is made.
final class WatchedFileSystem: FileSystem {
  private let base: any FileSystem
  private let onCreate: @Sendable (String) -> Void

  init(_ base: any FileSystem, onCreate: @escaping @Sendable (String) -> Void) {
    self.base = base
    self.onCreate = onCreate
  }

  func open(_ path: String, _ mode: OpenMode) throws(SystemError) -> any File {
    if mode == .create { onCreate(path) }
    return try base.open(path, mode)
  }

  func createDirectory(_ path: String) throws(SystemError) { try base.createDirectory(path) }

  func list(_ directory: String) throws(SystemError) -> [String] { try base.list(directory) }

  func rename(_ source: String, to target: String) throws(SystemError) {
    try base.rename(source, to: target)
  }

  func remove(_ path: String) throws(SystemError) { try base.remove(path) }

  func syncDirectory(_ directory: String) throws(SystemError) {
    try base.syncDirectory(directory)
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
}
