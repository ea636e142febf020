// RelativePath — which paths below a root are accepted, by every file system alike.
//
// Room:    System.

#if canImport(Glibc)
import Glibc
#endif

/// A path below a root, split and checked: no `.`, no `..`, nothing empty, not absolute.
package struct RelativePath {
  /// Empty for the root itself.
  package let components: [Substring]

  /// The longest name a directory holds (`NAME_MAX`), in bytes.
  package static let nameByteLimit = 255
  /// The longest path the system takes (`PATH_MAX` less its final zero), in bytes.
  package static let byteLimit = 4095

  /// Checks `path`, which `operation` was given.
  ///
  /// - Throws: `EINVAL` for what is never accepted, `ENAMETOOLONG` for what is too long.
  package init(_ path: String, operation: String, mayBeRoot: Bool = false) throws(SystemError) {
    func refusal(_ code: Int32) -> SystemError {
      SystemError(operation: operation, path: path, code: code)
    }
    if path.isEmpty {
      guard mayBeRoot else { throw refusal(EINVAL) }
      components = []
      return
    }
    guard path.utf8.count <= Self.byteLimit else { throw refusal(ENAMETOOLONG) }
    guard !path.utf8.contains(0) else { throw refusal(EINVAL) }
    components = path.split(separator: "/", omittingEmptySubsequences: false)
    for component in components {
      guard component.utf8.count <= Self.nameByteLimit else { throw refusal(ENAMETOOLONG) }
      guard !component.isEmpty, component != ".", component != ".." else { throw refusal(EINVAL) }
    }
  }

  /// The path of the directory that holds the name; empty for the root.
  package var parent: String { components.dropLast().joined(separator: "/") }
  /// The last component; empty for the root.
  package var name: String { components.last.map(String.init) ?? "" }
}
