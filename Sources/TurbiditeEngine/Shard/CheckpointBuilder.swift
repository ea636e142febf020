// CheckpointBuilder — links and copies that make a second store out of one.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 7.1.

import TurbiditeSystem

/// What a checkpoint consists of.
package struct CheckpointReport: Sendable, Hashable {
  package var tableCount = 0
  package var segmentCount = 0
  /// Bytes that the two stores share.
  package var linkedByteCount: UInt64 = 0
  package var copiedByteCount: UInt64 = 0
  /// The last write that the checkpoint holds.
  package var lastSequence: UInt64 = 0
}

/// A checkpoint that grows.
struct CheckpointBuilder {
  /// The store that is copied.
  let source: any FileSystem
  let place: CheckpointPlace
  var report = CheckpointReport()

  init(source: any FileSystem, place: CheckpointPlace) {
    self.source = source
    self.place = place
  }

  /// Links a file of the store into the checkpoint.
  ///
  /// - Returns: false when the disk cannot do so, and the file must be copied.
  mutating func link(_ path: String) throws(StoreError) -> Bool {
    do throws(SystemError) {
      try source.link(path, to: path, in: place.fileSystem)
      report.linkedByteCount += try place.fileSystem.open(path, .read).size()
      return true
    } catch {
      if error.asksForCopy { return false }
      throw failure(error, path)
    }
  }

  /// Opens a file of the store for copying.
  func openSource(_ path: String) throws(StoreError) -> any File {
    do throws(SystemError) { return try source.open(path, .read) } catch {
      throw failure(error, path)
    }
  }

  /// A file that the store's state names and its directory has not is damage, as to an opening.
  private func failure(_ error: SystemError, _ path: String) -> StoreError {
    error.isAbsent
      ? .corrupt(Damage(file: path, offset: 0, finding: "the file is missing"))
      : StoreError(error)
  }

  /// Copies the first bytes of a file, durably.
  mutating func copy(
    _ original: any File, byteCount: UInt64, to path: String
  ) throws(StoreError) {
    let file = try place.fileSystem.openFile(path, .create)
    var offset: UInt64 = 0
    while offset < byteCount {
      let count = Int(min(byteCount - offset, 1 << 20))
      let buffer = try original.readBuffer(at: offset, count: count)
      do throws(SystemError) {
        try file.write(buffer.view.span, at: offset)
      } catch {
        throw StoreError(error)
      }
      withExtendedLifetime(buffer) {}
      offset += UInt64(count)
    }
    if !planted(.skipCheckpointSync) { try file.syncBytes() }
    report.copiedByteCount += byteCount
  }

  /// Brings the tables of a state, and then the state: as manifest `number`, above all numbers that
  /// the checkpoint's files bear.
  mutating func finish(
    _ state: ManifestState, store: StoreID, manifest number: UInt64
  ) throws(StoreError) {
    for (tree, tables) in state.trees.sorted(by: { $0.key < $1.key }) {
      for table in tables.levels.joined() {
        let path = FileNames.table(shard: tree.shard, table.fileNumber)
        report.tableCount += 1
        try source.requireTable(path, byteCount: table.summary.byteCount)
        if try link(path) { continue }
        let file = try openSource(path)
        try copy(file, byteCount: table.summary.byteCount, to: path)
      }
    }
    try place.syncDirectories(shardCount: state.slots?.shardCount ?? 0)
    var state = state
    state.nextFileNumber = max(state.nextFileNumber, number + 1)
    try state.requireRoom(behind: state.syncedPosition)
    _ = try ManifestLog(
      fileSystem: place.fileSystem, store: store, number: number, state: state)
    report.lastSequence = state.lastSequence
  }

  /// Gives the whole its name.
  func publish() throws(StoreError) {
    do throws(StoreError) { try place.publish() } catch {
      // When the sync of the name failed the checkpoint stands under that name, in doubt.
      if case .durabilityLost = error { throw error }
      place.abandon()
      throw error
    }
  }
}
