// Engine+LiveTables — whether the tables of a store are there, without a look into them.
//
// Room:    Engine/Shard.

import TurbiditeSystem

extension Engine {
  /// Throws when a live table is missing, is no file, or has another size than the manifest states.
  ///
  /// Costs two calls of the system a table; reads nothing.
  package func requireLiveTables() throws(StoreError) {
    try requireOpen()
    for tree in allTrees {
      for table in tree.version.levels.joined() {
        try fileSystem.requireTable(table.path, byteCount: table.metadata.summary.byteCount)
      }
    }
  }
}

extension FileSystem {
  /// Throws when there is no file of `byteCount` bytes at the path of a live table.
  func requireTable(_ path: String, byteCount: UInt64) throws(StoreError) {
    let found: UInt64
    do throws(SystemError) { found = try open(path, .read).size() } catch {
      if error.isAbsent || error.isNotDirectory {
        throw .corrupt(Damage(file: path, offset: 0, finding: "the table is missing"))
      }
      if error.isNoRegularFile {
        throw .corrupt(Damage(file: path, offset: 0, finding: "the table is no regular file"))
      }
      throw StoreError(error)
    }
    guard found == byteCount else {
      throw .corrupt(
        Damage(
          file: path, offset: min(found, byteCount),
          finding: "the table has \(found) bytes, and the manifest states \(byteCount)"))
    }
  }
}
