// Engine+Reshard — slots change their shards while the store is read and written.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 6.4: what a crash leaves at each point, and who cleans it up.
// Limits:  Commits wait while memtables are frozen, and for one record of the manifest, twice. The
//          keys that move, and what of a shard's last level lies between them, are written once;
//          for each shard that gains slots all of those that lose some are read.

import Synchronization
import TurbiditeSystem

/// How far a resharding has come.
package enum ReshardingStage: CaseIterable, Sendable {
  /// Commits go to both places.
  case begun
  /// What moves is in tables that are nobody's yet.
  case copied
  /// The slots are their new shards'.
  case flipped
}

/// What goes on with slots; one at a time moves them.
struct ReshardingState {
  var isClaimed = false
  /// Memtables that may hold keys which are not their shard's.
  var foreign: [FrozenMemtables] = []
}

extension Engine {
  /// Where the slots lie now.
  package var layout: ShardLayout {
    routing.read { ShardLayout(shards: $0.slots, shardCount: $0.treeCount) }
  }

  /// Gives slots to the shards that `plan` says, durably, beside readers and writers.
  ///
  /// Blocks until the slots are their new shards'. What the old ones still hold of them is left out
  /// by readers, and goes with compactions, in the background.
  ///
  /// - Parameter plan: the wanted layout, given the present one; it may have more shards.
  /// - Parameter between: called after each stage; for tests, which use the store there.
  /// - Throws: the slots are where they were, unless the error says that durability was lost.
  package func reshard(
    _ plan: (ShardLayout) throws(StoreError) -> ShardLayout,
    between: (ReshardingStage) throws(StoreError) -> Void = { _ in }
  ) throws(StoreError) {
    try requireWritable()
    var isClaimed = false
    environment.scheduler.wait {
      isClaimed = claimResharding()
      return isClaimed || hasFailed([])
    }
    guard isClaimed else {
      try requireWritable()
      throw .closed
    }
    defer { releaseResharding() }
    try requireWritable()
    try settleClaimed()
    let old = layout
    let new = try plan(old)
    assert(new.shardCount >= old.shardCount)
    guard new.shards != old.shards || new.shardCount > old.shardCount else { return }
    let begun = try begin(new)
    var copies: [MoveJob] = []
    do throws(StoreError) {
      try between(.begun)
      forgetFailures(of: .flush)
      try waitForFlush(of: begun.waited)
      copies = try copy(begun)
      try between(.copied)
      try flip(begun, copies)
    } catch {
      for copy in copies { copy.discardOutputs() }
      end(begun)
      abandonMove(begun)
      throw error
    }
    end(begun)
    try between(.flipped)
    do throws(StoreError) { try boundUnsettled() } catch {
      // The slots are where they should be. `boundUnsettledIfPossible` does the rest when it can be
      // done, and reports what keeps it from that; a flush that failed is reported already.
      lookAgainSoon()
    }
  }

  private func claimResharding() -> Bool {
    resharding.withLock { state in
      if state.isClaimed { return false }
      state.isClaimed = true
      return true
    }
  }

  private func releaseResharding() {
    resharding.withLock { $0.isClaimed = false }
    environment.scheduler.progressWasMade()
  }

  /// Has what moved away compacted out of the shards that held it; returns when that is done.
  package func settle() throws(StoreError) {
    try requireWritable()
    if routing.read({ $0.unsettled == nil }) { return }
    try reshard { $0 }
  }

  /// How many bytes of tables lie in each slot, as far as their indexes tell.
  ///
  /// Keys that are spread by all of their bytes count alike in every slot of their shard. Opens
  /// tables of other keyspaces, and reads none of their blocks.
  package func slotByteCounts() throws(StoreError) -> [UInt64] {
    var counts = [UInt64](repeating: 0, count: Limits.shardCount)
    let layout = layout
    for tree in occupiedTrees {
      let view = routed { TreeView(version: tree.version, ownership: $0.ownership(of: tree)) }
      guard tree.partitioning != .wholeKey else {
        let slots = layout.shards.indices.filter { layout.shards[$0] == UInt16(tree.id.shard) }
        let held = view.version.levels.joined().reduce(UInt64(0)) {
          $0 + $1.metadata.summary.byteCount
        }
        for slot in slots { counts[slot] += held / UInt64(slots.count) }
        continue
      }
      for table in view.version.levels.joined() {
        let index = try table.open().index
        for block in 0..<index.count {
          index.separatorKey(block).withView { key in
            guard view.ownership?.owns(key) != false else { return }
            let hash = tree.partitioning.shardHash(of: key, hash: key.hash())
            counts[Int(hash >> 52)] += UInt64(index.handle(block).byteCount)
          }
        }
      }
    }
    return counts
  }

