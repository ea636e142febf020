// Engine+Checkpoint — the store as it is at one moment, as a second store.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 7.1.
// Limits:  Commits wait while the log is synced and its closed segments are linked; they go on
//          while tables are linked and the open segment is copied.

package import TurbiditeSystem

/// One moment of a store, and what keeps its files in place.
private struct CheckpointMoment {
  var state: ManifestState
  /// While these live no table of the state is removed.
  ///
  /// Not the versions: copying may take long, and would keep their memtables.
  var levels: [[TableHandle]]
  /// The segments that could not be linked, open, and how far they count.
  var unlinked: [(path: String, file: any File, byteCount: UInt64)]
}

extension Engine {
  /// The store's directory.
  package var fileSystem: any FileSystem { environment.fileSystem }

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
    var builder = CheckpointBuilder(source: environment.fileSystem, place: place)
    do throws(StoreError) {
      try fill(&builder)
    } catch {
      place.abandon()
      throw error
    }
    try builder.publish()
    return builder.report
  }

  private func fill(_ builder: inout CheckpointBuilder) throws(StoreError) {
    try builder.place.makeDirectories()
    // Most of what must be synced is synced while commits go on.
    try syncLog()
    var moment = try exclusively { () throws(StoreError) -> CheckpointMoment in
      try requireWritable()
      try syncLog()
      return try manifest.withGate(environment.scheduler) { held throws(StoreError) in
        try self.moment(held.state, &builder)
      }
    }
    defer { withExtendedLifetime(moment.levels) {} }
    try builder.place.makeDirectories(ofShards: moment.state.slots?.shardCount ?? 0)
    for (path, file, byteCount) in moment.unlinked {
      try builder.copy(file, byteCount: byteCount, to: path)
    }
    moment.state.nextFileNumber = manifest.upcomingNumber
    try builder.finish(moment.state, store: store, manifest: manifest.nextNumber())
  }

  /// Takes the store as it is: by the leader, under the manifest gate, with a synced log.
  private func moment(
    _ current: ManifestState, _ builder: inout CheckpointBuilder
  ) throws(StoreError) -> CheckpointMoment {
    guard let log else { throw .readOnly }
    var state = current
    state.lastSequence = max(state.lastSequence, visibleSequence)
    state.syncedPosition = max(state.syncedPosition, log.syncedPosition)
    assert(log.syncedPosition == log.position)
    var moment = CheckpointMoment(
      state: state, levels: allTrees.flatMap(\.version.levels), unlinked: [])
    let open = log.openSegment
    for number in log.segmentNumbers where number >= state.logFloor {
      let path = FileNames.logSegment(number)
      builder.report.segmentCount += 1
      if planted(.checkpointWithoutLogTail), open?.number == number { continue }
      if let open, open.number == number, !planted(.linkOpenSegment) {
        // It goes on growing, and with it a link to it would.
        let file = try environment.fileSystem.openFile(path, .read)
        moment.unlinked.append((path, file, open.byteCount))
      } else if try !builder.link(path) {
        let file = try environment.fileSystem.openFile(path, .read)
        moment.unlinked.append((path, file, try file.byteCount()))
      }
    }
    return moment
  }
}
