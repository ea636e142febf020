// StandingCheckpoint — a checkpoint of a store that another process may have open, or none.
//
// Room:    Engine/Shard. Opens the store's files for reading only.
// Format:  FORMAT.md sections 4.4, 7.1 and 8.

package import TurbiditeSystem

/// What a reader found of a store: one state, and the log that goes with it.
private struct StandingState {
  var contents: ManifestContents
  var log: RecoveredLog
}

extension Engine {
  /// Makes a store that holds what a reader would find now in the root of `fileSystem` appear as
  /// directory `name` of `parent`.
  ///
  /// Blocks. What the log holds beyond what is known to be durable is written anew, durably: a sync
  /// of it could not tell of a failure that its writer was told of before.
  ///
  /// - Parameter storeName: how errors call the store.
  package static func checkpoint(
    of fileSystem: any FileSystem, named storeName: String, into name: String,
    of parent: any FileSystem
  ) throws(StoreError) -> CheckpointReport {
    // Before a place is made: a path that is no store leaves nothing behind.
    _ = try fileSystem.newestManifest(of: storeName)
    let place = try CheckpointPlace(name, in: parent)
    let builder: CheckpointBuilder
    do throws(StoreError) { builder = try filled(place, fileSystem, storeName) } catch {
      place.abandon()
      throw error
    }
    try builder.publish()
    return builder.report
  }

  /// What looks like damage may be the writer in the middle of a change: looks again, a few times.
  private static func filled(
    _ place: CheckpointPlace, _ fileSystem: any FileSystem, _ storeName: String
  ) throws(StoreError) -> CheckpointBuilder {
    var attempts = 0
    while true {
      attempts += 1
      try place.clear()
      var builder = CheckpointBuilder(source: fileSystem, place: place)
      do throws(StoreError) {
        try fill(&builder, storeName)
        return builder
      } catch {
        switch error {
        case .corrupt where attempts < 8, .io where attempts < 8: continue
        default: throw error
        }
      }
    }
  }

  private static func fill(
    _ builder: inout CheckpointBuilder, _ storeName: String
  ) throws(StoreError) {
    let lock = try ReaderLock(builder.source)
    defer { lock.release() }
    if let trouble = lock.trouble { throw trouble }
    let found = try standingState(of: builder.source, storeName, lock)
    var state = found.contents.state
    try builder.place.makeDirectories()
    try builder.place.makeDirectories(ofShards: state.slots?.shardCount ?? 0)
    var largestNumber: UInt64 = 0
    for (index, part) in found.log.parts.enumerated() {
      let path = FileNames.logSegment(part.number)
      builder.report.segmentCount += 1
      largestNumber = max(largestNumber, part.number)
      // The last one may grow, and with it a link to it would.
      let isClosed = index < found.log.parts.count - 1
      if isClosed, part.endPosition <= found.log.syncedPosition, try builder.link(path) {
        continue
      }
      let byteCount =
        UInt64(LogSegmentHeader.byteCount) + (part.endPosition - part.basePosition)
      try builder.copy(
        try builder.openSource(path), byteCount: byteCount, to: path)
    }
    state.lastSequence = max(state.lastSequence, found.log.lastSequence)
    state.syncedPosition = max(state.syncedPosition, found.log.endPosition)
    try builder.finish(
      state, store: found.contents.store,
      manifest: max(state.nextFileNumber, largestNumber + 1))
  }

  /// Reads a state and the log behind it, and holds the state's files in place.
  private static func standingState(
    of fileSystem: any FileSystem, _ storeName: String, _ lock: ReaderLock
  ) throws(StoreError) -> StandingState {
    let contents = try readManifest(fileSystem, storeName)
    let state = contents.state
    try lock.holdState(after: state.editNumber)
    let recovery = LogRecovery(
      fileSystem: fileSystem, store: contents.store, floor: state.logFloor,
      floorPosition: state.logFloorPosition, syncedPosition: state.syncedPosition)
    let log = try recovery.recover()
    // A keyspace's edit is durable before the log has an entry of it. So if none was made by now,
    // the state knows every keyspace that the log speaks of.
    let now = try readManifest(fileSystem, storeName)
    guard now.state.nextKeyspaceID == state.nextKeyspaceID else {
      throw .corrupt(
        Damage(file: contents.path, offset: 0, finding: "keyspaces are being created"))
    }
    return StandingState(contents: contents, log: log)
  }

  private static func readManifest(
    _ fileSystem: any FileSystem, _ storeName: String
  ) throws(StoreError) -> ManifestContents {
    let number = try fileSystem.newestManifest(of: storeName)
    let path = FileNames.manifest(number)
    let contents = try ManifestContents(try fileSystem.openFile(path, .read))
    guard contents.number == number else {
      throw .corrupt(
        Damage(file: path, offset: 0, finding: "this is manifest \(contents.number)"))
    }
    return contents
  }
}
