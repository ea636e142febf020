// StoreFileList — the files of a store that a repair reads.
//
// Room:    Engine/Repair.
// Format:  FORMAT.md section 1.2.

import TurbiditeSystem

/// The files of a store, by their names.
enum StoreFileList {
  /// What is no directory where one should be has no files.
  static func paths(of fileSystem: any FileSystem) throws(StoreError) -> [String] {
    var paths: [String] = []
    for name in try fileSystem.listFiles("") {
      switch name {
      case FileNames.logDirectory:
        paths += try files(in: name, of: fileSystem)
      case FileNames.shardsDirectory:
        for shard in try files(in: name, of: fileSystem) {
          paths += try files(in: shard, of: fileSystem)
        }
      default: paths.append(name)
      }
    }
    return paths.filter {
      switch FileNames.kind(of: $0) {
      case .manifest, .logSegment, .table: true
      case .lock, .reserve, .temporary, .unknown: false
      }
    }
  }

  private static func files(
    in directory: String, of fileSystem: any FileSystem
  ) throws(StoreError) -> [String] {
    do throws(StoreError) {
      return try fileSystem.listFiles(directory).map { "\(directory)/\($0)" }
    } catch {
      guard error.loss(of: directory) != nil else { throw error }
      return []
    }
  }
}
