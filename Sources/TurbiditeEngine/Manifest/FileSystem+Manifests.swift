// FileSystem+Manifests — the newest manifest of a directory, and what it means that there is none.
//
// Room:    Engine/Manifest.
// Format:  FORMAT.md section 1.2.

import TurbiditeSystem

extension FileSystem {
  /// The numbers of the manifests in the root, ascending.
  func manifestNumbers() throws(StoreError) -> [UInt64] {
    try listFiles("").compactMap { name -> UInt64? in
      if case .manifest(let number) = FileNames.kind(of: name) { return number }
      return nil
    }.sorted()
  }

  /// The number of the newest manifest in the root.
  ///
  /// - Parameter name: how errors call the store.
  /// - Throws: ``StoreError/corrupt(_:)`` where segments or tables are there without a manifest,
  ///   ``StoreError/noStore(path:reason:)`` where nothing of a store is.
  func newestManifest(of name: String) throws(StoreError) -> UInt64 {
    if let newest = try manifestNumbers().last { return newest }
    try requireNoParts()
    throw .noStore(path: name, reason: "the directory holds no manifest")
  }

  /// Throws when a segment or a table is there, which nothing but a lost manifest explains: an
  /// interrupted creation leaves only directories.
  func requireNoParts() throws(StoreError) {
    guard let part = try anyPart() else { return }
    throw .corrupt(
      Damage(
        file: FileNames.anyManifest, offset: 0,
        finding: "the store's manifest is missing, but \(part) is there"))
  }

  /// The path of a segment or table; nil when there is none.
  func anyPart() throws(StoreError) -> String? {
    var directories = [FileNames.logDirectory]
    directories += try paths(in: FileNames.shardsDirectory)
    for directory in directories {
      for path in try paths(in: directory) {
        switch FileNames.kind(of: path) {
        case .logSegment, .table: return path
        default: continue
        }
      }
    }
    return nil
  }

  /// The paths in a directory; none where there is no directory.
  private func paths(in directory: String) throws(StoreError) -> [String] {
    do throws(SystemError) { return try list(directory).map { "\(directory)/\($0)" } } catch {
      if error.isAbsent || error.isNotDirectory || error.isLink { return [] }
      throw StoreError(error)
    }
  }
}
