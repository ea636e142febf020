// GroupMember — one of several that read a stream together.
//
// Room:    Turbidite/Streams.

internal import Synchronization
internal import TurbiditeEngine
internal import TurbiditeSystem

/// A member of a group: of those who read a stream together under one cursor, each some partitions.
///
///     let member = try store.join(cursor)
///     for try await events in member {
///       var batch = Store.Batch()
///       for event in events {
///         …
///         batch.move(member, behind: event.position)
///       }
///       try await store.commit(batch)
///     }
///
/// Partitions are shared evenly. Whoever joins gets some of the others', whoever leaves or is
/// released gives its own back (one whose task is cancelled is not, while something else holds it),
/// and the next to read a partition goes on where the cursor stands. A
/// partition changes hands when its reader asks for the next batch: by then it has committed what
/// it made of the one before. So each event is seen by one member, and once by one that moves the
/// cursor in the batch of what follows; after a failure another sees again what was not committed.
///
/// Groups live in the process that has the store open. Batches are those of an ``EventTail``, and
/// so is how the walk ends; besides it ends, without an error, when the member has left. One task
/// or thread at a time may ask for the next batch.
public final class GroupMember: AsyncSequence, Sendable {
  /// What the sequence yields.
  public typealias Element = [Event]
  /// What the sequence throws.
  public typealias Failure = StoreError

  private struct Reading {
    var partitions: [Int] = []
    var reader: TailReader?
    /// Without a reader, how far the one before has come in partitions that are still held.
    var reached: [Int: UInt64] = [:]
  }

  private let store: Store
  /// The cursor that the group moves.
  public let cursor: EventCursor
  let id: UInt64
  private let hasLeft = Atomic<Bool>(false)
  private let reading = Guarded(Reading())

  init(_ store: Store, _ cursor: EventCursor) {
    self.store = store
    self.cursor = cursor
    id = store.groups.join(cursor)
  }

  deinit { leave() }

  /// Gives the partitions back; once commits that are on their way have ended, others have them.
  public func leave() {
    guard !hasLeft.exchange(true, ordering: .acquiringAndReleasing) else { return }
    store.groups.leave(cursor, id)
  }

  /// The partitions that this member read last.
  public var partitions: [Int] { reading.withLock { $0.partitions } }

  /// The next batch, for synchronous code; blocks the calling thread until there is one.
  ///
  /// - Parameter timeout: how long to wait at most; nil means for as long as it takes.
  /// - Returns: no events when the time was up; nil when the member has left.
  public func blockingNext(
    waitingAtMost timeout: Duration? = nil
  ) throws(StoreError) -> [Event]? {
    let deadline = Deadline(after: timeout)
    while true {
      let seen = watch.generation
      guard let events = try poll() else { return nil }
      if !events.isEmpty || deadline.hasPassed { return events }
      watch.wait(after: seen, until: deadline.nanoseconds)
    }
  }

  /// The walk; all walks of a member share its place.
  public func makeAsyncIterator() -> Iterator { Iterator(member: self) }

  /// Walks a ``GroupMember``.
  public struct Iterator: AsyncIteratorProtocol {
    let member: GroupMember

    /// The next batch; suspends until there is one.
    public mutating func next() async throws(StoreError) -> [Event]? {
      try await member.nextBatch()
    }

    /// The next batch; the isolation makes no difference, because it comes from another thread.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(StoreError) -> [Event]? {
      try await next()
    }
  }

  /// Which ownership of a partition this is; nil where the partition is another's.
  func term(of partition: Int) -> UInt64? { store.groups.term(cursor, partition, id) }

  private var watch: StreamWatch { cursor.stream.state.watch }

  private func nextBatch() async throws(StoreError) -> [Event]? {
    while true {
      if Task.isCancelled { throw .cancelled }
      let seen = watch.generation
      guard let events = try await store.run({ _ throws(StoreError) in try self.poll() }) else {
        return nil
      }
      if !events.isEmpty { return events }
      await watch.change(after: seen)
    }
  }

  /// What is there now, of the partitions that are this member's now; nil when it has left.
  private func poll() throws(StoreError) -> [Event]? {
    try reading.withLock { reading throws(StoreError) in
      if hasLeft.load(ordering: .acquiring) {
        reading = Reading()
        return nil
      }
      let partitions = store.groups.settle(cursor, id)
      if partitions != reading.partitions || reading.reader == nil {
        try move(&reading, to: partitions)
      }
      return try reading.reader?.read() ?? []
    }
  }

  /// Goes on in the partitions that stay, and in new ones where the cursor stands.
  private func move(_ reading: inout Reading, to partitions: [Int]) throws(StoreError) {
    let reached = (reading.reader?.reached ?? reading.reached).filter {
      partitions.contains($0.key)
    }
    // Should the cursor not be readable now: what was given up is another's, who moves on in it.
    reading = Reading(reached: reached)
    let starts = try store.blocking.offsets(of: cursor).merging(reached) { $1 }
    reading = Reading(
      partitions: partitions,
      reader: TailReader(store, cursor.stream, partitions: partitions, from: .offsets(starts)))
  }
}

