// Engine+Reserve — when the reserve is made, given up and taken back.
//
// Room:    Engine/Shard.
// Source:  docs/decisions/0011: what was measured on a full disk without it.

import Synchronization
import TurbiditeSystem

extension Engine {
  /// The most that is held back: what memory may hold when the first flush fails, which stops
  /// further writes, and a segment of log for deletions.
  private var largestReserve: UInt64 {
    UInt64(budget.activeShare + options.memtableByteCount + options.logSegmentByteCount)
  }

  /// Enough to open a store, which writes the log's tail again, and to delete a range.
  private var leastReserve: UInt64 {
    var byteCount: UInt64 = 1 << 18
    if let log, log.liveByteCount > 0 {
      // What is not durable when a segment ends is made so then.
      let segment = UInt64(options.logSegmentByteCount)
      byteCount += (log.unsyncedByteCount / segment + 1) * segment
    }
    return min(byteCount, largestReserve)
  }

  /// What should be held back where room is scarce: the least, what a flush of all that is in
  /// memory takes, and as much again as the tables take, up to the most.
  private var wantedReserve: UInt64 {
    let most = largestReserve
    var byteCount = leastReserve + UInt64(budget.memtableByteCount)
    for tree in allTrees {
      for table in tree.version.levels.joined() {
        byteCount += table.metadata.summary.byteCount
        if byteCount >= most { return most }
      }
    }
    return min(byteCount, most)
  }

  /// Whether the store is large enough for a reserve: it has one, or more in memory than that.
  var needsReserve: Bool { reserve.byteCount > 0 || budget.memtableByteCount >= 1 << 18 }

  /// Makes the reserve before it is too late: a process may end before a job comes by.
  ///
  /// By an opening, when memory holds what the log did.
  func prepareReserve() {
    guard needsReserve, !reserve.isReleased else { return }
    do throws(StoreError) { try adjustReserve() } catch { report(error, of: .reserve) }
  }

  /// Has the reserve made, or looked at again.
  func considerReserve() {
    guard !isReadOnly, !reserve.isReleased else { return }
    jobs.add(ReserveJob(engine: self))
    environment.scheduler.workIsReady()
  }

  /// Makes the reserve what it should be: where the disk has sixteen times the most to give, the
  /// least; else larger each time that what it is for has grown by a quarter.
  func adjustReserve() throws(StoreError) {
    // What is held counts as room: to take it must not make room scarce, nor giving it back plenty.
    let held = reserve.byteCount
    var available: UInt64 = 0
    do throws(SystemError) { available = try environment.fileSystem.availableByteCount() } catch {
      // One that does not say what it has may have little.
    }
    let (room, overflows) = available.addingReportingOverflow(held)
    if overflows || room / 16 >= largestReserve {
      // Given back when a flush has emptied the log, not with each segment.
      let least = leastReserve
      let givesBack = (log?.liveByteCount ?? 0) == 0 || least * 4 < held
      guard givesBack || held < least else { return }
      return try reserve.restore(through: least, givingBack: givesBack, takingBack: false)
    }
    let wanted = wantedReserve
    guard held < largestReserve, wanted >= held + held / 4 || wanted == largestReserve else {
      return
    }
    try reserve.restore(through: wanted, takingBack: false)
  }

  /// Gives the reserve up to what was refused for want of space, and holds back writes that take
  /// more room than they make.
  ///
  /// - Returns: whether it is worth trying again.
  func releaseReserve(after refusal: StoreError) -> Bool {
    guard case .outOfSpace = refusal else { return false }
    do throws(StoreError) {
      guard try reserve.release(after: refusal) else { return false }
    } catch {
      report(error, of: .reserve)
      return false
    }
    beginPause(refusal)
    retryFlushes()
    return true
  }

  private func retryFlushes() {
    forgetFailures(of: .flush)
    for tree in dirtyTrees.withLock({ $0.values.sorted { $0.id < $1.id } }) { considerWork(tree) }
  }

  private func retryCompactions() {
    forgetFailures(of: .compaction)
    for tree in allTrees {
      tree.work.withLock { $0.compactionNotBefore = 0 }
      considerWork(tree)
    }
  }

  /// About what the compaction that writers wait for lacks.
  private var largestLevel0ByteCount: Int {
    Int(
      clamping: allTrees.map { tree in
        tree.version.levels[0].reduce(0) { $0 + $1.metadata.summary.byteCount }
      }.max() ?? 0)
  }

  /// About what the flush that lacks room lacks.
  var largestFrozenByteCount: Int {
    dirtyTrees.withLock { $0.values.compactMap(\.version.frozen.last) }
      .map(\.memtable.byteCount).max() ?? 0
  }

  /// Sees to it that what is in memory finds room, and takes the reserve back, before a write that
  /// takes more.
  ///
  /// - Throws: why a flush found no room; what the reserve was given up for, while it is needed or
  ///   there is no room for it.
  func requireRoom() throws(StoreError) {
    if let failure = health.withLock({ $0.failure(of: [.flush]) }), case .outOfSpace = failure {
      guard try reserve.hasRoom(for: largestFrozenByteCount) else { throw failure }
      retryFlushes()
    }
    if pressure.worstLevel0Count >= PressureGauge.level0Stop,
      let failure = health.withLock({ $0.obstacle(to: .compaction) }), case .outOfSpace = failure
    {
      guard try reserve.hasRoom(for: largestLevel0ByteCount) else { throw failure }
      retryCompactions()
    }
    guard reserve.isReleased, let refusal = reserve.refusal else { return }
    guard reserveUserCount.load(ordering: .acquiring) == 0 else { throw refusal }
    do throws(StoreError) {
      let held = reserve.byteCount
      try reserve.restore(through: held > 0 ? held : wantedReserve, takingBack: true)
    } catch {
      if case .outOfSpace = error { throw error }
      // There may be room: that the reserve cannot be made is no reason to refuse a write.
      reserve.doWithout()
      report(error, of: .reserve)
    }
    for tree in occupiedTrees { considerWork(tree) }
  }

  /// Runs `body`, which makes room; when there is none for it, once more with the reserve.
  func usingReserve(_ body: () throws(StoreError) -> Void) throws(StoreError) {
    reserveUserCount.add(1, ordering: .acquiringAndReleasing)
    defer { reserveUserCount.subtract(1, ordering: .acquiringAndReleasing) }
    do throws(StoreError) { try body() } catch {
      // What failed may have begun before the last deletions; so it is tried again in any case.
      guard case .outOfSpace = error, releaseReserve(after: error) || reserve.isReleased else {
        throw error
      }
      try body()
    }
  }
}
