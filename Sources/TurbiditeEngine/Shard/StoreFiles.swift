// StoreFiles — every file of a store, and what refers to it.
//
// Room:    Engine/Shard. Reads names, sizes and the manifest; writes nothing.

package import TurbiditeSystem

/// One file in a store's directory.
package struct StoreFile: Sendable, Hashable {
  package enum Kind: Sendable, Hashable {
    case manifest
    case log
    case table
    case lock
    case reserve
    case unknown
  }

  package var path: String
  package var kind: Kind
  package var byteCount: UInt64
  /// The store consists of it, or works with it.
  package var isReferenced: Bool
  package var detail: String
}

extension Engine {
  /// Lists the files of the store in the root of `fileSystem`, sorted by path.
  package static func inventory(
    _ fileSystem: any FileSystem, name: String
  ) throws(StoreError) -> [StoreFile] {
    let newest = try fileSystem.newestManifest(of: name)
    let contents = try ManifestContents(
      try fileSystem.openFile(FileNames.manifest(newest), .read))
    var tables: [String: String] = [:]
    contents.state.forEachTable { tree, level, table in
      let keyspace = contents.state.keyspaces[tree.keyspace]?.name ?? ""
      tables[FileNames.table(shard: tree.shard, table.fileNumber)] =
        "level \(level), \(table.summary.entryCount) entries"
        + (keyspace.isEmpty ? "" : ", keyspace \(keyspace)")
    }
    var paths = try fileSystem.listFiles("").filter {
      ![FileNames.logDirectory, FileNames.shardsDirectory, FileNames.jobsDirectory].contains($0)
    }
    paths += try Engine.paths(in: FileNames.logDirectory, fileSystem)
    for directory in try Engine.paths(in: FileNames.shardsDirectory, fileSystem) {
      paths += try Engine.paths(in: directory, fileSystem)
    }
    var files: [StoreFile] = []
    for path in Set(paths).sorted() {
      if let file = try describe(path, fileSystem, newest, contents.state, tables) {
        files.append(file)
      }
    }
    return files
  }

  /// The paths in a directory; the path itself where no directory stands in its place, and none
  /// when there is nothing.
  private static func paths(
    in directory: String, _ fileSystem: any FileSystem
  ) throws(StoreError) -> [String] {
    do throws(SystemError) {
      return try fileSystem.list(directory).map { "\(directory)/\($0)" }
    } catch {
      if error.isAbsent { return [] }
      if error.isNotDirectory { return [directory] }
      throw StoreError(error)
    }
  }

  /// Nil when the file went away meanwhile: a writer may be at work.
  private static func describe(
    _ path: String, _ fileSystem: any FileSystem, _ newest: UInt64, _ state: ManifestState,
    _ tables: [String: String]
  ) throws(StoreError) -> StoreFile? {
    let byteCount: UInt64
    do throws(SystemError) {
      byteCount = try fileSystem.open(path, .read).size()
    } catch {
      if error.isAbsent { return nil }
      return StoreFile(
        path: path, kind: .unknown, byteCount: 0, isReferenced: false,
        detail: StoreError(error).description)
    }
    var file = StoreFile(
      path: path, kind: .unknown, byteCount: byteCount, isReferenced: false, detail: "")
    switch FileNames.kind(of: path) {
    case .lock:
      file.kind = .lock
      file.isReferenced = true
    case .reserve:
      file.kind = .reserve
      file.isReferenced = true
      file.detail = "room held back for deletions on a full disk"
    case .manifest(let number):
      file.kind = .manifest
      file.isReferenced = number == newest
      file.detail = number == newest ? "edit \(state.editNumber)" : "superseded"
    case .logSegment(let number):
      file.kind = .log
      file.isReferenced = number >= state.logFloor
      file.detail = number >= state.logFloor ? "" : "all of it is in tables"
    case .table:
      file.kind = .table
      file.isReferenced = tables[path] != nil
      file.detail = tables[path] ?? "no edit names it"
    case .temporary: file.detail = "left by an interrupted write"
    case .unknown: file.detail = "not a name of ours"
    }
    return file
  }
}
