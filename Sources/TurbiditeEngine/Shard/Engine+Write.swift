// Engine+Write — the way of a commit: log, sync, memtables, visible.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

extension Engine {
  /// Commits `batch` and returns when it is durable at the level asked for, and visible.
  ///
  /// Blocks the calling thread. An empty batch that asks for a sync makes everything before
  /// durable.
  ///
  /// - Parameter batch: changed in nothing but the offsets and times of its events.
  package func commit(_ batch: inout EncodedBatch, synced: Bool) throws(StoreError) {
    try requireWritable()
    try requireWithinLimits(batch)
    defer { environment.scheduler.operationBoundary() }
    let isLong = !synced && batch.bytes.count >= CommitQueue.longByteCount
    if !(synced && gathering.isOpen(environment.clock))
      && commits.tryLead(yields: isLong ? CommitQueue.longYieldCount : 0)
    {
      // Nobody waits: the caller writes its own commit and allocates nothing for a queue. While it
      // does, the batch is nobody else's, so that events are numbered in it and not in a copy.
      var group = [EncodedBatch()]
      swap(&group[0], &batch)
      let failure =
        group[0].appends == nil
        ? writeGroup(&group, synced: synced) : writeEvents(&group, synced: synced)
      swap(&group[0], &batch)
      handOver()
      if let failure { throw failure }
      return
    }
    var lent = EncodedBatch()
    swap(&lent, &batch)
    let ticket = CommitTicket()
    let mustLead = commits.enqueue(
      PendingCommit(batch: consume lent, isSynced: synced, waiter: .thread(ticket)))
    if mustLead { lead() }
    while true {
      switch ticket.wait(isLong: synced) {
      case .leads: lead()
      case .mayLead: if commits.tryLead(ticket) { lead() }
      case .waiting: preconditionFailure("a ticket was drawn before it was resolved")
      case .done(let failure):
        if let returned = ticket.takeBatch() { batch = returned }
        if let failure { throw failure }
        return
      }
    }
  }

  /// Commits `batch` on one of the engine's threads; `completion` is called once, there or by
  /// whoever leads the group that `batch` joins.
  package func commit(
    _ batch: EncodedBatch, synced: Bool, completion: @escaping @Sendable (StoreError?) -> Void
  ) {
    do throws(StoreError) {
      try requireWritable()
      try requireWithinLimits(batch)
    } catch {
      return completion(error)
    }
    let mustLead = commits.enqueue(
      PendingCommit(batch: batch, isSynced: synced, waiter: .callback(completion)))
    if mustLead { leader.submit { self.lead() } }
  }

  private func requireWithinLimits(_ batch: EncodedBatch) throws(StoreError) {
    guard batch.bytes.count <= Limits.batchByteCount else {
      throw .invalidArgument(
        "a batch of \(batch.bytes.count) bytes exceeds the limit of \(Limits.batchByteCount)")
    }
  }

  /// Runs `body` as the leader: no commit is under way and none begins until it returns.
  func exclusively<Result>(
    _ body: () throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    if !commits.tryLead() {
      let ticket = CommitTicket()
      let mustLead = commits.enqueue(
        PendingCommit(batch: nil, isSynced: false, waiter: .thread(ticket)))
      // With the token in hand and others in line before us, their turn comes first.
      if mustLead { handOver() }
      guard case .leads = ticket.wait(isLong: true) else {
        preconditionFailure("leadership was asked for")
      }
    }
    defer { handOver() }
    return try body()
  }

