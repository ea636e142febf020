// Engine+Health — troubles are noted, told to who asks, and forgotten when they are over.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

extension Engine {
  /// What stands in the engine's way.
  ///
  /// Reads no file and waits for nothing; any thread may ask.
  package var currentHealth: EngineHealth {
    var report = health.withLock { $0 }
    if let attempt = jobs.nextLook {
      let now = environment.clock.monotonicNanoseconds()
      let seconds = attempt > now ? (attempt - now + 999_999_999) / 1_000_000_000 : 0
      report.nextAttempt = environment.clock.wallSeconds() + seconds
    }
    return report
  }

  // MARK: - Work behind the writers' backs

  /// Notes how a piece of work ended.
  func report(_ failure: StoreError?, of kind: BackgroundWorkKind, in tree: Tree? = nil) {
    let item = BackgroundWorkItem(kind: kind, tree: tree?.id)
    if let failure {
      let now = environment.clock.wallSeconds()
      health.withLock { health in
        let since = health.failures[item]?.since ?? now
        health.failures[item] = Incident(cause: failure, since: since)
      }
    } else {
      health.withLock { $0.failures[item] = nil }
    }
    environment.scheduler.progressWasMade()
  }

  /// Forgets the failures of a kind: what failed is tried again now, and only a new one counts.
  func forgetFailures(of kind: BackgroundWorkKind) {
    health.withLock { health in
      for item in health.failures.keys where item.kind == kind { health.failures[item] = nil }
    }
  }

  /// Notes damage that keeps a tree from being compacted.
  func suspect(_ failure: StoreError, in tree: TreeID) {
    let now = environment.clock.wallSeconds()
    health.withLock { $0.suspects[tree] = Incident(cause: failure, since: now) }
    announce()
  }

  /// Forgets the troubles of trees that are gone.
  func forgetTroubles(of trees: [Tree]) {
    health.withLock { health in
      for tree in trees {
        health.suspects[tree.id] = nil
        for kind in BackgroundWorkKind.allCases {
          health.failures[BackgroundWorkItem(kind: kind, tree: tree.id)] = nil
        }
      }
    }
    announce()
  }

  // MARK: - Room

  /// Notes that a write was refused for want of space.
  ///
  /// - Parameter frameByteCount: what it would have taken in the log; nil for what is known.
  func beginPause(_ cause: StoreError, frameByteCount: Int? = nil) {
    let now = environment.clock.wallSeconds()
    let frameByteCount =
      frameByteCount ?? health.withLock { $0.pause?.frameByteCount ?? 0 }
    var needed = frameByteCount
    if reserve.isReleased { needed += Int(clamping: reserve.byteCount) }
    if health.withLock({ $0.failure(of: [.flush]) }) != nil {
      needed += largestFrozenByteCount
    }
    health.withLock { health in
      health.pause = Pause(
        cause: cause, since: health.pause?.since ?? now, frameByteCount: frameByteCount,
        neededByteCount: needed)
    }
    isPaused.store(true, ordering: .releasing)
    announce()
    lookAgainSoon()
  }

  /// Notes that there is room again, for the reserve as well.
  func endPause() {
    guard !reserve.isReleased else { return }
    guard isPaused.exchange(false, ordering: .acquiringAndReleasing) else { return }
    health.withLock { $0.pause = nil }
    announce()
    environment.scheduler.progressWasMade()
  }

  /// Asks the disk for the room that a refused write lacked, so that the store is usable again as
  /// soon as there is some, and not at the next write only.
  ///
  /// Where a leader is at work its commit will tell.
  func probeForRoom() {
    guard isPaused.load(ordering: .acquiring), commits.tryLead() else { return }
    defer { handOver() }
    guard let log, let pause = health.withLock({ $0.pause }) else { return }
    do throws(StoreError) {
      try requireWritable()
      let hasMemory = budget.memtableByteCount < budget.memtableShare
      let hasFailed = health.withLock { $0.failure(of: [.flush]) != nil }
      guard hasMemory, !hasFailed, !reserve.isReleased || jobs.isIdle
      else { return lookAgainSoon() }
      try requireRoom()
      guard pressure.worstLevel0Count < PressureGauge.level0Stop else { return lookAgainSoon() }
      let rotated = try log.takeRoom(
        for: pause.frameByteCount, lastSequence: lastSequence.load(ordering: .relaxed))
      if rotated { segmentWasBegun() }
      endPause()
    } catch {
      switch error {
      case .durabilityLost: poison(error)
      case .poisoned: break
      case .closed, .readOnly: break
      default: beginPause(error)
      }
    }
  }

  // MARK: - For other processes

  /// Says what state the store is in by the byte of LOCK that is locked.
  ///
  /// Called at each change; a store that is well has no byte locked.
  func announce() {
    guard let lockFile else { return }
    announced.withLock { current in
      let wanted = health.withLock { StatusByte($0) }
      guard wanted != current else { return }
      do throws(SystemError) {
        if let wanted {
          _ = try lockFile.tryLock(.exclusive, from: wanted.offset, to: wanted.offset + 1)
        }
        if let current { try lockFile.unlock(from: current.offset, to: current.offset + 1) }
        current = wanted
      } catch {
        // What cannot be told to others hinders no one here, and the next change tells it.
      }
    }
  }
}
