// StreamWorkload — producers and consumers of one stream, until somebody stops them.
//
// Room:    Tools/Torture. StreamProof.swift says what a store must hold after it.
// Limits:  Producer 0 is a thread, which flushes and compacts and lets shards come and go as well,
//          producer 1 a task; the consumers are threads.

import Foundation
import Turbidite

/// Two producers append to a stream, each what it is not sure of again, and two members of a group
/// count the events of each key in the commit that moves their cursor.
struct StreamWorkload: Sendable {
  static let streamName = "events"
  static let partitionCount = 5
  static let keyCount = 23
  static let producerNames = ["thread", "task"]
  static let cursorName = "counter"
  static let consumerCount = 2

  private let store: Store
  private let stream: EventStream
  private let seed: UInt64
  private let say: @Sendable (Acknowledgement) -> Void

  init(
    _ store: Store, seed: UInt64, say: @escaping @Sendable (Acknowledgement) -> Void
  ) throws(StoreError) {
    self.store = store
    self.seed = seed
    self.say = say
    stream = try store.blocking.createStream(
      Self.streamName, partitionCount: Self.partitionCount)
  }

  static func key(_ number: Int) -> Bytes { Bytes("key \(number % keyCount)") }

  static func countKey(_ key: Bytes) -> Bytes { Bytes("count \(key)") }

  /// The events of a producer, by its numbers.
  static func events(_ numbers: Range<Int>, of producer: Int) -> [NewEvent] {
    numbers.map { NewEvent(Bytes("\(producer)/\($0)"), key: key($0)) }
  }

  private func draw(_ lane: Int, _ number: Int, _ bound: Int) -> Int {
    var bits = (seed &+ UInt64(number) &* 0x9e37_79b9_7f4a_7c15) ^ UInt64(lane) << 40
    bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
    return Int((bits ^ bits >> 31) % UInt64(bound))
  }

  /// Which numbers producer `lane` appends next, when its next one is `next`: some again, now and
  /// then nothing new.
  private func range(_ lane: Int, _ turn: Int, next: Int) -> Range<Int> {
    let from = max(0, next - draw(lane, turn, 3) * draw(lane, turn + 1, 6))
    return from..<from + 1 + draw(lane, turn + 2, 12)
  }

  func produceBlocking() throws(StoreError) -> Never {
    let producer = try EventProducer(Self.producerNames[0], of: stream)
    var next = Int(try store.blocking.nextNumber(of: producer))
    var turn = 0
    while true {
      turn += 1
      let numbers = range(0, turn, next: next)
      let isSynced = turn % 16 == 0
      try store.blocking.append(
        contentsOf: Self.events(numbers, of: 0), by: producer, from: UInt64(numbers.lowerBound),
        durability: isSynced ? .synced : .buffered)
      next = max(next, numbers.upperBound)
      say(Acknowledgement(isSynced ? .synced : .buffered, lane: 0, number: next))
      if turn % 90 == 0 { try store.blocking.flush() }
      if turn % 400 == 0 { try store.blocking.compact() }
      if turn % 150 == 0 { try Workload.reshard(store, UInt64(draw(6, turn, 1 << 30))) }
    }
  }

  func produceSuspending() async throws(StoreError) -> Never {
    let producer = try EventProducer(Self.producerNames[1], of: stream)
    var next = Int(try store.blocking.nextNumber(of: producer))
    var turn = 0
    while true {
      turn += 1
      let numbers = range(1, turn, next: next)
      try await store.append(
        contentsOf: Self.events(numbers, of: 1), by: producer, from: UInt64(numbers.lowerBound))
      next = max(next, numbers.upperBound)
      say(Acknowledgement(.buffered, lane: 1, number: next))
    }
  }

  func consume(_ consumer: Int) throws(StoreError) -> Never {
    let cursor = try EventCursor(Self.cursorName, of: stream)
    var turn = 0
    while true {
      let member = store.join(cursor)
      for _ in 0..<1 + draw(2 + consumer, turn, 20) {
        turn += 1
        guard let events = try member.blockingNext(waitingAtMost: .milliseconds(5)) else { break }
        if events.isEmpty { continue }
        let taken = events.prefix(draw(4 + consumer, turn, 4) == 0 ? events.count / 2 : .max)
        try count(taken, as: member)
        // The walk goes on behind the batch: what it has not counted another is to count.
        if taken.count < events.count { break }
      }
      member.leave()
    }
  }

  private func count(_ events: ArraySlice<Event>, as member: GroupMember) throws(StoreError) {
    var counts: [Bytes: Int] = [:]
    var batch = Store.Batch()
    for event in events {
      counts[event.key ?? "", default: 0] += 1
      batch.move(member, behind: event.position)
    }
    for (key, count) in counts {
      // A key's events lie in one partition, and that is this member's now.
      let key = Self.countKey(key)
      let before = try store.blocking.get(key)?.text.flatMap { Int($0) } ?? 0
      batch.put(key, Bytes("\(before + count)"))
    }
    try store.blocking.commit(batch)
  }
}