  // MARK: - The steps

  /// A resharding that has begun.
  private struct Resharding {
    var old: ShardLayout
    var new: ShardLayout
    var move: ShardMove
    var targets: Set<Int>
    var sources: Set<Int>
    /// Everything up to it is in tables once `waited` is flushed; pinned until the end.
    var moment: UInt64 = 0
    var waited: [FrozenMemtables] = []
  }

  /// States what is about to move, and lets every commit from here on go to both places.
  private func begin(_ new: ShardLayout) throws(StoreError) -> Resharding {
    try exclusively { () throws(StoreError) -> Resharding in
      try requireWritable()
      let old = layout
      let move = ShardMove(from: old.shards, to: new.shards)
      var begun = Resharding(
        old: old, new: new, move: move, targets: move.targetShards,
        sources: move.sourceShards(old.shards))
      try makeDirectories(from: old.shardCount, upTo: new.shardCount)
      let unsettled = UnsettledShards(
        shards: begun.targets.sorted().map(UInt32.init), below: UnsettledShards.open)
      try install(
        { state throws(StoreError) in
          var edit = VersionEdit()
          edit.slots = state.slots
          edit.slots?.shardCount = UInt32(new.shardCount)
          edit.unsettled = planted(.forgetUnsettledTargets) ? nil : unsettled
          return edit
        },
        publish: { _ in
          for keyspace in keyspaces.withLock({ Array($0.values) }) {
            keyspace.addTrees(upTo: new.shardCount)
          }
          routing.replace(
            with: Routing(
              slots: old.shards, treeCount: new.shardCount, unsettled: unsettled, move: move))
        })
      // From here on no deletion that goes to both places is taken for the last word on its key.
      for tree in trees(of: begun.targets) where !planted(.compactWhileMoving) {
        tree.work.withLock { $0.isMoving = true }
        gaugePressure(of: tree)
      }
      begun.moment = pins.pin { visibleSequence }
      begun.waited = freezeTrees(of: begun.sources.union(begun.targets))
      return begun
    }
  }

  private func makeDirectories(from old: Int, upTo new: Int) throws(StoreError) {
    guard new > old else { return }
    try environment.fileSystem.makeDirectoriesIfAbsent(
      (UInt32(old)..<UInt32(new)).map(FileNames.shardDirectory), in: FileNames.shardsDirectory)
    try environment.fileSystem.syncNames(FileNames.shardsDirectory)
  }

  /// Ends the memtables of shards, and has them flushed.
  ///
  /// By the leader.
  private func freezeTrees(of shards: Set<Int>) -> [FrozenMemtables] {
    trees(of: shards).map { tree in
      freeze(tree)
      return FrozenMemtables(tree)
    }
  }

  private func trees(of shards: Set<Int>) -> [Tree] {
    allTrees.filter { shards.contains(Int($0.id.shard)) }
  }

  /// Writes what moves, as of the moment, to tables that are nobody's yet.
  ///
  /// - Throws: nothing is left of them.
  private func copy(_ resharding: Resharding) throws(StoreError) -> [MoveJob] {
    let targets = trees(of: resharding.targets)
    environment.scheduler.wait {
      hasFailed([]) || targets.allSatisfy { tree in tree.work.withLock { !$0.isCompacting } }
    }
    try requireWritable()
    var copies: [MoveJob] = []
    for keyspace in keyspaces.withLock({ $0.values.sorted { $0.id < $1.id } }) {
      let sources = resharding.sources.sorted().map { keyspace.tree($0) }
      guard sources.contains(where: { !$0.version.levels.allSatisfy(\.isEmpty) }) else { continue }
      for target in resharding.targets.sorted() {
        copies.append(
          MoveJob(
            engine: self, tree: keyspace.tree(target), sources: sources, move: resharding.move,
            moment: resharding.moment))
      }
    }
    for copy in copies { jobs.add(copy) }
    environment.scheduler.workIsReady()
    environment.scheduler.wait {
      copies.allSatisfy { if case .pending = $0.outcome { false } else { true } }
    }
    do throws(StoreError) {
      for copy in copies {
        switch copy.outcome {
        case .pending, .written: break
        case .failed(let failure): throw failure
        case .dropped: throw .closed
        }
      }
    } catch {
      for copy in copies { copy.discardOutputs() }
      throw error
    }
    return copies
  }