  /// Writes one group and hands over.
  ///
  /// The caller holds the token.
  private func lead() {
    if commits.syncedCount > 0 { gathering.wait(for: commits, environment.clock) }
    var group = commits.takeGroup()
    var calls = DueCalls()
    refuseUnnumbered(&group, &calls)
    let isSimple = !group.contains { $0.isSynced || $0.batch?.appends?.claim != nil }
    if isSimple && !group.isEmpty && !isPaused.load(ordering: .relaxed) {
      let failure = writeTogether(&group)
      if case .outOfSpace = failure {
        settle(&group, failure, &calls)
        handOver()
      } else {
        // To wake them all takes longer than to write for them, and the next leader need not wait.
        handOver()
        resolve(&group, failure, &calls)
      }
      return calls.make()
    }
    // Who is told first may be there again for the next sync.
    if isPaused.load(ordering: .relaxed) {
      // A deletion must not share the fate of a write that finds no room.
      write(group.filter { $0.holdsValues }, &calls)
      write(group.filter { !$0.holdsValues }, &calls)
    } else {
      write(consume group, &calls)
    }
    handOver()
    calls.make()
  }

  /// Tells those whose events cannot be numbered: the others of their group are not to blame.
  private func refuseUnnumbered(_ group: inout [PendingCommit], _ calls: inout DueCalls) {
    for index in group.indices.reversed() {
      guard let batch = group[index].batch, batch.appends != nil else { continue }
      do throws(StoreError) {
        try streamOffsets.change { offsets throws(StoreError) in
          try offsets.lookUp(batch, self)
        }
      } catch {
        group[index].resolve(error, &calls)
        group.remove(at: index)
      }
    }
  }

  /// Writes a group in as many frames as it takes, and tells each commit what became of it.
  private func write(_ group: consuming [PendingCommit], _ calls: inout DueCalls) {
    var rest = group
    guard rest.contains(where: { $0.batch?.appends?.claim != nil }) else {
      return writeFrame(&rest, &calls)
    }
    // A frame has one commit of a producer at most: whether the next is a repeat depends on what
    // became of it.
    var frame: [PendingCommit] = []
    var producers: Set<ProducerID> = []
    rest.reverse()
    while var commit = rest.popLast() {
      if let claim = commit.batch?.appends?.claim, !producers.insert(claim.producer).inserted {
        writeFrame(&frame, &calls)
        frame = []
        producers = [claim.producer]
      }
      do throws(StoreError) {
        if let batch = commit.batch { commit.isRepeat = try isRepeat(batch) }
        frame.append(commit)
      } catch { commit.resolve(error, &calls) }
    }
    writeFrame(&frame, &calls)
  }

  private func writeFrame(_ group: inout [PendingCommit], _ calls: inout DueCalls) {
    if group.isEmpty { return }
    let failure = writeTogether(&group)
    settle(&group, failure, &calls)
  }

  private func writeTogether(_ group: inout [PendingCommit]) -> StoreError? {
    // Out of their commits meanwhile, so that events are numbered in them and not in copies.
    let written = group.indices.filter { group[$0].batch != nil && !group[$0].isRepeat }
    var batches = written.compactMap { group[$0].batch.take() }
    let failure = writeGroup(&batches, synced: group.contains { $0.isSynced })
    for index in written.reversed() { group[index].batch = batches.popLast() }
    return failure
  }

  /// Tells the commits of one frame what became of it.
  private func settle(
    _ group: inout [PendingCommit], _ failure: StoreError?, _ calls: inout DueCalls
  ) {
    if case .outOfSpace = failure {
      // Nothing is in the log. Deletions may find what others did not: see `lead`.
      var deletions = group.filter { !$0.holdsValues }
      if !deletions.isEmpty && deletions.count < group.count {
        group.removeAll { !$0.holdsValues }
        resolve(&group, failure, &calls)
        return writeFrame(&deletions, &calls)
      }
    }
    resolve(&group, failure, &calls)
  }

  private func resolve(
    _ group: inout [PendingCommit], _ failure: StoreError?, _ calls: inout DueCalls
  ) {
    for index in group.indices { group[index].resolve(failure, &calls) }
  }

  @inline(never)
  private func writeEvents(_ group: inout [EncodedBatch], synced: Bool) -> StoreError? {
    do throws(StoreError) {
      if try isRepeat(group[0]) {
        var nothing: [EncodedBatch] = []
        return writeGroup(&nothing, synced: synced)
      }
      return writeGroup(&group, synced: synced)
    } catch { return error }
  }

