// GroupTests — several read a stream together, and each event is counted once.

import Foundation
import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("Groups of consumers")
struct GroupTests {
  /// Joins, leaves, batches and commits in any order.
  @Test("shares are even, change hands only when their owner is done, and move little")
  func shares() throws {
    for seed in UInt64(1)...60 {
      let random = SeededRandom(seed: seed)
      func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
      let count = 1 + draw(12)
      var shares = GroupShares(partitionCount: count)
      // By member: what it reads, and its commits on their way.
      var members: [UInt64: [Int]] = [:]
      var commits: [(member: UInt64, partitions: Set<Int>)] = []
      var last: UInt64 = 0
      func expectApart() {
        var busy: [Int: UInt64] = [:]
        for (member, partitions) in members {
          for partition in partitions {
            #expect(busy.updateValue(member, forKey: partition) == nil)
          }
        }
        for commit in commits {
          for partition in commit.partitions {
            #expect(busy[partition] ?? commit.member == commit.member, "seed \(seed)")
          }
        }
      }
      for _ in 0..<400 {
        let names = members.keys.sorted()
        let member = names.isEmpty ? nil : names[draw(names.count)]
        switch (draw(10), member) {
        case (0, _), (_, nil):
          last += 1
          shares.join(last)
          members[last] = []
        case (1, let member?):
          shares.leave(member)
          members[member] = nil
        case (2...5, let member?): members[member] = shares.settle(member).partitions
        case (6...7, let member?):
          let partitions = Set((0..<1 + draw(2)).map { _ in draw(count) })
          var terms: [Int: UInt64?] = [:]
          for partition in partitions {
            terms[partition] = .some(shares.term(of: partition, member))
          }
          let isAllowed = shares.beginCommit(member, terms)
          #expect(isAllowed == partitions.isSubset(of: members[member] ?? []), "seed \(seed)")
          if isAllowed { commits.append((member, partitions)) }
        default:
          guard !commits.isEmpty else { continue }
          let commit = commits.remove(at: draw(commits.count))
          _ = shares.endCommit(commit.member, commit.partitions)
        }
        expectApart()
      }
      for commit in commits { _ = shares.endCommit(commit.member, commit.partitions) }
      commits = []
      func settleAll() {
        for _ in 0..<2 { for member in members.keys { members[member] = shares.settle(member).0 } }
      }
      settleAll()
      expectApart()
      guard !members.isEmpty else { continue }
      let sizes = members.values.map(\.count)
      #expect(sizes.reduce(0, +) == count, "seed \(seed)")
      #expect(sizes.max()! - sizes.min()! <= 1, "seed \(seed)")
      let before = members
      shares.join(last + 1)
      members[last + 1] = []
      settleAll()
      let moved = before.reduce(0) { $0 + Set($1.value).subtracting(members[$1.key]!).count }
      #expect(moved == count / members.count, "seed \(seed): \(before) became \(members)")
      for member in members.keys { shares.leave(member) }
      #expect(shares.isDeserted)
    }
  }

