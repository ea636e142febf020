// EventCursorTests — a consumer that is killed at any moment counts each event once.

import Foundation
import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("Cursors of streams")
struct EventCursorTests {
  @Test("a cursor is where it was moved to, in the partitions in which it was moved")
  func places() throws {
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open(Store.Options(shardCount: 3))
    let stream = try store.blocking.createStream("clicks", partitionCount: 300)
    let cursor = try EventCursor("billing", of: stream)
    #expect(try store.blocking.offsets(of: cursor) == [:])
    #expect(try store.blocking.cursors(of: stream).isEmpty)
    // Names that begin alike, and one whose last bytes could be a partition's number.
    let others = try ["b", "billing2", "billing\u{0}\u{0}\u{0}\u{1}", "ü", "z"].map {
      try EventCursor($0, of: stream)
    }
    for partition in 0..<300 {
      try store.blocking.append(NewEvent("x"), to: stream, partition: partition)
    }
    try store.blocking.write { batch in
      batch.move(cursor, behind: EventPosition(partition: 0, offset: 0))
      batch.move(cursor, to: EventPosition(partition: 256, offset: 1 << 40))
      for other in others { batch.move(other, to: EventPosition(partition: 1, offset: 7)) }
    }
    try store.blocking.flush()
    #expect(try store.blocking.offsets(of: cursor) == [0: 1, 256: 1 << 40])
    for other in others { #expect(try store.blocking.offsets(of: other) == [1: 7]) }
    let names = (others.map(\.name) + ["billing"]).sorted()
    #expect(try store.blocking.cursors(of: stream).map(\.name) == names)
    let lag = try store.blocking.lag(of: cursor)
    #expect(lag.count == 300)
    #expect(lag[0] == 0 && lag[256] == 0 && lag[1] == 1)
    // Events and cursors do not meet.
    #expect(try store.blocking.offsets(of: stream, partition: 299) == 0..<1)
    try store.blocking.write { batch in batch.remove(cursor) }
    #expect(try store.blocking.offsets(of: cursor) == [:])
    #expect(try store.blocking.cursors(of: stream).count == others.count)
    try store.blocking.close()
  }

  @Test("what is no place and no name is refused")
  func refusals() throws {
    let store = try SimulatedMachine(seed: 2).open()
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    #expect(throws: StoreError.self) { _ = try EventCursor("", of: stream) }
    let long = String(repeating: "x", count: 256)
    #expect(throws: StoreError.self) { _ = try EventCursor(long, of: stream) }
    let cursor = try EventCursor("billing", of: stream)
    for partition in [-1, 2] {
      #expect(throws: StoreError.self) {
        try store.blocking.write { batch in
          batch.move(cursor, to: EventPosition(partition: partition, offset: 0))
        }
      }
    }
    #expect(throws: StoreError.self) {
      try store.blocking.write { batch in
        batch.move(cursor, behind: EventPosition(partition: 0, offset: .max))
      }
    }
    try store.blocking.close()
  }

  @Test(
    "a consumer that is killed or loses power at any moment counts each event once",
    arguments: 0..<6)
  func exactlyOnce(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
    var options = Store.Options(shardCount: 1 + draw(4))
    options.memtableByteCount = 8 << 10
    var machine = SimulatedMachine(seed: seed)
    var store = try machine.open(options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 3)
    let keys = (0..<20).map { Bytes("user \($0)") }
    for number in 0..<600 {
      try store.blocking.append(NewEvent(Bytes("\(number)"), key: keys[number % 20]), to: stream)
    }
    try store.blocking.sync()
    var crashes = 0
    consuming: while true {
      let stream = try store.blocking.stream("clicks")
      let cursor = try EventCursor("count", of: stream)
      let tail = store.blocking.tail(
        stream, from: .offsets(try store.blocking.offsets(of: cursor)))
      while true {
        let events = try tail.next(waitingAtMost: .zero)
        if events.isEmpty { break consuming }
        // Some of a batch at a time, as a consumer may.
        for part in events.chunked(1 + draw(40)) {
          var batch = Store.Batch()
          var counts: [Bytes: Int] = [:]
          for event in part {
            counts[try #require(event.key), default: 0] += 1
            batch.move(cursor, behind: event.position)
          }
          for (key, count) in counts {
            let before = try store.blocking.get(key)?.text.flatMap { Int($0) } ?? 0
            batch.put(key, Bytes("\(before + count)"))
          }
          try store.blocking.commit(batch, durability: draw(3) == 0 ? .synced : .buffered)
          guard draw(6) == 0, crashes < 40 else { continue }
          crashes += 1
          store.engine.abandon()
          let survival: Survival = draw(2) == 0 ? .processKill : .random(random.next())
          machine = machine.crashed(survival)
          store = try machine.open(options, mode: .existing)
          continue consuming
        }
      }
    }
    #expect(crashes > 3)
    for key in keys { #expect(try store.blocking.get(key) == "30") }
    let cursor = try EventCursor("count", of: try store.blocking.stream("clicks"))
    #expect(try store.blocking.lag(of: cursor) == [0, 0, 0])
    try store.blocking.close()
  }

  @Test(
    "of a stream that is gone no cursor moves, no producer is removed, and nothing beside it lands")
  func dropped() throws {
    let store = try SimulatedMachine(seed: 3).open()
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    let cursor = try EventCursor("reader", of: stream)
    let producer = try EventProducer("web", of: stream)
    try store.blocking.append(NewEvent("x"), to: stream)
    try store.blocking.dropStream("clicks")
    _ = try store.blocking.createStream("clicks", partitionCount: 1)
    let gone = StoreError.notFound("stream clicks")
    #expect(throws: gone) {
      try store.blocking.write { batch in
        batch.put("beside it", "1")
        batch.move(cursor, behind: EventPosition(partition: 0, offset: 0))
      }
    }
    #expect(throws: gone) { try store.blocking.write { $0.remove(cursor) } }
    #expect(throws: gone) { try store.blocking.write { $0.remove(producer) } }
    #expect(try store.blocking.get("beside it") == nil)
    try store.blocking.close()
  }
}

extension Array {
  fileprivate func chunked(_ count: Int) -> [ArraySlice<Element>] {
    stride(from: 0, to: self.count, by: count).map { self[$0..<Swift.min($0 + count, self.count)] }
  }
}