  /// Whether the events of a batch's producer are in the store; the batch is then told so.
  private func isRepeat(_ batch: EncodedBatch) throws(StoreError) -> Bool {
    guard let claim = batch.appends?.claim else { return false }
    let isNew = try producerNumbers.change { numbers throws(StoreError) in
      try numbers.admit(claim, self)
    }
    if !isNew { batch.appends?.recordRepeat() }
    return !isNew
  }

  func handOver() {
    guard let (waiter, outcome) = commits.handOver() else { return }
    switch waiter {
    case .thread(let ticket): ticket.call(outcome)
    case .callback: leader.submit { self.lead() }
    }
  }

  // MARK: - By the leader

  /// Writes `batches` as one frame; all of them fail or none does.
  private func writeGroup(_ batches: inout [EncodedBatch], synced: Bool) -> StoreError? {
    let holdsValues = batches.contains { $0.holdsValues }
    do throws(StoreError) {
      if holdsValues && isPaused.load(ordering: .acquiring) { try requireRoom() }
      do throws(StoreError) { try writeOnce(&batches, synced: synced) } catch {
        // What was refused is not in the log, and deletions may have the reserve.
        guard !holdsValues, releaseReserve(after: error) else { throw error }
        try writeOnce(&batches, synced: synced)
      }
      if holdsValues && isPaused.load(ordering: .relaxed) { endPause() }
      return nil
    } catch {
      if case .outOfSpace = error {
        beginPause(error, frameByteCount: batches.reduce(0) { $0 + $1.bytes.count })
      }
      return error
    }
  }

  private func writeOnce(_ batches: inout [EncodedBatch], synced: Bool) throws(StoreError) {
    try requireWritable()
    let byteCount = batches.reduce(0) { $0 + $1.bytes.count }
    let entryCount = batches.reduce(0) { $0 + $1.entryCount }
    try makeRoom(
      for: byteCount, entryCount: entryCount, deletesOnly: !batches.contains { $0.holdsValues })
    // Before the append: what is refused here was certainly not committed.
    if synced { try requireInPlace() }
    let hasEvents = batches.contains { $0.appends != nil }
    if hasEvents { try number(&batches) }
    if entryCount > 0 { try append(batches, entryCount: entryCount, synced: synced) }
    if hasEvents { accept(batches) }
    if synced && !planted(.acknowledgeBeforeSync) { try syncLog(for: batches.count) }
    if entryCount > 0 { try apply(batches, entryCount: entryCount) }
    if hasEvents { streamOffsets.change { $0.announce(in: self) } }
  }

  /// Writes the offsets of events into the batches.
  private func number(_ batches: inout [EncodedBatch]) throws(StoreError) {
    try streamOffsets.change { offsets throws(StoreError) in
      try offsets.number(&batches, self)
    }
  }

  private func accept(_ batches: [EncodedBatch]) {
    streamOffsets.change { $0.accept() }
    producerNumbers.change { numbers in
      for batch in batches { if let claim = batch.appends?.claim { numbers.accept(claim) } }
    }
  }

  private func append(
    _ batches: [EncodedBatch], entryCount: Int, synced: Bool
  ) throws(StoreError) {
    let first = lastSequence.load(ordering: .relaxed) + 1
    guard first <= Tag.maximumSequence - UInt64(entryCount) else {
      throw .resourceExhausted("sequence numbers")
    }
    // A number that was given to a frame is never given again, also when the frame fails: what is
    // left of it on disk could otherwise be taken for a later commit.
    lastSequence.store(first + UInt64(entryCount) - 1, ordering: .relaxed)
    try appendFrame(
      batches, kind: .commit, firstSequence: first, lastSequence: first - 1, isSynced: synced)
  }

