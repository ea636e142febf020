// Workload — what the writers do to a store until somebody stops them.
//
// Room:    Tools/Torture. Contents.swift states what a store must hold after it, in other words.
// Limits:  Lanes 0 and 1 are threads, lanes 2 and 3 are tasks; lane 0 also syncs, flushes, compacts
//          and lets shards come and go.

import Synchronization
import Turbidite

/// Several writers of one store, each with a counter of its own that it reads from the store.
///
/// Batch `n` of a lane puts the counter, five keys of its own, one key of forty and one of fifty,
/// and one key in a second keyspace; it deletes what batch `n - window` put, by keys or by a range,
/// and now and then a range of everything it may have put before. What the store holds follows from
/// the last batch of each lane alone.
///
/// Beside the counter stand the batches that the other lanes had been acknowledged before this one
/// was begun: a store that holds the batch must hold those too.
package struct Workload: Sendable {
  package static let laneCount = 4
  /// How many batches a lane's own keys live.
  static let window = 60
  static let sharedKeyCount = 40
  /// The keys behind `w`, all deleted as a range before each batch whose number this divides.
  static let sweptKeyCount = 50
  static let sweepInterval = 200
  static let twinName = "twin"
  static let twinKeyCount = 16
  static let twinSweepInterval = 64

  let store: Store
  let twin: Keyspace
  let seed: UInt64
  let observed: Observed
  let say: @Sendable (Acknowledgement) -> Void

  /// The last acknowledged batch of each lane.
  final class Observed: Sendable {
    private let batches = Mutex([Int](repeating: 0, count: Workload.laneCount))

    var list: [Int] { batches.withLock { $0 } }

    func note(_ batch: Int, of lane: Int) { batches.withLock { $0[lane] = batch } }
  }

  /// Small sizes, so that a second's writing rotates, flushes and compacts.
  ///
  /// Whatever shards it has: they come and go.
  package static var options: Store.Options {
    var options = Store.Options()
    options.memtableByteCount = 16 << 10
    options.tableByteCount = 16 << 10
    options.blockByteCount = 512
    options.logByteCount = 256 << 10
    options.memoryBudgetByteCount = 4 << 20
    return options
  }

  /// Prepares to write to `store`; `say` is called after each commit that has returned.
  package init(
    _ store: Store, seed: UInt64, say: @escaping @Sendable (Acknowledgement) -> Void
  ) throws(StoreError) {
    self.store = store
    self.seed = seed
    self.say = say
    twin = try store.blocking.createKeyspace(Self.twinName)
    observed = Observed()
    for lane in 0..<Self.laneCount {
      let counter = try Counter(store.blocking.get(Counter.key(lane)))
      observed.note(counter.batch, of: lane)
    }
  }

  /// Commits `limit` batches of a lane on the calling thread, with the store's upkeep in lane 0.
  package func runBlocking(lane: Int, limit: Int = .max) throws(StoreError) {
    var batch = observed.list[lane]
    let end = limit == .max ? Int.max : batch + limit
    while batch < end {
      batch += 1
      let chance = draw(lane, batch)
      let isSynced = chance % (lane == 0 ? 16 : 48) == 0
      try store.blocking.commit(
        changes(lane, batch), durability: isSynced ? .synced : .buffered)
      acknowledge(lane, batch, isSynced)
      if lane == 0 { try upkeep(chance >> 8) }
    }
  }

  /// Commits batches of a lane as a task.
  package func runSuspending(lane: Int) async throws(StoreError) {
    var batch = observed.list[lane]
    while true {
      batch += 1
      let isSynced = draw(lane, batch) % 4 == 0
      try await store.commit(
        changes(lane, batch), durability: isSynced ? .synced : .buffered)
      acknowledge(lane, batch, isSynced)
    }
  }

  /// Says that everything up to now is durable, when `work` has made it so.
  package func cover(_ work: () throws(StoreError) -> Void) throws(StoreError) {
    let before = observed.list
    try work()
    for (lane, batch) in before.enumerated() {
      say(Acknowledgement(.covered, lane: lane, number: batch))
    }
  }

  private func upkeep(_ chance: UInt64) throws(StoreError) {
    if chance % 53 == 0 { try cover { () throws(StoreError) in try store.blocking.sync() } }
    if chance >> 8 % 97 == 0 { try cover { () throws(StoreError) in try store.blocking.flush() } }
    if chance >> 16 % 211 == 0 {
      // A snapshot that is held makes the compaction keep old versions.
      let snapshot = store.snapshot()
      try store.blocking.compact()
      _ = snapshot.sequence
    }
    if chance >> 24 % 131 == 0 { try Self.reshard(store, chance >> 32) }
  }

  /// Lets a shard come or go, so that there are one to five.
  static func reshard(_ store: Store, _ chance: UInt64) throws(StoreError) {
    let members = try store.blocking.statistics().shards.filter { $0.slotCount > 0 }.map(\.shard)
    let index = Int(chance >> 8 % UInt64(members.count))
    switch chance % 8 {
    case 0: try store.blocking.reshard(.rebalance)
    case 1..<5 where members.count < 5, _ where members.count == 1:
      try store.blocking.reshard(.add)
    default: try store.blocking.reshard(.remove(members[index]))
    }
  }

  private func acknowledge(_ lane: Int, _ batch: Int, _ isSynced: Bool) {
    // The others may build on this batch only when the ledger knows of it.
    say(Acknowledgement(isSynced ? .synced : .buffered, lane: lane, number: batch))
    observed.note(batch, of: lane)
  }

  /// Chance that need not be the same at the next run: it decides how a batch is written, not what.
  private func draw(_ lane: Int, _ batch: Int) -> UInt64 {
    var bits = (seed &+ UInt64(batch) &* 0x9e37_79b9_7f4a_7c15) ^ UInt64(lane) << 32
    bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
    return bits ^ bits >> 31
  }

  private func changes(_ lane: Int, _ batch: Int) -> Store.Batch {
    var changes = Store.Batch()
    changes.put(
      Counter.key(lane), Counter(batch: batch, observed: observed.list).value)
    let old = batch - Self.window
    if old > 0, old % 3 == 0 {
      changes.deleteRange(.prefix(Bytes("\(lane)/b/\(Key.padded(old))/")))
    }
    for part in 0..<Key.partCount {
      changes.put(Key.own(lane, batch, part), Key.filler(batch, part))
      if old > 0, old % 3 != 0 { changes.delete(Key.own(lane, old, part)) }
    }
    changes.put(Bytes("\(lane)/k/\(batch * batch % Self.sharedKeyCount)"), Bytes("\(batch)"))
    if batch % Self.sweepInterval == 0 { changes.deleteRange(.prefix(Bytes("\(lane)/w/"))) }
    changes.put(Bytes("\(lane)/w/\(batch % Self.sweptKeyCount)"), Bytes("\(batch)"))
    if batch % Self.twinSweepInterval == 0 {
      changes.deleteRange(.prefix(Bytes("\(lane)/t/")), in: twin)
    }
    changes.put(Bytes("\(lane)/t/\(batch % Self.twinKeyCount)"), Bytes("\(batch)"), in: twin)
    return changes
  }
}
