// EventProducerTests — an append that is repeated is stored once, whatever happened to the first.

import Foundation
import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("Producers of streams")
struct EventProducerTests {
  private static func events(_ numbers: Range<Int>) -> [NewEvent] {
    numbers.map { NewEvent(Bytes("\($0)"), key: Bytes("key \($0 % 5)")) }
  }

  @Test("repeats are left out, in whole and in part, and gaps are refused")
  func repeats() throws {
    let machine = SimulatedMachine(seed: 1)
    var store = try machine.open(Store.Options(shardCount: 3))
    var stream = try store.blocking.createStream("clicks", partitionCount: 4)
    var web = try EventProducer("web", of: stream)
    #expect(try store.blocking.nextNumber(of: web) == 0)
    #expect(try store.blocking.producers(of: stream).isEmpty)
    let first = try store.blocking.append(
      contentsOf: Self.events(0..<5), by: web, from: 0, durability: .synced)
    #expect(first.repeatedCount == 0 && first.positions.count == 5)
    for durability in [Durability.buffered, .synced] {
      #expect(
        try store.blocking.append(
          contentsOf: Self.events(0..<5), by: web, from: 0, durability: durability)
          == ProducedEvents(repeatedCount: 5, positions: []))
    }
    let second = try store.blocking.append(contentsOf: Self.events(3..<8), by: web, from: 3)
    #expect(second.repeatedCount == 2 && second.positions.count == 3)
    #expect(throws: StoreError.outOfSequence(producer: "web", number: 9, expected: 8)) {
      try store.blocking.append(contentsOf: Self.events(9..<12), by: web, from: 9)
    }
    #expect(
      try store.blocking.append(contentsOf: [], by: web, from: 70)
        == ProducedEvents(repeatedCount: 0, positions: []))
    // Another producer counts for itself, under a name of eight bytes as under any.
    let other = try EventProducer("web\u{0}\u{0}\u{0}\u{0}\u{1}", of: stream)
    try store.blocking.append(contentsOf: Self.events(0..<2), by: other, from: 0)
    try store.blocking.flush()
    try store.blocking.compact()
    try store.blocking.close()

    store = try machine.open(mode: .existing)
    stream = try store.blocking.stream("clicks")
    #expect(try store.blocking.producers(of: stream).map(\.name) == ["web", other.name])
    web = try EventProducer("web", of: stream)
    #expect(try store.blocking.nextNumber(of: web) == 8)
    let again = try store.blocking.append(contentsOf: Self.events(0..<9), by: web, from: 0)
    #expect(again.repeatedCount == 8 && again.positions.count == 1)
    var count: UInt64 = 0
    for partition in 0..<4 {
      count += try store.blocking.offsets(of: stream, partition: partition).upperBound
    }
    #expect(count == 11)
    try store.blocking.close()
  }

  @Test("what stands in a batch beside a producer's events shares their fate")
  func batches() throws {
    let store = try SimulatedMachine(seed: 2).open()
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    let web = try EventProducer("web", of: stream)
    func commit(_ numbers: Range<UInt64>, _ value: Bytes) throws -> [EventPosition] {
      var batch = Store.Batch()
      batch.put("key", value)
      for number in numbers { batch.append(NewEvent("x"), by: web, number: number) }
      return try store.blocking.commit(batch)
    }
    #expect(try commit(0..<3, "first").map(\.offset) == [0, 1, 2])
    #expect(try commit(0..<3, "repeated").isEmpty)
    #expect(try commit(1..<2, "part of it").isEmpty)
    #expect(throws: StoreError.outOfSequence(producer: "web", number: 2, expected: 3)) {
      _ = try commit(2..<5, "overlapping")
    }
    #expect(try store.blocking.get("key") == "first")
    // One producer a batch, and its numbers follow each other.
    let other = try EventProducer("other", of: stream)
    for (producer, number) in [(other, UInt64(0)), (web, 5), (web, 3)] {
      #expect(throws: StoreError.self) {
        try store.blocking.write { batch in
          batch.append(NewEvent("x"), by: web, number: 3)
          batch.append(NewEvent("x"), by: producer, number: number)
        }
      }
    }
    #expect(throws: StoreError.self) {
      try store.blocking.write { batch in
        batch.append(NewEvent("x"), by: web, number: 3)
        batch.remove(web)
      }
    }
    #expect(throws: StoreError.self) {
      try store.blocking.append(contentsOf: [NewEvent("x")], by: web, from: .max)
    }
    for name in ["", String(repeating: "x", count: 256)] {
      #expect(throws: StoreError.self) { _ = try EventProducer(name, of: stream) }
    }
    #expect(try store.blocking.nextNumber(of: web) == 3)
    // One that is forgotten begins anew, and so does one of a stream that was made again.
    try store.blocking.write { batch in batch.remove(web) }
    #expect(try store.blocking.nextNumber(of: web) == 0)
    #expect(try commit(0..<1, "again").map(\.offset) == [3])
    try store.blocking.dropStream("clicks")
    #expect(throws: StoreError.self) { _ = try commit(1..<2, "gone") }
    let anew = try store.blocking.createStream("clicks", partitionCount: 1)
    let producer = try EventProducer("web", of: anew)
    #expect(
      try store.blocking.append(contentsOf: [NewEvent("x")], by: producer, from: 0)
        .positions.map(\.offset) == [0])
    try store.blocking.close()
  }

  @Test("who appends to a stream that is dropped meanwhile is told so")
  func dropped() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(at: scratch.file("store"))
    _ = try store.blocking.createStream("clicks", partitionCount: 1)
    DispatchQueue.concurrentPerform(iterations: 5) { thread in
      for turn in 0..<150 {
        do throws(StoreError) {
          if thread == 0 {
            try store.blocking.dropStream("clicks")
            _ = try store.blocking.createStream("clicks", partitionCount: 1)
            continue
          }
          let stream = try store.blocking.stream("clicks")
          let producer = try EventProducer("web", of: stream)
          for _ in 0..<5 {
            let next = try store.blocking.nextNumber(of: producer)
            try store.blocking.append(
              contentsOf: [NewEvent(Bytes("\(turn)"))], by: producer, from: next)
          }
        } catch {
          if case .notFound = error { continue }
          Issue.record("\(error)")
        }
      }
    }
    try store.blocking.close()
  }

  @Test("of threads and tasks that append the same at once one stores it")
  func concurrent() async throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: Store.Options(shardCount: 3))
    let stream = try store.blocking.createStream("clicks", partitionCount: 3)
    let web = try EventProducer("web", of: stream)
    let total = 300
    DispatchQueue.concurrentPerform(iterations: 6) { thread in
      for number in 0..<total {
        do {
          try store.blocking.append(
            contentsOf: Self.events(number..<number + 1 + thread), by: web, from: UInt64(number),
            durability: number % 50 == thread ? .synced : .buffered)
        } catch { Issue.record("\(error)") }
      }
    }
    let stored = Int(try store.blocking.nextNumber(of: web))
    #expect(stored == total + 5)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<20 {
        group.addTask {
          for number in stored..<stored + 50 {
            try await store.append(
              contentsOf: Self.events(number..<number + 1 + task % 3), by: web,
              from: UInt64(number))
          }
        }
      }
      try await group.waitForAll()
    }
    try expectOnce(stored + 52, in: stream, of: store)
    try await store.close()
  }

  /// Each number is there once, and those of a key are in their order.
  private func expectOnce(_ count: Int, in stream: EventStream, of store: Store) throws {
    var found: Set<Int> = []
    var total = 0
    for partition in 0..<stream.partitionCount {
      var last: [Bytes: Int] = [:]
      let scan = try store.blocking.events(of: stream, partition: partition)
      while let event = try scan.next() {
        let number = try #require(event.value.text.flatMap { Int($0) })
        let key = try #require(event.key)
        #expect(last[key] ?? -1 < number)
        last[key] = number
        found.insert(number)
        total += 1
      }
    }
    #expect(total == count)
    #expect(found == Set(0..<count))
  }

  @Test(
    "a producer that appends again what it is not sure of is stored once, over crashes",
    arguments: OptionSet.allCases)
  func crashes(_ set: OptionSet) throws {
    // All in one store, which each crash copies; many stores are StreamTests' part.
    let total = min(8_000, environmentCount("TURBIDITE_STREAM_OPERATIONS", default: 1_500))
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let random = SeededRandom(seed: seed &* 0x9e37_79b9_7f4a_7c15)
    func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
    var machine = SimulatedMachine(seed: seed)
    var store = try machine.open(set.options)
    var stream = try store.blocking.createStream("clicks", partitionCount: 1 + draw(5))
    var web = try EventProducer("web", of: stream)
    // What is stored, and what of it a power loss leaves at least.
    var (next, durable) = (0, 0)
    for _ in 0..<total {
      switch draw(100) {
      case 0..<90:
        let from = max(0, next - draw(6))
        let end = from + 1 + draw(8)
        let isSynced = draw(8) == 0
        let outcome = try store.blocking.append(
          contentsOf: Self.events(from..<end), by: web, from: UInt64(from),
          durability: isSynced ? .synced : .buffered)
        #expect(outcome.positions.count == max(0, end - next), "seed \(seed)")
        next = max(next, end)
        if isSynced { durable = next }
      case 90..<94: try store.blocking.flush()
      case 94..<95: try store.blocking.compact()
      default:
        store.engine.abandon()
        let losesPower = draw(3) == 0
        machine = machine.crashed(losesPower ? .random(random.next()) : .processKill)
        store = try machine.open(set.options, mode: .existing)
        stream = try store.blocking.stream("clicks")
        web = try EventProducer("web", of: stream)
        let found = Int(try store.blocking.nextNumber(of: web))
        #expect((losesPower ? durable : next)...next ~= found, "seed \(seed)")
        next = found
        durable = found
      }
    }
    try expectOnce(next, in: stream, of: store)
    store.engine.abandon()
  }
}
