// CommitQueue — who writes next, and for whom.
//
// Room:    Engine/Shard.
// Source:  Group commit with a leader: DeWitt et al., SIGMOD 1984, section 5. That a token is not
//          kept for a thread which must wake up first: Blasgen, Gray, Mitoma and Price, "The Convoy
//          Phenomenon", Operating Systems Review 13(2), 1979.

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
  /// The store has these events of a producer already: there is nothing to write.
  var isRepeat = false

  /// Whether it takes room on the disk for good.
  var holdsValues: Bool { !isRepeat && batch?.holdsValues == true }

  /// Tells a thread that waits; of who is called back instead, this is noted.
  ///
  /// A thread has its batch back then, and nobody else has it: what it appends next is not copied.
  mutating func resolve(_ failure: StoreError?, _ calls: inout DueCalls) {
    switch waiter {
    case .thread(let ticket): ticket.settle(failure, batch.take())
    case .callback(let completion): calls.add(completion, failure)
    }
  }
}

/// Callbacks of commits that are through.
///
/// They are called when the lead was handed over: what they let run may be anything, and may let go
/// of the store and open it again.
struct DueCalls {
  private var calls: [(completion: @Sendable (StoreError?) -> Void, failure: StoreError?)] = []

  mutating func add(_ completion: @escaping @Sendable (StoreError?) -> Void, _ failure: StoreError?)
  {
    calls.append((completion, failure))
  }

  consuming func make() {
    for (completion, failure) in calls { completion(failure) }
  }
}

/// A waiting thread's place in the queue.
final class CommitTicket: Sendable {
  enum Outcome: Sendable {
    case waiting
    /// The thread's commit is the first in the queue, and nobody led a moment ago.
    case mayLead
    /// The thread is the leader now.
    case leads
    case done(StoreError?)
  }

  private struct State {
    var outcome = Outcome.waiting
    var batch: EncodedBatch?
  }

  private let parker = Parker()
  private let state = Mutex(State())

  /// Commits that wait for no disk are through sooner than a thread is asleep (decision 0034).
  private static let yieldCount = 20

  /// Tells the thread that it leads, or may.
  func call(_ outcome: Outcome) {
    state.withLock { state in
      // Another leader may have been faster than the caller.
      if case .done = state.outcome { return }
      state.outcome = outcome
    }
    parker.unpark()
  }

  /// Tells the thread what became of its commit, and gives the batch back.
  func settle(_ failure: StoreError?, _ batch: consuming EncodedBatch?) {
    var returned = batch
    state.withLock { state in
      state.outcome = .done(failure)
      swap(&state.batch, &returned)
    }
    parker.unpark()
  }

  /// - Parameter isLong: what is waited for takes longer than to fall asleep.
  func wait(isLong: Bool) -> Outcome {
    while true {
      let outcome = state.withLock { state in
        defer { if case .mayLead = state.outcome { state.outcome = .waiting } }
        return state.outcome
      }
      guard case .waiting = outcome else { return outcome }
      parker.park(afterYields: isLong ? 0 : Self.yieldCount)
    }
  }

  /// The batch of a commit that is done.
  func takeBatch() -> EncodedBatch? { state.withLock { $0.batch.take() } }
}

/// The queue of commits and the token that makes one thread the leader.
///
/// Invariant: when nobody leads and there are commits, the first one's thread was told that it may.
final class CommitQueue: Sendable {
  private struct State {
    var pending: [PendingCommit] = []
    var isLed = false
  }

  private let state = Mutex(State())
  /// The commits in line that ask for a sync.
  private let synced = Atomic<Int>(0)

  var syncedCount: Int { synced.load(ordering: .relaxed) }

  /// A batch of so many bytes waits for the token instead of in line, if it waits for no disk: a
  /// group would save it nothing, and its own thread has it in the processor's cache.
  static let longByteCount = 64 << 10
  static let longYieldCount = 20

  /// A group takes no more commits once it holds this many bytes: large enough to amortise a sync,
  /// small enough that the first in line does not wait for long.
  static let groupByteCount = 1 << 20

  /// Takes the token if it is free and nobody is in line.
  ///
  /// - Parameter yields: how often others may have the processor before it is given up.
  func tryLead(yields: Int = 0) -> Bool {
    for _ in 0..<yields {
      if takeToken() { return true }
      yieldProcessor()
    }
    return takeToken()
  }

  private func takeToken() -> Bool {
    state.withLock { state in
      if state.isLed || !state.pending.isEmpty { return false }
      state.isLed = true
      return true
    }
  }

  /// Takes the token if it is free and the commit of `ticket` the first in line.
  func tryLead(_ ticket: CommitTicket) -> Bool {
    state.withLock { state in
      guard !state.isLed, case .thread(let first)? = state.pending.first?.waiter, first === ticket
      else { return false }
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
      if commit.isSynced { synced.add(1, ordering: .relaxed) }
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
      synced.subtract(group.count { $0.isSynced }, ordering: .relaxed)
      return group
    }
  }

  /// Gives the token back, or to the first in line where that one asks for nothing else.
  ///
  /// A thread that has a commit in line is called, but whoever comes first leads, for both: the
  /// token is not kept for one that is still to wake up (decision 0034).
  ///
  /// - Returns: who must be told, and what.
  func handOver() -> (waiter: PendingCommit.Waiter, outcome: CommitTicket.Outcome)? {
    state.withLock { state in
      guard let first = state.pending.first else {
        state.isLed = false
        return nil
      }
      if first.batch == nil {
        state.pending.removeFirst()
        return (first.waiter, .leads)
      }
      guard case .thread = first.waiter else { return (first.waiter, .leads) }
      state.isLed = false
      return (first.waiter, .mayLead)
    }
  }
}
