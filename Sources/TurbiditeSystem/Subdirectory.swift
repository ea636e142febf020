// Subdirectory — a directory below the root of a file system, as a root of its own.
//
// Room:    System.

/// A file system that begins at a directory of another one.
///
/// Files name themselves in errors by their path below the other root. The directory must exist by
/// the time it is used, and must not be renamed while it is.
package final class Subdirectory: FileSystem {
  private let base: any FileSystem
  private let directory: String

  /// - Parameter directory: a path below the root of `base`; not empty.
  package init(_ directory: String, of base: any FileSystem) {
    precondition(!directory.isEmpty, "the root itself needs no view")
    self.base = base
    self.directory = directory
  }

  /// The file system that `fileSystem` is in the end a part of, and what it calls `path`.
  package static func resolve(
    _ path: String, in fileSystem: any FileSystem
  ) -> (fileSystem: any FileSystem, path: String) {
    guard let view = fileSystem as? Subdirectory else { return (fileSystem, path) }
    return resolve(view.below(path), in: view.base)
  }

  /// An empty path stays refused where a name is asked for: it would be the directory itself.
  private func below(_ path: String) -> String { "\(directory)/\(path)" }

  private func directoryBelow(_ path: String) -> String {
    path.isEmpty ? directory : below(path)
  }

  // MARK: - FileSystem

  package func open(_ path: String, _ mode: OpenMode) throws(SystemError) -> any File {
    try base.open(below(path), mode)
  }

  package func createDirectory(_ path: String) throws(SystemError) {
    try base.createDirectory(below(path))
  }

  package func list(_ directory: String) throws(SystemError) -> [String] {
    try base.list(directoryBelow(directory))
  }

  package func rename(_ source: String, to target: String) throws(SystemError) {
    try base.rename(below(source), to: below(target))
  }

  package func remove(_ path: String) throws(SystemError) { try base.remove(below(path)) }

  package func openDirectory(_ directory: String) throws(SystemError) -> any Directory {
    try base.openDirectory(directoryBelow(directory))
  }

  package func availableByteCount() throws(SystemError) -> UInt64 {
    try base.availableByteCount()
  }

  package func isInPlace(_ file: any File) throws(SystemError) -> Bool {
    try base.isInPlace(file)
  }

  package func link(
    _ source: String, to target: String, in other: any FileSystem
  ) throws(SystemError) {
    try base.link(below(source), to: target, in: other)
  }

  package func renameDirectory(_ source: String, to target: String) throws(SystemError) {
    try base.renameDirectory(below(source), to: below(target))
  }

  package func removeDirectory(_ path: String) throws(SystemError) {
    try base.removeDirectory(below(path))
  }
}
