// CommitQueue — who writes next, and for whom.
//
// Room:    Engine/Shard.
// Source:  Group commit with a leader: DeWitt et al., SIGMOD 1984, section 5; the hand-over to the
//          first waiter follows LevelDB's writer queue (db_impl.cc).

import Synchronization
import TurbiditeSystem

/// One commit that waits for a leader, or a caller that waits to be one.
struct PendingCommit: Sendable {
  /// How the waiter is told.
  enum Waiter: Sendable {
    /// A thread that sleeps.
    case thread(CommitTicket)
    /// A caller that must not block; called on some thread of ours.
    case callback(@Sendable (StoreError?) -> Void)
  }

  /// Nil asks for the leadership alone.
  var batch: EncodedBatch?
  var isSynced: Bool
  var waiter: Waiter

  /// Tells who waits.
  func resolve(_ failure: StoreError?) {
    switch waiter {
    case .thread(let ticket): ticket.resolve(.done(failure))
    case .callback(let completion): completion(failure)
    }
  }
}

/// A sleeping thread's place in the queue.
final class CommitTicket: Sendable {
  enum Outcome: Sendable {
    case waiting
    /// The thread is the leader now; its commit, if any, is still the first in the queue.
    case leads
    case done(StoreError?)
  }

  private let parker = Parker()
  private let outcome = Mutex(Outcome.waiting)

  func resolve(_ value: Outcome) {
    outcome.withLock { $0 = value }
    parker.unpark()
  }

  func wait() -> Outcome {
    while true {
      let value = outcome.withLock { $0 }
      if case .waiting = value {
        parker.park()
        continue
      }
      return value
    }
  }

  var current: Outcome { outcome.withLock { $0 } }
}

/// The queue of commits and the token that makes one thread the leader.
final class CommitQueue: Sendable {
  private struct State {
    var pending: [PendingCommit] = []
    var isLed = false
  }

  private let state = Mutex(State())

  /// A group takes no more commits once it holds this many bytes: large enough to amortise a sync,
  /// small enough that the first in line does not wait for long.
  static let groupByteCount = 1 << 20

  /// Takes the token if it is free.
  func tryLead() -> Bool {
    state.withLock { state in
      if state.isLed { return false }
      state.isLed = true
      return true
    }
  }

  /// Puts a commit in line.
  ///
  /// - Returns: whether the caller must lead, or see to it that someone does.
  func enqueue(_ commit: PendingCommit) -> Bool {
    state.withLock { state in
      state.pending.append(commit)
      if state.isLed { return false }
      state.isLed = true
      return true
    }
  }

  /// The next group: commits from the front, up to one that asks for the leadership.
  func takeGroup() -> [PendingCommit] {
    state.withLock { state in
      var byteCount = 0
      var count = 0
      for commit in state.pending {
        guard let batch = commit.batch else { break }
        if count > 0 && byteCount + batch.bytes.count > Self.groupByteCount { break }
        byteCount += batch.bytes.count
        count += 1
      }
      let group = Array(state.pending.prefix(count))
      state.pending.removeFirst(count)
      return group
    }
  }

  /// Gives the token to the first in line, or back.
  ///
  /// - Returns: the waiter that must lead now.
  func handOver() -> PendingCommit.Waiter? {
    state.withLock { state in
      guard let first = state.pending.first else {
        state.isLed = false
        return nil
      }
      if first.batch == nil { state.pending.removeFirst() }
      return first.waiter
    }
  }
}
