// CheckpointPlace — the directory in which a checkpoint grows, and the name it gets in the end.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 1.2: what is built here is a store like any other.
// Source:  A whole directory that appears by one rename, after Pillai et al., OSDI 2014.

import TurbiditeSystem

/// A directory beside the checkpoint's final name, locked while it grows.
///
/// A process that stops within leaves it behind; the next checkpoint to the same name clears it.
struct CheckpointPlace {
  let name: String
  private let temporaryName: String
  private let parent: any FileSystem
  /// The growing store.
  let fileSystem: any FileSystem
  /// Keeps a second checkpoint to the same name from clearing this one.
  private let lock: any File

  /// Takes the place beside `name`, a name in the root of `parent`.
  ///
  /// - Parameter purpose: the last part of the name under which the store grows.
  init(
    _ name: String, in parent: any FileSystem, purpose: String = "checkpoint"
  ) throws(StoreError) {
    self.name = name
    self.parent = parent
    temporaryName = ".\(name).\(purpose)"
    try CheckpointPlace.requireAbsent(name, in: parent)
    do throws(SystemError) { try parent.createDirectory(temporaryName) } catch {
      guard error.isPresent else { throw StoreError(error) }
    }
    fileSystem = Subdirectory(temporaryName, of: parent)
    lock = try fileSystem.openFile(FileNames.lock, .readWrite)
    do throws(SystemError) {
      guard try lock.tryLock(.exclusive, from: LockBytes.writer, to: LockBytes.writer + 1) else {
        throw SystemError(operation: "lock", path: temporaryName, code: 0)
      }
    } catch {
      if error.code == 0 { throw .locked(path: temporaryName) }
      throw StoreError(error)
    }
    // Before that, someone may have finished a checkpoint in this place.
    try CheckpointPlace.requireAbsent(name, in: parent)
    try clear()
  }

  private static func requireAbsent(
    _ name: String, in parent: any FileSystem
  ) throws(StoreError) {
    do throws(SystemError) { _ = try parent.list(name) } catch {
      if error.isAbsent { return }
      if error.isNotDirectory { throw .storeExists(path: name) }
      throw StoreError(error)
    }
    throw .storeExists(path: name)
  }

  /// Makes the directories of a store, but for those of the shards.
  func makeDirectories() throws(StoreError) {
    try fileSystem.makeDirectory(FileNames.logDirectory)
    try fileSystem.makeDirectory(FileNames.shardsDirectory)
  }

  func makeDirectories(ofShards shardCount: UInt32) throws(StoreError) {
    for shard in 0..<shardCount {
      try fileSystem.makeDirectory(FileNames.shardDirectory(shard))
    }
  }

  /// Makes the names of all files and directories below the top durable.
  func syncDirectories(shardCount: UInt32) throws(StoreError) {
    for shard in 0..<shardCount { try fileSystem.syncNames(FileNames.shardDirectory(shard)) }
    try fileSystem.syncNames(FileNames.shardsDirectory)
    try fileSystem.syncNames(FileNames.logDirectory)
    try fileSystem.syncNames("")
  }

  /// Gives the whole and durable store its name, durably.
  func publish() throws(StoreError) {
    do throws(SystemError) { try parent.renameDirectory(temporaryName, to: name) } catch {
      throw error.isPresent ? .storeExists(path: name) : StoreError(error)
    }
    if planted(.skipCheckpointNameSync) { return }
    do throws(SystemError) { try parent.syncDirectory("") } catch {
      throw .durabilityLost(operation: error.operation, path: name, code: error.code)
    }
  }

  /// Removes the place and what it holds, as far as that goes: what stays is cleared next time.
  func abandon() {
    do throws(StoreError) {
      try clear()
      try fileSystem.removeFile(FileNames.lock)
      do throws(SystemError) { try parent.removeDirectory(temporaryName) } catch {
        throw StoreError(error)
      }
    } catch {
      // The failure that led here is the one to act on, and this one harms nothing.
    }
  }

  // MARK: - Clearing

  /// Removes everything but LOCK.
  ///
  /// - Throws: before anything is removed when a file is there that no checkpoint makes.
  func clear() throws(StoreError) {
    var files: [String] = []
    var directories: [String] = []
    for name in try fileSystem.listFiles("") where name != FileNames.lock {
      if name == FileNames.logDirectory || name == FileNames.shardsDirectory {
        try collect(name, &files, &directories)
      } else {
        files.append(name)
      }
    }
    for path in files {
      switch FileNames.kind(of: path) {
      case .manifest, .logSegment, .table, .temporary: continue
      case .lock, .reserve, .unknown:
        throw .storeExists(path: "\(temporaryName)/\(path)")
      }
    }
    for path in files { try fileSystem.removeFile(path) }
    do throws(SystemError) {
      for path in directories { try fileSystem.removeDirectory(path) }
    } catch {
      throw StoreError(error)
    }
  }

  /// Appends what lies below a directory, and then the directory: the order of removal.
  private func collect(
    _ directory: String, _ files: inout [String], _ directories: inout [String]
  ) throws(StoreError) {
    for name in try fileSystem.listFiles(directory) {
      let path = "\(directory)/\(name)"
      if directory == FileNames.shardsDirectory {
        try collect(path, &files, &directories)
      } else {
        files.append(path)
      }
    }
    directories.append(directory)
  }
}
