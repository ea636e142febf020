// SyncGatheringTests — how long a sync waits, and for whom.

import Synchronization
import Testing
import TurbiditeSystem

@testable import TurbiditeEngine

@Suite("Sync gathering")
struct SyncGatheringTests {
  /// Each look at it takes so long.
  private final class TickingClock: TimeSource {
    private let now = Atomic<UInt64>(1_000_000)
    let tick: UInt64
    let lookCount = Atomic<Int>(0)

    init(tick: UInt64) { self.tick = tick }

    func monotonicNanoseconds() -> UInt64 {
      lookCount.add(1, ordering: .relaxed)
      return now.add(tick, ordering: .relaxed).oldValue
    }

    func wallMicroseconds() -> UInt64 { 0 }
    func sleep(nanoseconds: UInt64) {}

    var looks: Int { lookCount.exchange(0, ordering: .relaxed) }
  }

  private static func add(_ count: Int, to queue: CommitQueue, isSynced: Bool = true) {
    for _ in 0..<count {
      _ = queue.enqueue(
        PendingCommit(
          batch: EncodedBatch(), isSynced: isSynced, waiter: .thread(CommitTicket())))
    }
  }

  @Test("commits that ask for a sync are counted while they are in line")
  func counted() {
    let queue = CommitQueue()
    Self.add(3, to: queue)
    Self.add(2, to: queue, isSynced: false)
    #expect(queue.syncedCount == 3)
    #expect(queue.takeGroup().count == 5)
    #expect(queue.syncedCount == 0)
  }

  @Test("who is expected and comes is waited for")
  func come() throws {
    for _ in 0..<10 {
      let (queue, gathering) = (CommitQueue(), SyncGathering())
      let clock = TickingClock(tick: 1)
      gathering.note(8, from: 0, to: 1_000_000)
      Self.add(2, to: queue)
      let others = try SystemThread(name: "others") { Self.add(6, to: queue) }
      gathering.wait(for: queue, clock)
      #expect(queue.syncedCount == 8 || clock.looks >= 1_000, "all, or so many looks")
      others.join()
    }
  }

  @Test("a sync waits for half of a sync's time, and where nobody comes ever less often")
  func nobody() {
    let (queue, gathering) = (CommitQueue(), SyncGathering())
    let clock = TickingClock(tick: 10)
    Self.add(2, to: queue)
    func looks() -> Int {
      gathering.note(8, from: 0, to: clock.monotonicNanoseconds())
      _ = clock.looks
      gathering.wait(for: queue, clock)
      return clock.looks
    }
    gathering.note(8, from: 999_000, to: 1_000_000)
    gathering.wait(for: queue, clock)
    #expect(40...60 ~= clock.looks, "half of 1,000 ns, at 10 ns a look")
    for passCount in [1, 2, 4, 8, 16, 32, 64, 64] {
      for _ in 0..<passCount { #expect(looks() == 0) }
      #expect(looks() > 1, "after \(passCount)")
    }
  }

  @Test("nothing waits long after a sync, for nobody, or on a clock that stands or goes back")
  func bounded() {
    let (queue, gathering) = (CommitQueue(), SyncGathering())
    let standing = TickingClock(tick: 0)
    #expect(!gathering.isOpen(standing), "there was no sync yet")
    gathering.note(1, from: 0, to: 1_000_000)
    #expect(!gathering.isOpen(standing), "the only one was told")
    gathering.note(8, from: 0, to: 1_000_000)
    #expect(gathering.isOpen(standing))
    Self.add(1, to: queue)
    gathering.wait(for: queue, standing)
    #expect(standing.looks <= 1_010)
    gathering.note(8, from: 0, to: 2_000_000)
    #expect(!gathering.isOpen(standing), "the clock went back")
    gathering.note(8, from: 400_000, to: 500_000)
    #expect(!gathering.isOpen(standing), "that was long ago")
  }
}