  private func stream(
    _ partitionCount: Int, in scratch: ScratchDirectory
  ) throws -> (Store, EventStream) {
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: Store.Options(shardCount: 3))
    return (store, try store.blocking.createStream("clicks", partitionCount: partitionCount))
  }

  @Test("a partition goes to another when its reader asks for more, or leaves")
  func handing() throws {
    let scratch = ScratchDirectory()
    let (store, stream) = try stream(2, in: scratch)
    let cursor = try EventCursor("count", of: stream)
    for partition in 0..<2 {
      for _ in 0..<3 { try store.blocking.append(NewEvent("x"), to: stream, partition: partition) }
    }
    let first = store.join(cursor)
    let all = try #require(try first.blockingNext())
    #expect(all.count == 6 && first.partitions == [0, 1])
    let second = store.join(cursor)
    #expect(try second.blockingNext(waitingAtMost: .zero) == [], "the first one is not done")
    var batch = Store.Batch()
    for event in all where event.position.offset < 2 {
      batch.move(first, behind: event.position)
    }
    try store.blocking.commit(batch)
    #expect(try first.blockingNext(waitingAtMost: .zero) == [])
    // The second goes on where the cursor stands: the first did not move it behind everything.
    let taken = try #require(try second.blockingNext())
    #expect(second.partitions.count == 1)
    let position = EventPosition(partition: second.partitions[0], offset: 2)
    #expect(taken.map(\.position) == [position])
    #expect(throws: StoreError.self) {
      try store.blocking.write { batch in
        batch.put("key", "value")
        batch.move(first, behind: position)
      }
    }
    #expect(try store.blocking.get("key") == nil)
    try store.blocking.write { batch in batch.move(second, behind: position) }
    second.leave()
    #expect(try second.blockingNext() == nil)
    #expect(throws: StoreError.self) {
      try store.blocking.write { batch in batch.move(second, behind: position) }
    }
    // The third event of the other partition was given to the first, which did not count it.
    #expect(try first.blockingNext(waitingAtMost: .zero) == [])
    #expect(first.partitions == [0, 1])
    #expect(try store.blocking.lag(of: cursor).sorted() == [0, 1])
    first.leave()
    let third = store.join(cursor)
    #expect(try third.blockingNext()?.count == 1)
    third.leave()
    #expect(throws: StoreError.self) {
      // No group is left, and who is not in it moves nothing.
      try store.blocking.write { batch in batch.move(third, behind: position) }
    }
    try store.blocking.close()
    #expect(throws: StoreError.closed) { _ = try store.join(cursor).blockingNext() }
  }

  @Test("a batch from before a partition was another's is refused, also when it is back")
  func terms() throws {
    let scratch = ScratchDirectory()
    let (store, stream) = try stream(1, in: scratch)
    let cursor = try EventCursor("count", of: stream)
    for _ in 0..<10 { try store.blocking.append(NewEvent("x"), to: stream) }
    let first = store.join(cursor)
    #expect(try first.blockingNext()?.count == 10)
    var late = Store.Batch()
    late.move(first, behind: EventPosition(partition: 0, offset: 4))
    first.leave()
    let second = store.join(cursor)
    #expect(try second.blockingNext()?.count == 10)
    try store.blocking.write { batch in
      batch.move(second, behind: EventPosition(partition: 0, offset: 9))
    }
    #expect(throws: StoreError.self) { try store.blocking.commit(&late) }
    // The same member, with another one in between.
    var stale = Store.Batch()
    stale.move(second, behind: EventPosition(partition: 0, offset: 2))
    var shares = GroupShares(partitionCount: 2)
    shares.join(1)
    _ = shares.settle(1)
    let old = shares.term(of: 1, 1)
    shares.join(2)
    _ = shares.settle(1)
    let taken = shares.settle(2).partitions
    shares.leave(2)
    let back = shares.settle(1).partitions
    #expect(taken == [1] && back == [0, 1] && old != nil)
    let isStale = shares.beginCommit(1, [1: old])
    let isFresh = shares.beginCommit(1, [1: shares.term(of: 1, 1)])
    #expect(!isStale && isFresh)
    try store.blocking.commit(&stale)
    #expect(try store.blocking.offsets(of: cursor) == [0: 3])
    second.leave()
    try store.blocking.close()
  }

  @Test("what nobody reads goes to a newcomer, whoever else has stopped asking")
  func newcomer() {
    var shares = GroupShares(partitionCount: 2)
    shares.join(1)
    shares.join(2)
    let first = shares.settle(1).partitions
    let second = shares.settle(2).partitions
    // 2 does not ask any more.
    shares.leave(1)
    shares.join(3)
    let third = shares.settle(3).partitions
    #expect(first == [0] && second == [1] && third == [0])
  }

  @Test("threads that join, fail, leave and join again count each event once")
  func threads() throws {
    let scratch = ScratchDirectory()
    let (store, stream) = try stream(7, in: scratch)
    let cursor = try EventCursor("count", of: stream)
    let total = 3_000
    let failures = Failures()
    DispatchQueue.concurrentPerform(iterations: 6) { thread in
      let random = SeededRandom(seed: UInt64(thread))
      do {
        if thread == 0 {
          for number in 0..<total {
            try store.blocking.append(NewEvent("x", key: Bytes("\(number % 50)")), to: stream)
          }
          return
        }
        while try store.blocking.get("count")?.text.flatMap({ Int($0) }) ?? 0 < total {
          let member = store.join(cursor)
          for _ in 0..<random.next() % 6 {
            guard let events = try member.blockingNext(waitingAtMost: .milliseconds(5)) else {
              break
            }
            // Some batches come to nothing, and their reader leaves.
            if events.isEmpty { continue }
            if random.next() % 8 == 0 { break }
            try count(events, by: member, in: store)
          }
        }
      } catch { failures.add("\(error)") }
    }
    #expect(failures.all == [])
    #expect(try store.blocking.lag(of: cursor).allSatisfy { $0 == 0 })
    #expect(try store.blocking.get("count") == Bytes("\(total)"))
    try store.blocking.close()
  }

  /// Notes each event under a key of its own, which must not be there yet.
  private func count(_ events: [Event], by member: GroupMember, in store: Store) throws {
    var batch = Store.Batch()
    for event in events {
      let key = Bytes("seen \(event.position.partition)/\(event.position.offset)")
      if try store.blocking.contains(key) { throw Disagreement(description: "twice: \(key)") }
      batch.put(key, "")
      batch.move(member, behind: event.position)
    }
    try store.blocking.commit(batch)
    Self.counting.lock()
    defer { Self.counting.unlock() }
    let before = try store.blocking.get("count")?.text.flatMap { Int($0) } ?? 0
    try store.blocking.put("count", Bytes("\(before + events.count)"))
  }

  private static let counting = NSLock()

  /// Safe to share: the lock guards the texts.
  private final class Failures: @unchecked Sendable {
    private let lock = NSLock()
    private var texts: [String] = []

    func add(_ text: String) { lock.withLock { texts.append(text) } }

    var all: [String] { lock.withLock { texts } }
  }

  /// It gave a partition up before it read where the cursor stands, and may have that back later.
  @Test("a member that could not read the cursor once gives out no event of another's")
  func unreadableCursor() throws {
    let machine = SimulatedMachine(seed: 3)
    var options = Store.Options(shardCount: 1)
    options.memoryBudgetByteCount = 1 << 20
    let store = try machine.open(options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    let cursor = try EventCursor("count", of: stream)
    var counts: [EventPosition: Int] = [:]
    func count(_ events: [Event], by member: GroupMember) throws {
      var batch = Store.Batch()
      for event in events {
        counts[event.position, default: 0] += 1
        batch.move(member, behind: event.position)
      }
      try store.blocking.commit(batch)
    }
    func fill() throws {
      for number in 0..<6 {
        try store.blocking.append(NewEvent("x"), to: stream, partition: number % 2)
      }
    }
    try fill()
    let first = store.join(cursor)
    try count(try #require(try first.blockingNext()), by: first)
    try fill()
    let second = store.join(cursor)
    // Where the cursor stands lies in a file, which cannot be read once.
    try store.blocking.flush()
    machine.disk.faultPlan = { operation, _ in
      if case .read = operation.kind, operation.path.hasPrefix("shards/") { return .error(5) }
      return nil
    }
    #expect(throws: StoreError.self) { try first.blockingNext(waitingAtMost: .zero) }
    machine.disk.faultPlan = nil
    let taken = try #require(try second.blockingNext(waitingAtMost: .zero))
    #expect(taken.count == 3)
    try count(taken, by: second)
    second.leave()
    while let events = try first.blockingNext(waitingAtMost: .zero), !events.isEmpty {
      try count(events, by: first)
    }
    #expect(counts.count == 12)
    #expect(counts.values.allSatisfy { $0 == 1 }, "\(counts.filter { $0.value > 1 })")
    first.leave()
    try store.blocking.close()
  }

  @Test("tasks share a stream; one that is cancelled gives its partitions to the others")
  func tasks() async throws {
    let scratch = ScratchDirectory()
    let (store, stream) = try stream(4, in: scratch)
    let cursor = try EventCursor("count", of: stream)
    @Sendable func consume() async throws {
      let member = store.join(cursor)
      for try await events in member {
        var batch = Store.Batch()
        for event in events {
          batch.put(Bytes("seen \(event.value.text ?? "")"), "")
          batch.move(member, behind: event.position)
        }
        try await store.commit(batch)
      }
    }
    var consumers = (0..<4).map { _ in Task { try await consume() } }
    for number in 0..<400 {
      try await store.append(NewEvent(Bytes("\(number)")), to: stream)
      if number % 100 == 50 {
        // Idle or busy: it wakes, and the others have what it had.
        let gone = consumers.removeFirst()
        gone.cancel()
        await #expect(throws: StoreError.cancelled) { try await gone.value }
        if number < 300 { consumers.append(Task { try await consume() }) }
      }
    }
    while try store.blocking.lag(of: cursor) != [0, 0, 0, 0] {
      try await Task.sleep(for: .milliseconds(2))
    }
    for number in 0..<400 {
      #expect(try await store.get(Bytes("seen \(number)")) != nil)
    }
    for consumer in consumers { consumer.cancel() }
    for consumer in consumers {
      await #expect(throws: StoreError.cancelled) { try await consumer.value }
    }
    try await store.close()
  }
}
