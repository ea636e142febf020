// CommitQueueTests — who leads, in which order commits are taken, and what their threads get back.

import Testing
import TurbiditeSystem

@testable import TurbiditeEngine

@Suite("Commit queue")
struct CommitQueueTests {
  private static func batch(_ number: Int) -> EncodedBatch {
    var batch = EncodedBatch()
    let key = [UInt8("\(number)".utf8.first ?? 0)]
    #expect(batch.put(keyspace: 0, key: key.span.bytes, value: key.span.bytes) == nil)
    return batch
  }

  private static func commit(_ number: Int, _ ticket: CommitTicket) -> PendingCommit {
    PendingCommit(batch: batch(number), isSynced: false, waiter: .thread(ticket))
  }

  /// The ticket that is told, and what.
  private static func handOver(
    _ queue: CommitQueue
  ) -> (ticket: CommitTicket, outcome: CommitTicket.Outcome)? {
    guard let (waiter, outcome) = queue.handOver(), case .thread(let ticket) = waiter else {
      return nil
    }
    return (ticket, outcome)
  }

  @Test("whoever comes first leads, for those in line before as well, in their order")
  func newcomer() throws {
    let queue = CommitQueue()
    #expect(queue.tryLead())
    let tickets = (0..<3).map { _ in CommitTicket() }
    #expect(!queue.enqueue(Self.commit(0, tickets[0])))
    #expect(!queue.enqueue(Self.commit(1, tickets[1])))
    let (called, outcome) = try #require(Self.handOver(queue))
    guard case .mayLead = outcome, called === tickets[0] else {
      Issue.record("not the first in line")
      return
    }
    // It is still waking up. Who writes without a place in line may not pass those who have one.
    #expect(!queue.tryLead())
    #expect(!queue.tryLead(tickets[1]))
    #expect(queue.enqueue(Self.commit(2, tickets[2])))
    #expect(!queue.tryLead(tickets[0]), "another one leads")
    #expect(queue.takeGroup().map { $0.batch?.bytes } == (0..<3).map { Self.batch($0).bytes })
    #expect(Self.handOver(queue) == nil)
    #expect(!queue.tryLead(tickets[0]), "its commit is no longer in line")
    #expect(queue.tryLead())
  }

  @Test("who waits for the token gets it from the thread that has it, and passes nobody in line")
  func patience() throws {
    let queue = CommitQueue()
    #expect(queue.tryLead())
    #expect(!queue.tryLead(yields: 3))
    let thread = try SystemThread(name: "leader") {
      for _ in 0..<100 { yieldProcessor() }
      _ = queue.handOver()
    }
    #expect(queue.tryLead(yields: 100_000_000))
    thread.join()
    #expect(!queue.enqueue(Self.commit(0, CommitTicket())))
    #expect(Self.handOver(queue) != nil)
    #expect(!queue.tryLead(yields: 3))
  }

  @Test("the first in line leads when nobody was faster")
  func called() throws {
    let queue = CommitQueue()
    #expect(queue.tryLead())
    let ticket = CommitTicket()
    #expect(!queue.enqueue(Self.commit(0, ticket)))
    let (first, outcome) = try #require(Self.handOver(queue))
    first.call(outcome)
    guard case .mayLead = ticket.wait(isLong: false) else {
      Issue.record("not called")
      return
    }
    #expect(queue.tryLead(ticket))
    #expect(queue.takeGroup().count == 1)
  }

  @Test("who asks for the leadership alone gets it in its turn, and nobody passes")
  func exclusive() throws {
    let queue = CommitQueue()
    #expect(queue.tryLead())
    let (alone, behind) = (CommitTicket(), CommitTicket())
    #expect(
      !queue.enqueue(PendingCommit(batch: nil, isSynced: false, waiter: .thread(alone))))
    #expect(!queue.enqueue(Self.commit(0, behind)))
    #expect(queue.takeGroup().isEmpty)
    let (ticket, outcome) = try #require(Self.handOver(queue))
    guard case .leads = outcome, ticket === alone else {
      Issue.record("the token went elsewhere")
      return
    }
    #expect(!queue.tryLead())
    #expect(!queue.tryLead(behind))
  }

  @Test("a commit that is done stays done, and its thread has the batch back")
  func done() {
    let ticket = CommitTicket()
    var commit = Self.commit(7, ticket)
    var calls = DueCalls()
    commit.resolve(.readOnly, &calls)
    #expect(commit.batch == nil, "what its thread appends would be copied")
    // The leader before was slower to call than the next one to write.
    ticket.call(.mayLead)
    guard case .done(.readOnly?) = ticket.wait(isLong: true) else {
      Issue.record("not done")
      return
    }
    #expect(ticket.takeBatch()?.bytes == Self.batch(7).bytes)
    #expect(ticket.takeBatch() == nil)
  }
}
