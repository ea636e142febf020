// KeyCompactionTests — what stays is the last of each key, where and in the order in which it was.

import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("Compaction of streams by key")
struct KeyCompactionTests {
  private struct Known: Equatable {
    var offset: UInt64
    var key: Bytes?
    var value: Bytes
    var timestamp: Int64
  }

  private func events(_ stream: EventStream, _ partition: Int, of store: Store) throws -> [Known] {
    var found: [Known] = []
    let scan = try store.blocking.events(of: stream, partition: partition)
    while let event = try scan.next() {
      #expect(event.position.partition == partition)
      found.append(
        Known(
          offset: event.position.offset, key: event.key, value: event.value,
          timestamp: event.timestamp))
    }
    return found
  }

  /// What is to be left of a partition's events.
  private func kept(_ all: [Known], cutoff: Int64, passed: UInt64) -> [Known] {
    var seen: Set<Bytes> = []
    return all.reversed().enumerated().filter { index, event in
      guard let key = event.key else { return true }
      let isNewest = seen.insert(key).inserted
      let isForgotten = event.value.isEmpty && event.timestamp < cutoff && event.offset < passed
      return index == 0 || (isNewest && !isForgotten)
    }.map(\.element).reversed()
  }

  @Test(
    "random appends, compactions, crashes and cursors agree with a model",
    arguments: OptionSet.allCases)
  func model(_ set: OptionSet) throws {
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let total = environmentCount("TURBIDITE_STREAM_OPERATIONS", default: 1_500)
    let random = SeededRandom(seed: seed &* 0x9e37_79b9_7f4a_7c15)
    func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
    let partitionCount = 1 + draw(4)
    var machine = SimulatedMachine(seed: seed)
    var store = try machine.open(set.options)
    var stream = try store.blocking.createStream("users", partitionCount: partitionCount)
    var model = [[Known]](repeating: [], count: partitionCount)
    var nexts = [UInt64](repeating: 0, count: partitionCount)
    var passed: [UInt64]?
    for _ in 0..<total {
      switch draw(100) {
      case 0..<90:
        let key = draw(6) == 0 ? nil : Bytes("user \(draw(40))")
        let value = draw(4) == 0 ? Bytes() : Bytes("value \(draw(1000))")
        let age = Int64([0, 3_600, 200_000][draw(3)])
        let timestamp = Int64(clamping: machine.clock.wallMicroseconds()) - age * 1_000_000
        let position = try store.blocking.append(
          NewEvent(value, key: key, timestamp: timestamp), to: stream)
        #expect(position.offset == nexts[position.partition], "no offset is given twice")
        nexts[position.partition] += 1
        model[position.partition].append(
          Known(offset: position.offset, key: key, value: value, timestamp: timestamp))
      case 90..<93: try store.blocking.flush()
      case 93..<94: try store.blocking.compact()
      case 94..<95:
        let cursor = try EventCursor("reader", of: stream)
        var places = passed ?? [UInt64](repeating: 0, count: partitionCount)
        let partition = draw(partitionCount)
        places[partition] = nexts[partition] == 0 ? 0 : UInt64(draw(Int(nexts[partition]) + 1))
        try store.blocking.write { batch in
          batch.move(cursor, to: EventPosition(partition: partition, offset: places[partition]))
        }
        passed = places
      case 95..<97:
        let cutoff = Int64(clamping: machine.clock.wallMicroseconds()) - 86_400_000_000
        var count = 0
        for partition in 0..<partitionCount {
          let left = kept(
            model[partition], cutoff: cutoff, passed: passed?[partition] ?? .max)
          count += model[partition].count - left.count
          model[partition] = left
        }
        #expect(try store.blocking.compact(stream, by: KeyCompaction()) == count)
      default:
        store.engine.abandon()
        if draw(3) == 0 {
          // What a power loss leaves is a prefix; here all of it was durable.
          store = try machine.open(set.options, mode: .existing)
          try store.blocking.sync()
          store.engine.abandon()
          machine = machine.crashed(.random(random.next()))
        }
        store = try machine.open(set.options, mode: .existing)
        stream = try store.blocking.stream("users")
      }
    }
    for partition in 0..<partitionCount {
      #expect(try events(stream, partition, of: store) == model[partition], "seed \(seed)")
      #expect(
        try store.blocking.offsets(of: stream, partition: partition).upperBound
          == nexts[partition])
    }
    store.engine.abandon()
  }

  /// A deletion that goes in an earlier commit than what it deletes brings that back.
  @Test("a key that is deleted stays so, wherever a compaction by key is cut off")
  func deletionsGoLast() throws {
    let machine = SimulatedMachine(seed: 9)
    let store = try machine.open()
    let stream = try store.blocking.createStream("users", partitionCount: 1)
    try store.blocking.append(NewEvent("alive", key: "gone", timestamp: 1), to: stream)
    for number in 0..<2_500 {
      let event = NewEvent(Bytes("\(number)"), key: "other", timestamp: 1)
      try store.blocking.append(event, to: stream)
    }
    try store.blocking.append(NewEvent("", key: "gone", timestamp: 2), to: stream)
    try store.blocking.append(NewEvent("end", key: "other", timestamp: 3), to: stream)
    try store.blocking.sync()
    #expect(
      try store.blocking.compact(stream, by: KeyCompaction(deletionAge: .zero)) == 2_502)
    var outcomes: Set<String> = []
    for survivors in machine.disk.crashSurvivors() {
      let found = try machine.crashed(.these(survivors)).open(mode: .existing)
      let stream = try found.blocking.stream("users")
      let scan = try found.blocking.events(of: stream, partition: 0)
      var last = "absent"
      while let event = try scan.next() {
        if event.key == "gone" { last = event.value.isEmpty ? "deleted" : "alive" }
      }
      outcomes.insert(last)
      found.engine.abandon()
    }
    #expect(outcomes.isSubset(of: ["absent", "deleted"]), "\(outcomes)")
    #expect(outcomes.count == 2)
    store.engine.abandon()
  }

  @Test("keys that memory has no room for lose nothing, and a reader passes over the gaps")
  func bounds() throws {
    let store = try SimulatedMachine(seed: 5).open()
    let stream = try store.blocking.createStream("users", partitionCount: 1)
    for number in 0..<300 {
      try store.blocking.append(
        NewEvent(Bytes("\(number)"), key: Bytes("user \(number % 100)")), to: stream)
    }
    let tight = KeyCompaction(memoryByteCount: 10 * 72)
    #expect(try store.blocking.compact(stream, by: tight) == 20)
    #expect(try store.blocking.compact(stream, by: tight) == 0)
    #expect(throws: StoreError.self) {
      try store.blocking.compact(stream, by: KeyCompaction(deletionAge: .seconds(-1)))
    }
    let tail = store.blocking.tail(stream, from: .start)
    #expect(try store.blocking.compact(stream, by: KeyCompaction()) == 180)
    let found = try tail.next()
    #expect(found.map(\.position.offset) == Array(200..<300))
    try store.blocking.close()
  }
}