  /// Gives the slots to their new shards, with all that they hold, in one record.
  private func flip(_ resharding: Resharding, _ copies: [MoveJob]) throws(StoreError) {
    try exclusively { () throws(StoreError) in
      try requireWritable()
      var handles: [TreeID: [TableHandle]] = [:]
      for copy in copies {
        handles[copy.tree.id] = try self.handles(for: copy.outputs, tree: copy.tree.id)
      }
      let unsettled = UnsettledShards(
        shards: resharding.sources.sorted().map(UInt32.init), below: UnsettledShards.open)
      // The leader drops keyspaces: none goes while this goes on.
      let live = copies.filter { !$0.tree.isDropped.load(ordering: .acquiring) }
      try install(
        { state throws(StoreError) in
          var edit = VersionEdit()
          edit.slots = state.slots
          edit.slots?.shards = resharding.new.shards
          edit.unsettled =
            planted(.forgetUnsettledSources)
            ? UnsettledShards(shards: [], below: 1)
            : unsettled
          for copy in live { note(copy, in: &edit) }
          for tree in trees(of: resharding.targets) {
            edit.flushedSequences[tree.id] = resharding.moment
          }
          return edit
        },
        publish: { edit in
          for copy in live {
            install(copy, handles[copy.tree.id] ?? [], edit)
          }
          routing.replace(
            with: Routing(
              slots: resharding.new.shards, treeCount: resharding.new.shardCount,
              unsettled: unsettled))
        })
      let foreign = freezeTrees(of: resharding.sources)
      self.resharding.withLock { $0.foreign = foreign }
      for copy in copies where copy.tree.isDropped.load(ordering: .acquiring) {
        copy.discardOutputs()
      }
    }
  }

  private func note(_ copy: MoveJob, in edit: inout VersionEdit) {
    let level = Limits.levelCount - 1
    for table in copy.inputs {
      edit.removedTables.append(
        .init(tree: copy.tree.id, level: level, fileNumber: table.metadata.fileNumber))
    }
    for table in copy.outputs {
      edit.addedTables.append(.init(tree: copy.tree.id, level: level, table: table))
    }
  }

  private func install(_ copy: MoveJob, _ handles: [TableHandle], _ edit: UInt64) {
    let replaced = Set(copy.inputs.map(\.metadata.fileNumber))
    copy.tree.update { version in
      var levels = version.levels
      levels[Limits.levelCount - 1].removeAll { replaced.contains($0.metadata.fileNumber) }
      levels[Limits.levelCount - 1].append(contentsOf: handles)
      levels[Limits.levelCount - 1].sort { $0.smallestKey.compare($1.smallestKey) < 0 }
      return TreeVersion(active: version.active, frozen: version.frozen, levels: levels)
    }
    for table in copy.inputs { table.markObsolete(since: edit) }
    copy.keepOutputs()
  }

  /// Gives back what a resharding held, whatever became of it.
  private func end(_ resharding: Resharding) {
    pins.unpin(resharding.moment)
    for tree in trees(of: resharding.targets) {
      tree.work.withLock { $0.isMoving = false }
      gaugePressure(of: tree)
      considerWork(tree)
    }
    deleteObsolete()
  }

  /// Lets commits go to one place again; what the other got of them is cleaned up.
  private func abandonMove(_ resharding: Resharding) {
    do throws(StoreError) {
      try exclusively { () throws(StoreError) in
        let foreign = freezeTrees(of: resharding.targets)
        self.resharding.withLock { $0.foreign = foreign }
        try manifest.withGate(environment.scheduler) { _ in
          routing.replace(
            with: Routing(
              slots: resharding.old.shards, treeCount: resharding.new.shardCount,
              unsettled: routing.value.unsettled))
        }
      }
      try requireWritable()
      try boundUnsettled()
    } catch {
      // As above; the failure that led here is the one to act on.
      lookAgainSoon()
    }
  }

  // MARK: - Cleaning up

  /// The trees that may hold keys which are not their shard's.
  private func unsettledTrees(_ routing: Routing) -> [Tree] {
    guard let unsettled = routing.unsettled else { return [] }
    return trees(of: Set(unsettled.shards.map(Int.init)))
  }

  /// For the picker: tables with smaller file numbers are to be rewritten.
  func unsettledBelow(_ tree: Tree) -> UInt64 {
    let routing = routing.value
    guard routing.move == nil, let unsettled = routing.unsettled,
      unsettled.below != UnsettledShards.open, unsettled.shards.contains(tree.id.shard)
    else { return 0 }
    return unsettled.below
  }