extension Store.Batch {
  /// Moves the cursor of a member's group behind an event of one of the member's partitions.
  ///
  /// The commit throws `invalidArgument`, and nothing of the batch is applied, when the partition
  /// is the member's no more.
  public mutating func move(_ member: GroupMember, behind position: EventPosition) {
    move(member.cursor, behind: position)
    guard failure == nil else { return }
    var moves = groupMoves.take() ?? []
    let index = moves.firstIndex { $0.member === member } ?? moves.count
    if index == moves.count { moves.append(GroupMove(member: member)) }
    if moves[index].terms[position.partition] == nil {
      moves[index].terms[position.partition] = .some(member.term(of: position.partition))
    }
    groupMoves = moves
  }
}

/// The partitions in which a batch moves the cursor of a member's group.
struct GroupMove: Sendable {
  var member: GroupMember
  /// Of each partition, which ownership the member had; nil in it where it had none.
  var terms: [Int: UInt64?] = [:]
}

extension Store {
  /// Joins those who read the cursor's stream together, as a new member.
  public func join(_ cursor: EventCursor) -> GroupMember { GroupMember(self, cursor) }
}

/// The groups of a store.
final class Groups: Sendable {
  private struct Key: Hashable {
    /// Whose stream it is: who joins with a cursor of another store shares with nobody of this one.
    var engine: UInt64
    var stream: UInt32
    var cursor: String
  }

  private struct State {
    var shares: [Key: GroupShares] = [:]
    var lastMember: UInt64 = 0
  }

  private let state = Guarded(State())

  /// - Returns: the member's number, which no other of the store has.
  func join(_ cursor: EventCursor) -> UInt64 {
    let stream = cursor.stream
    let member = state.withLock { state in
      state.lastMember += 1
      let fresh = GroupShares(partitionCount: stream.partitionCount)
      state.shares[key(cursor), default: fresh].join(state.lastMember)
      return state.lastMember
    }
    stream.state.watch.wakeAll()
    return member
  }

  func leave(_ cursor: EventCursor, _ member: UInt64) {
    change(cursor) { $0.leave(member) }
    cursor.stream.state.watch.wakeAll()
  }

  func settle(_ cursor: EventCursor, _ member: UInt64) -> [Int] {
    let outcome = change(cursor) { $0.settle(member) }
    guard let (partitions, gaveBack) = outcome else { return [] }
    if gaveBack { cursor.stream.state.watch.wakeAll() }
    return partitions
  }

  func term(_ cursor: EventCursor, _ partition: Int, _ member: UInt64) -> UInt64? {
    change(cursor) { $0.term(of: partition, member) } ?? nil
  }

  /// Has the partitions of these moves stay with their members until ``end(_:)``.
  func begin(_ moves: [GroupMove]) throws(StoreError) {
    for (index, move) in moves.enumerated() {
      let member = move.member
      let isAllowed = change(member.cursor) { $0.beginCommit(member.id, move.terms) } ?? false
      if isAllowed { continue }
      end(moves.prefix(index))
      throw .invalidArgument(
        "a member of group \(member.cursor.name) moves the cursor in partitions that are not its")
    }
  }

  func end(_ moves: some Sequence<GroupMove>) {
    for move in moves {
      let member = move.member
      let isAwaited = change(member.cursor) { $0.endCommit(member.id, move.terms.keys) } ?? false
      if isAwaited { member.cursor.stream.state.watch.wakeAll() }
    }
  }

  private func key(_ cursor: EventCursor) -> Key {
    let stream = cursor.stream.state
    return Key(engine: stream.engineNumber, stream: stream.id, cursor: cursor.name)
  }

  /// Changes the shares of a group, and forgets one that is deserted; nil where there is none.
  @discardableResult
  private func change<Result: Sendable>(
    _ cursor: EventCursor, _ body: (inout GroupShares) -> Result
  ) -> Result? {
    state.withLock { state in
      let key = key(cursor)
      guard var shares = state.shares[key] else { return nil }
      let result = body(&shares)
      state.shares[key] = shares.isDeserted ? nil : shares
      return result
    }
  }
}
