// Store+Checkpoint — a second store out of the first, in the time of a few links.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine
package import TurbiditeSystem

/// What a checkpoint took.
public struct Checkpoint: Sendable, Hashable {
  /// The tables and log segments that it consists of.
  public var fileCount: Int
  /// The bytes that it shares with the store: links, which take no room.
  public var linkedByteCount: UInt64
  /// The bytes that were copied.
  public var copiedByteCount: UInt64
  /// The sequence number of the last write that it holds.
  public var lastSequence: UInt64
}

extension Store.Blocking {
  /// Makes a second store, at `path`, that holds every commit that has returned so far, and no part
  /// of one that has not.
  ///
  /// The checkpoint is a store of its own: it can be opened, read, verified, copied away and
  /// written, and neither store ever changes a file of the other. It is durable when this returns.
  /// Until then `path` does not exist; if the process dies within, it exists whole or not at all,
  /// and what was built stays as `.NAME.checkpoint` beside it until the next checkpoint to that
  /// name.
  ///
  /// Costs a link for each table and each closed segment of the log, and a copy of the open
  /// segment, up to 8 MiB. On another disk than the store's, and where the disk has no links, all
  /// files are copied. Writers wait while the log is synced and its segments are linked, readers
  /// never. May be called from any thread; blocks the calling one.
  ///
  /// - Parameter path: the directory to make; its parent exists.
  /// - Throws: ``StoreError/storeExists(path:)`` when there is something at `path`,
  ///   ``StoreError/locked(path:)`` when another checkpoint to it is under way,
  ///   ``StoreError/noStore(path:reason:)`` when its parent does not exist,
  ///   ``StoreError/invalidArgument(_:)`` when `path` lies in the store,
  ///   ``StoreError/corrupt(_:)`` when a table is missing or has another size than it should have,
  ///   ``StoreError/outOfSpace(operation:path:code:)``, ``StoreError/readOnly`` for a store that
  ///   was opened so. There is then no checkpoint, except after
  ///   ``StoreError/durabilityLost(operation:path:code:)`` from the last sync: it is whole, but a
  ///   power loss may take it.
  @discardableResult
  public func checkpoint(into path: String) throws(StoreError) -> Checkpoint {
    let fileSystem = store.engine.fileSystem as? PosixFileSystem
    return try makeCheckpoint(of: fileSystem, at: path) { name, parent throws(StoreError) in
      try store.engine.checkpoint(into: name, of: parent)
    }
  }
}

extension Store {
  /// Makes a second store, at `path`, that holds every commit that has returned so far; see
  /// ``Blocking/checkpoint(into:)``.
  @discardableResult
  public func checkpoint(into path: String) async throws(StoreError) -> Checkpoint {
    try await run { blocking throws(StoreError) in try blocking.checkpoint(into: path) }
  }
}

/// Makes a checkpoint of the store at `storePath`, which another process may be writing, or none.
///
/// The checkpoint holds what a reader would find now: every commit that has returned in any
/// process, whatever its durability, and no part of one that has not. Nothing in the store's
/// directory is written, so that a store on a read-only disk will do; a writer goes on meanwhile,
/// and deletes no file before the checkpoint has it. For the rest see
/// ``Store/Blocking/checkpoint(into:)``, which is for a store that this program has open. Of the
/// log, what is not known to be durable is copied rather than linked.
///
/// Blocks.
///
/// - Throws: as that method, and ``StoreError/corrupt(_:)`` when the manifest or the log is
///   damaged, or a table is missing or has another size than it should have. The tables are not
///   looked into: ``verify(storeAt:deep:_:)`` does.
@discardableResult
public func checkpoint(
  storeAt storePath: String, into path: String
) throws(StoreError) -> Checkpoint {
  let fileSystem = try rootDirectory(storePath)
  return try makeCheckpoint(of: fileSystem, at: path) { name, parent throws(StoreError) in
    try Engine.checkpoint(of: fileSystem, named: storePath, into: name, of: parent)
  }
}

/// Makes the checkpoint that a job of programs reads: in the job's own directory, which may lie in
/// the store's.
///
/// - Parameter store: the store, where this process has it open for writing.
package func jobCheckpoint(
  storeAt storePath: String, openAs store: Store?, into name: String, of parent: PosixFileSystem
) throws(StoreError) {
  if let store {
    _ = try store.engine.checkpoint(into: name, of: parent)
  } else {
    _ = try Engine.checkpoint(
      of: try rootDirectory(storePath), named: storePath, into: name, of: parent)
  }
}

private func makeCheckpoint(
  of store: PosixFileSystem?, at path: String,
  _ body: (String, any FileSystem) throws(StoreError) -> CheckpointReport
) throws(StoreError) -> Checkpoint {
  let (parent, name) = try targetDirectory(path, outside: store)
  let report: CheckpointReport
  do throws(StoreError) { report = try body(name, parent) } catch {
    if case .storeExists(name) = error { throw .storeExists(path: path) }
    throw error
  }
  return Checkpoint(
    fileCount: report.tableCount + report.segmentCount,
    linkedByteCount: report.linkedByteCount, copiedByteCount: report.copiedByteCount,
    lastSequence: report.lastSequence)
}

/// The parent of a directory that is to be made, which does not lie in the store, and its name
/// there.
package func targetDirectory(
  _ path: String, outside store: PosixFileSystem?
) throws(StoreError) -> (parent: PosixFileSystem, name: String) {
  var trimmed = path
  while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
  let (directory, name) = split(trimmed)
  guard !name.isEmpty, name != ".", name != ".." else {
    throw .invalidArgument("\(path) names no directory that could be made")
  }
  let parent = try rootDirectory(directory)
  let isInside: Bool
  do throws(SystemError) {
    isInside = if let store { try parent.isWithin(store) } else { false }
  } catch {
    throw named(error, directory)
  }
  guard !isInside else {
    throw .invalidArgument("\(path) lies in the store, which holds nothing but its own files")
  }
  return (parent, name)
}