  /// Appends one frame to the log.
  ///
  /// By the leader. Where a failure leaves the log's end in doubt, nothing is written any more: a
  /// later sync would vouch for what the failed one may have lost.
  func appendFrame(
    _ batches: [EncodedBatch], kind: FrameKind, firstSequence: UInt64, lastSequence: UInt64,
    isSynced: Bool
  ) throws(StoreError) {
    guard let log else { throw .readOnly }
    do throws(StoreError) {
      let rotated = try log.append(
        batches, kind: kind, firstSequence: firstSequence, lastSequence: lastSequence,
        isSynced: isSynced)
      if rotated { segmentWasBegun() }
    } catch {
      if case .durabilityLost = error { poison(error) }
      throw error
    }
  }

  /// Syncs the log for `count` commits.
  private func syncLog(for count: Int) throws(StoreError) {
    let start = environment.clock.monotonicNanoseconds()
    try syncLog()
    gathering.note(
      count + commits.syncedCount, from: start, to: environment.clock.monotonicNanoseconds())
  }

  func syncLog() throws(StoreError) {
    do throws(StoreError) { try log?.sync() } catch {
      if !planted(.retryFailedSync) { poison(error) }
      throw error
    }
  }

  /// Puts the entries of the group that was just logged into their memtables, and shows them.
  private func apply(_ batches: [EncodedBatch], entryCount: Int) throws(StoreError) {
    let full = try inserter.change { inserter throws(StoreError) in
      try apply(batches, entryCount: entryCount, &inserter)
    }
    for tree in full { freeze(tree) }
    if budget.activeByteCount > budget.activeShare { freezeLargest() }
  }

  /// - Returns: the trees whose memtables are full.
  private func apply(
    _ batches: [EncodedBatch], entryCount: Int, _ inserter: inout EntryInserter
  ) throws(StoreError) -> [Tree] {
    let last = lastSequence.load(ordering: .relaxed)
    var sequence = last - UInt64(entryCount) + 1
    let now = environment.clock.monotonicNanoseconds()
    if planted(.publishBeforeInsertion) { publish(last) }
    inserter.beginGroup(segment: log?.currentSegment ?? 0)
    do throws(StoreError) {
      for batch in batches {
        try batch.bytes.withView { payload throws(StoreError) in
          if try inserter.insertEvents(of: batch, payload, from: sequence, self) { return }
          var reader = LogEntryReader(payload, firstSequence: sequence, carries: false)
          var next = try reader.nextOfBatch()
          while let (entry, number) = next {
            try inserter.insert(entry, number, self)
            next =
              batch.entryCount > 1
              ? try inserter.insertRun(from: &reader, self) : try reader.nextOfBatch()
          }
        }
        sequence += UInt64(batch.entryCount)
      }
    } catch {
      // The frame is in the log and part of it in memory: only a reopening can tell the whole.
      poison(error)
      throw StoreError(unapplied: FileNames.logSegment(inserter.segment), error)
    }
    publish(planted(.publishHalfBatch) ? last - UInt64(entryCount / 2) : last)
    return inserter.endGroup(now: now, options)
  }

  /// Inserting a range tombstone copies the set of those before it; this bounds the copying.
  static let memtableTombstoneCount = 256

  /// Ends the active memtable of `tree`, if it has entries, and has it flushed.
  ///
  /// By the leader.
  func freeze(_ tree: Tree) {
    guard let active = tree.leadersActive else { return }
    tree.leadersActive = nil
    active.freeze(at: log?.position ?? 0)
    tree.update { version in
      TreeVersion(active: nil, frozen: [active] + version.frozen, above: version)
    }
    considerWork(tree)
  }

  private func freezeLargest() {
    let trees = dirtyTrees.withLock { Array($0.values) }
    let largest = trees.max {
      ($0.version.active?.memtable.byteCount ?? 0, $1.id)
        < ($1.version.active?.memtable.byteCount ?? 0, $0.id)
    }
    if let largest { freeze(largest) }
  }
}
