// EventInsertionTests — what commits put into memtables is what a replay of the log would.

import Testing
import TurbiditeSimulation

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Events in memtables")
struct EventInsertionTests {
  /// Lengths at whose ends a varint takes a byte more.
  private let lengths = [0, 1, 100, 117, 118, 119, 126, 127, 128, 16_373, 16_374, 16_383, 16_384]

  private func bytes(_ count: Int, _ random: SeededRandom) -> Bytes {
    Bytes((0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) })
  }

  private func event(_ random: SeededRandom) -> NewEvent {
    var event = NewEvent(bytes(lengths[random.below(lengths.count)], random))
    if random.isOne(in: 2) { event.key = bytes(random.below(20), random) }
    if random.isOne(in: 2) { event.timestamp = Int64(random.below(1_000_000)) - 500_000 }
    if random.isOne(in: 4) { event.headers = [EventHeader("name", bytes(3, random))] }
    return event
  }

  /// All that the memtables of a store hold.
  private func entries(of store: Store) throws -> [String] {
    var lines: [String] = []
    for tree in store.engine.allTrees {
      for memtable in tree.version.memtables {
        let cursor = memtable.memtable.makeCursor()
        try cursor.seekToFirst()
        while cursor.isValid {
          lines.append(
            "\(tree.id) \(cursor.key.bytes()) \(cursor.tag.rawValue) \(cursor.value.hash())")
          try cursor.next()
        }
      }
    }
    return lines.sorted()
  }

  /// Batches of one stream's events alone are not decoded again; all others are.
  @Test("memtables are the same before and after a replay", arguments: UInt64(1)...8)
  func replayed(seed: UInt64) throws {
    let machine = SimulatedMachine(seed: seed)
    let random = SeededRandom(seed: seed)
    let store = try machine.open(Store.Options(shardCount: seed % 4 == 0 ? 2 : 1))
    let streams = try [1, 7, 200].map {
      try store.blocking.createStream("events\($0)", partitionCount: $0)
    }
    var appended: [EventPosition: NewEvent] = [:]
    for _ in 0..<100 {
      var batch = Store.Batch()
      var events: [NewEvent] = []
      let (chosen, isMixed) = (random.below(3), random.isOne(in: 3))
      for _ in 0...random.below(12) {
        let event = event(random)
        let index = isMixed ? random.below(3) : chosen
        batch.append(event, to: streams[index])
        if index == 0 { events.append(event) }
        if isMixed { batch.put(bytes(4, random), "value") }
      }
      let positions = try store.blocking.commit(&batch)
      if !isMixed, chosen == 0 {
        for (position, event) in zip(positions, events) { appended[position] = event }
      }
    }
    let first = try store.blocking.events(of: streams[0], partition: 0)
    while let event = try first.next() {
      guard let expected = appended[event.position] else { continue }
      #expect(event.value == expected.value && event.key == expected.key)
      #expect(event.timestamp == expected.timestamp ?? event.timestamp)
    }
    let live = try entries(of: store)
    store.engine.abandon()
    let again = try machine.open(Store.Options(), mode: .existing)
    #expect(live.count > 300)
    #expect(try entries(of: again) == live)
    try again.blocking.close()
  }
}
