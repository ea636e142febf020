// Engine+Checkpoint — the store as it is at one moment, as a second store.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 7.1.
// Limits:  Commits wait while the log is synced and its closed segments are linked; they go on
//          while tables are linked and the open segment is copied.

package import TurbiditeSystem

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

/// One moment of a store, and what keeps its files in place.
private struct CheckpointMoment {
  var state: ManifestState
  /// While these live no table of the state is removed.
  var versions: [TreeVersion]
  /// The segments that could not be linked, open, and how far they count.
  var unlinked: [(path: String, file: any File, byteCount: UInt64)]
}

extension Engine {
  /// Makes a store that holds every commit so far appear as directory `name` of `parent`.
  ///
  /// Blocks. Tables and closed log segments are linked where both lie on one disk, and copied
  /// otherwise. When this returns the checkpoint is durable; when it throws there is none, unless
  /// the error says that durability was lost.
  ///
  /// The two stores share files, and no one ever writes to a file of a store that has its final
  /// name and is closed: tables are written once, a segment is written by the process that began it
  /// alone, and opening begins a new manifest. So neither store can harm the other.
  package func checkpoint(
    into name: String, of parent: any FileSystem
  ) throws(StoreError) -> CheckpointReport {
    try requireWritable()
    let place = try CheckpointPlace(name, in: parent)
    var report = CheckpointReport()
    do throws(StoreError) {
      try fill(place, &report)
    } catch {
      place.abandon()
      throw error
    }
    do throws(StoreError) { try place.publish() } catch {
      // When the sync of the name failed the checkpoint stands under that name, in doubt.
      if case .durabilityLost = error { throw error }
      place.abandon()
      throw error
    }
    return report
  }

  private func fill(
    _ place: CheckpointPlace, _ report: inout CheckpointReport
  ) throws(StoreError) {
    let directoryCount = UInt32(shardCount)
    try place.makeDirectories(shardCount: directoryCount)
    // Most of what must be synced is synced while commits go on.
    try syncLog()
    var moment = try exclusively { () throws(StoreError) -> CheckpointMoment in
      try requireWritable()
      try syncLog()
      return try manifest.withGate(environment.scheduler) { held throws(StoreError) in
        try self.moment(held.state, place, &report)
      }
    }
    defer { withExtendedLifetime(moment.versions) {} }
    for (path, file, byteCount) in moment.unlinked {
      try copy(file, byteCount: byteCount, to: path, in: place.fileSystem, &report)
    }
    try linkTables(of: moment.state, place, &report)
    try place.syncDirectories(shardCount: directoryCount)
    let number = manifest.nextNumber()
    moment.state.nextFileNumber = max(moment.state.nextFileNumber, number + 1)
    _ = try ManifestLog(
      fileSystem: place.fileSystem, store: store, number: number, state: moment.state)
    report.lastSequence = moment.state.lastSequence
  }

  /// Takes the store as it is: by the leader, under the manifest gate, with a synced log.
  private func moment(
    _ current: ManifestState, _ place: CheckpointPlace, _ report: inout CheckpointReport
  ) throws(StoreError) -> CheckpointMoment {
    guard let log else { throw .readOnly }
    var state = current
    state.lastSequence = max(state.lastSequence, visibleSequence)
    state.syncedPosition = max(state.syncedPosition, log.syncedPosition)
    state.nextFileNumber = manifest.upcomingNumber
    assert(log.syncedPosition == log.position)
    var moment = CheckpointMoment(
      state: state, versions: allTrees.map(\.version), unlinked: [])
    let open = log.openSegment
    for number in log.segmentNumbers where number >= state.logFloor {
      let path = FileNames.logSegment(number)
      report.segmentCount += 1
      if let open, open.number == number {
        // It goes on growing, and with it a link to it would.
        let file = try environment.fileSystem.openFile(path, .read)
        moment.unlinked.append((path, file, open.byteCount))
      } else if try !link(path, place.fileSystem, &report) {
        let file = try environment.fileSystem.openFile(path, .read)
        moment.unlinked.append((path, file, try file.byteCount()))
      }
    }
    return moment
  }

  private func linkTables(
    of state: ManifestState, _ place: CheckpointPlace, _ report: inout CheckpointReport
  ) throws(StoreError) {
    for (tree, tables) in state.trees.sorted(by: { $0.key < $1.key }) {
      for table in tables.levels.joined() {
        let path = FileNames.table(shard: tree.shard, table.fileNumber)
        report.tableCount += 1
        if try link(path, place.fileSystem, &report) { continue }
        let file = try environment.fileSystem.openFile(path, .read)
        try copy(
          file, byteCount: table.summary.byteCount, to: path, in: place.fileSystem, &report)
      }
    }
  }

  /// Links a file of the store into the checkpoint.
  ///
  /// - Returns: false when the disk cannot do so, and the file must be copied.
  private func link(
    _ path: String, _ target: any FileSystem, _ report: inout CheckpointReport
  ) throws(StoreError) -> Bool {
    do throws(SystemError) {
      try environment.fileSystem.link(path, to: path, in: target)
      report.linkedByteCount += try target.open(path, .read).size()
      return true
    } catch {
      if error.asksForCopy { return false }
      throw StoreError(error)
    }
  }

  /// Copies the first bytes of a file, durably.
  private func copy(
    _ source: any File, byteCount: UInt64, to path: String, in target: any FileSystem,
    _ report: inout CheckpointReport
  ) throws(StoreError) {
    let file = try target.openFile(path, .create)
    var offset: UInt64 = 0
    while offset < byteCount {
      let count = Int(min(byteCount - offset, 1 << 20))
      let buffer = try source.readBuffer(at: offset, count: count)
      do throws(SystemError) {
        try file.write(buffer.view.span, at: offset)
      } catch {
        throw StoreError(error)
      }
      withExtendedLifetime(buffer) {}
      offset += UInt64(count)
    }
    try file.syncBytes()
    report.copiedByteCount += byteCount
  }
}