  /// States from which file number on tables hold only keys that are their shard's.
  ///
  /// By whom the claim is.
  private func boundUnsettled() throws(StoreError) {
    guard let waited = routing.value.unboundUnsettled else { return }
    forgetFailures(of: .flush)
    for memtables in resharding.withLock({ $0.foreign }) { considerWork(memtables.tree) }
    environment.scheduler.wait { hasFailed([.flush]) || isBoundable(waited) }
    try throwIfFailed([.flush])
    try bound(waited)
  }

  /// What `boundUnsettled` could not do, as soon as it can be done.
  ///
  /// Waits for nothing but the manifest.
  func boundUnsettledIfPossible() {
    guard routing.value.unboundUnsettled != nil, claimResharding() else { return }
    defer { releaseResharding() }
    guard let waited = routing.value.unboundUnsettled, isBoundable(waited) else { return }
    do throws(StoreError) {
      try bound(waited)
      report(nil, of: .manifest)
    } catch {
      report(error, of: .manifest)
      lookAgainSoon()
    }
  }

  /// Whether every flush and compaction that did not know of the last move has ended, and every
  /// memtable that holds what moved is in a table.
  private func isBoundable(_ routing: Routing) -> Bool {
    resharding.withLock { $0.foreign }.allSatisfy(\.areFlushed)
      && unsettledTrees(routing).allSatisfy { tree in
        tree.work.withLock { work in
          !(work.isFlushing && work.flushRouting !== routing)
            && !(work.isCompacting && work.compactionRouting !== routing)
        }
      }
  }

  private func bound(_ routing: Routing) throws(StoreError) {
    guard var bounded = routing.unsettled else { return }
    try install(
      { _ throws(StoreError) in
        var edit = VersionEdit()
        bounded.below = manifest.upcomingNumber
        edit.unsettled = bounded
        return edit
      },
      publish: { _ in
        self.routing.replace(
          with: Routing(slots: routing.slots, treeCount: routing.treeCount, unsettled: bounded))
      })
    resharding.withLock { $0.foreign = [] }
    noteSettled()
    for tree in unsettledTrees(routing) { considerWork(tree) }
  }

  /// Settles what an earlier resharding left.
  ///
  /// By whom the claim is.
  private func settleClaimed() throws(StoreError) {
    try boundUnsettled()
    forgetFailures(of: .compaction)
    let trees = unsettledTrees(routing.value)
    for tree in trees {
      tree.work.withLock { work in
        work.isSettlingWanted = true
        work.compactionNotBefore = 0
      }
      considerWork(tree)
    }
    defer { for tree in trees { tree.work.withLock { $0.isSettlingWanted = false } } }
    // Again where a flush that began before has brought a table with a small number meanwhile.
    repeat {
      environment.scheduler.wait {
        hasFailed([]) || hasFailedToCompact || trees.allSatisfy { isSettled($0) || isSuspended($0) }
      }
      try requireWritable()
      noteSettled()
    } while routing.value.unsettled != nil && !hasFailedToCompact
      && !trees.contains(where: isSuspended)
    guard routing.value.unsettled != nil else { return }
    if let failure = health.withLock({ $0.obstacle(to: .compaction) }) { throw failure }
    // A tree with damage is not compacted.
    if let damage = health.withLock({ $0.damages.first }) { throw .corrupt(damage) }
    throw .resourceExhausted("room to compact what moved out of its old shards")
  }

  private func isSettled(_ tree: Tree) -> Bool {
    let below = unsettledBelow(tree)
    return below == 0 || !holdsTables(tree, below: below)
  }

  private func isSuspended(_ tree: Tree) -> Bool {
    tree.work.withLock { $0.isCompactionSuspended }
  }

  private func holdsTables(_ tree: Tree, below number: UInt64) -> Bool {
    !tree.isDropped.load(ordering: .acquiring)
      && tree.version.levels.joined().contains { $0.metadata.fileNumber < number }
  }

  /// Lets readers look at all that trees hold, once none holds anything that is not its shard's.
  func noteSettled() {
    let routing = routing.value
    guard let unsettled = routing.unsettled, unsettled.below != UnsettledShards.open,
      routing.move == nil,
      !unsettledTrees(routing).contains(where: { holdsTables($0, below: unsettled.below) })
    else { return }
    do throws(StoreError) {
      try manifest.withGate(environment.scheduler) { _ in
        guard self.routing.value === routing else { return }
        self.routing.replace(
          with: Routing(slots: routing.slots, treeCount: routing.treeCount, unsettled: nil))
      }
    } catch { report(error, of: .compaction) }
  }
}
