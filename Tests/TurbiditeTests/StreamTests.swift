// StreamTests — offsets are dense, order is kept, and an append returns where its event lies.

import Foundation
import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("Streams")
struct StreamTests {
  @Test(
    "random appends, reads, crashes and reopenings agree with a model",
    arguments: OptionSet.allCases)
  func model(_ set: OptionSet) throws {
    let total = environmentCount("TURBIDITE_STREAM_OPERATIONS", default: 1_500)
    let base = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    var seed = base
    var done = 0
    while done < total {
      let count = min(total - done, 4_000)
      do {
        var run = try StreamRun(seed: seed, options: set.options)
        try run.run(operationCount: count)
      } catch {
        let replay = "TURBIDITE_SEED=\(seed) swift test --filter StreamTests"
        Issue.record("\(set.rawValue): \(error)\nreplay: \(replay)")
        return
      }
      done += count
      seed += 1
    }
  }

  /// Where each event lies, as the appends said.
  ///
  /// Safe to share: the lock guards the names.
  private final class Returned: @unchecked Sendable {
    private let lock = NSLock()
    private var names: [EventPosition: String] = [:]

    func note(_ name: String, at position: EventPosition) -> Bool {
      lock.withLock { names.updateValue(name, forKey: position) == nil }
    }

    subscript(position: EventPosition) -> String? { lock.withLock { names[position] } }
  }

  @Test("threads that append at once get dense offsets, and each finds its events in its order")
  func threads() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(
      at: scratch.file("store"), options: Store.Options(shardCount: 3))
    let stream = try store.blocking.createStream("clicks", partitionCount: 4)
    let (threadCount, eventCount) = (8, 500)
    let returned = Returned()
    DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
      for number in 0..<eventCount {
        do {
          let name = "\(thread)/\(number)"
          let event = NewEvent(Bytes(name), key: Bytes("thread \(thread)"))
          let position = try store.blocking.append(
            event, to: stream, durability: number % 100 == 0 ? .synced : .buffered)
          #expect(returned.note(name, at: position), "one place, one event")
        } catch { Issue.record("\(error)") }
      }
    }
    var next = [Int](repeating: 0, count: threadCount)
    var found = 0
    for partition in 0..<4 {
      let scan = try store.blocking.events(of: stream, partition: partition)
      var offset: UInt64 = 0
      while let event = try scan.next() {
        #expect(event.position == EventPosition(partition: partition, offset: offset))
        offset += 1
        found += 1
        let name = try #require(event.value.text)
        #expect(returned[event.position] == name)
        let parts = name.split(separator: "/").compactMap { Int($0) }
        #expect(parts[1] == next[parts[0]], "the events of a key are in their order")
        next[parts[0]] += 1
      }
      #expect(try store.blocking.offsets(of: stream, partition: partition) == 0..<offset)
    }
    #expect(found == threadCount * eventCount)
    try store.blocking.close()
  }

  @Test("tasks append, too, and a batch of puts and events lands as one")
  func tasks() async throws {
    let scratch = ScratchDirectory()
    let store = try await Store.open(at: scratch.file("store"))
    let stream = try await store.createStream("clicks", partitionCount: 2)
    let positions = try await withThrowingTaskGroup(of: EventPosition.self) { group in
      for number in 0..<200 {
        group.addTask { try await store.append(NewEvent(Bytes("\(number)")), to: stream) }
      }
      return try await group.reduce(into: Set<EventPosition>()) { $0.insert($1) }
    }
    let all = (0..<2).flatMap { partition in
      (0..<100).map { EventPosition(partition: partition, offset: UInt64($0)) }
    }
    #expect(positions == Set(all), "events without a key go to each partition in turn")
    var batch = Store.Batch()
    batch.put("seen", "200")
    batch.append(NewEvent("a", key: "k", timestamp: -5), to: stream, partition: 1)
    batch.append(
      NewEvent("b", headers: [EventHeader("n", "v"), EventHeader("n", "")]), to: stream,
      partition: 0)
    let placed = try await store.commit(batch, durability: .synced)
    #expect(placed == [.init(partition: 1, offset: 100), .init(partition: 0, offset: 100)])
    #expect(try await store.get("seen") == "200")
    let events = try store.blocking.events(of: stream, partition: 0, from: 100)
    let event = try #require(try events.next())
    #expect(event.key == nil)
    #expect(event.headers == [EventHeader("n", "v"), EventHeader("n", "")])
    #expect(abs(Double(event.timestamp) / 1e6 - Date().timeIntervalSince1970) < 600)
    #expect(try events.next() == nil)
    try await store.close()
  }

  @Test(
    "events of spans lie where the same events of bytes do, beside puts and deletions",
    arguments: [1, 3])
  func spans(_ shardCount: Int) throws {
    let machine = SimulatedMachine(seed: 6)
    let store = try machine.open(Store.Options(shardCount: shardCount))
    let streams = try ["spans", "bytes"].map {
      try store.blocking.createStream($0, partitionCount: 4)
    }
    var batch = Store.Batch()
    var model: [String: String] = [:]
    for number in 0..<200 {
      let key = [UInt8](repeating: UInt8(number), count: number % 3)
      let value = [UInt8](repeating: UInt8(number), count: number % 50)
      // An empty key is a key.
      let partition = number.isMultiple(of: 5) ? number % 4 : nil
      if let partition {
        batch.append(
          value: value.span.bytes, timestamp: Int64(number), to: streams[0], partition: partition)
      } else {
        batch.append(
          value: value.span.bytes, key: key.span.bytes, timestamp: Int64(number), to: streams[0])
      }
      let event = NewEvent(
        Bytes(value), key: partition == nil ? Bytes(key) : nil, timestamp: Int64(number))
      batch.append(event, to: streams[1], partition: partition)
      batch.put(Bytes("key\(number)"), Bytes("\(number)"))
      model["key\(number)"] = "\(number)"
      if number.isMultiple(of: 7) {
        batch.delete(Bytes("key\(number)"))
        model["key\(number)"] = nil
      }
      if number.isMultiple(of: 31) {
        batch.deleteRange(KeyRange(from: "key3", to: "key4"))
        model = model.filter { !$0.key.hasPrefix("key3") }
      }
    }
    try store.blocking.commit(&batch)
    for partition in 0..<4 {
      let events = try streams.map { stream in
        let reader = try store.blocking.events(of: stream, partition: partition, from: 0)
        var events: [Event] = []
        while let event = try reader.next() { events.append(event) }
        return events
      }
      #expect(events[0].count > 10)
      #expect(events[0] == events[1])
    }
    for number in 0..<200 {
      let expected = model["key\(number)"].map { Bytes($0) }
      #expect(try store.blocking.get(Bytes("key\(number)")) == expected, "key\(number)")
    }
    batch.append(value: RawSpan(), to: streams[0], partition: 4)
    #expect(throws: StoreError.self) { try store.blocking.commit(&batch) }
    try store.blocking.close()
  }

  @Test("what is no place, no stream or no name is refused, and changes nothing")
  func refusals() throws {
    let machine = SimulatedMachine(seed: 4)
    let store = try machine.open(Store.Options(shardCount: 2))
    let blocking = store.blocking
    for count in [-1, 0, 65_537] {
      #expect(throws: StoreError.self) {
        _ = try blocking.createStream("clicks", partitionCount: count)
      }
    }
    let stream = try blocking.createStream("clicks", partitionCount: 2)
    #expect(stream.name == "clicks")
    #expect(stream.partitionCount == 2)
    _ = try blocking.createKeyspace("map")
    #expect(throws: StoreError.self) { _ = try blocking.createStream("clicks", partitionCount: 3) }
    #expect(throws: StoreError.self) { _ = try blocking.createStream("map", partitionCount: 2) }
    #expect(throws: StoreError.self) { _ = try blocking.createKeyspace("clicks") }
    #expect(throws: StoreError.self) { _ = try blocking.keyspace("clicks") }
    #expect(throws: StoreError.self) { _ = try blocking.stream("map") }
    #expect(throws: StoreError.self) { try blocking.dropKeyspace("clicks") }
    #expect(throws: StoreError.self) { try blocking.dropStream("map") }
    #expect(try blocking.streams() == ["clicks"])
    #expect(try blocking.keyspaces() == ["map"])
    for partition in [-1, 2, Int.max] {
      #expect(throws: StoreError.self) {
        try blocking.append(NewEvent("x"), to: stream, partition: partition)
      }
      #expect(throws: StoreError.self) {
        _ = try blocking.events(of: stream, partition: partition)
      }
    }
    let headers = [EventHeader](repeating: EventHeader("a", "b"), count: 1025)
    #expect(throws: StoreError.self) {
      try blocking.append(NewEvent("", headers: headers), to: stream)
    }
    #expect(try blocking.offsets(of: stream, partition: 0) == 0..<0)
    #expect(try blocking.append(contentsOf: [], to: stream) == [])
    try blocking.append(NewEvent(""), to: stream, partition: 0)
    #expect(try blocking.events(of: stream, partition: 0, from: 1).next() == nil)
    #expect(try blocking.events(of: stream, partition: 0, from: 0, upTo: 0).next() == nil)
    #expect(try blocking.events(of: stream, partition: 0, from: 5, upTo: 2).next() == nil)
    #expect(try blocking.events(of: stream, partition: 0, from: .max).next() == nil)
    try blocking.dropStream("clicks")
    #expect(throws: StoreError.self) { _ = try blocking.events(of: stream, partition: 0) }
    #expect(throws: StoreError.self) { try blocking.append(NewEvent("late"), to: stream) }
    let again = try blocking.createStream("clicks", partitionCount: 5)
    #expect(try blocking.append(NewEvent(""), to: again, partition: 0).offset == 0)
    try blocking.close()
  }

  @Test("events without a time have that of their commit, all of a batch the same")
  func times() throws {
    let machine = SimulatedMachine(seed: 8)
    let store = try machine.open()
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    // The length of a value decides where the time lies behind the offset.
    let values = [0, 1, 100, 116, 117, 200, 16_373, 20_000].map {
      Bytes([UInt8](repeating: 7, count: $0))
    }
    var batch = Store.Batch()
    for (number, value) in values.enumerated() {
      batch.append(NewEvent(value, key: "k", headers: [EventHeader("h", "v")]), to: stream)
      batch.append(value: value.array.span.rawBytes, to: stream)
      batch.append(NewEvent(value, timestamp: Int64(number)), to: stream)
      machine.clock.advance(by: 1_000_000_000)
    }
    machine.clock.advance(by: 5_000_000_000)
    let time = Int64(clamping: machine.clock.wallMicroseconds())
    _ = try store.blocking.commit(&batch)
    let scan = try store.blocking.events(of: stream, partition: 0)
    for (number, value) in values.enumerated() {
      for expected in [time, time, Int64(number)] {
        let event = try #require(try scan.next())
        #expect(event.timestamp == expected && event.value == value)
      }
    }
    #expect(try scan.next() == nil)
    try store.blocking.close()
  }

  @Test("an append that fails takes no offset")
  func failedAppend() throws {
    let machine = SimulatedMachine(seed: 5)
    let store = try machine.open()
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    try store.blocking.append(NewEvent("0"), to: stream)
    // The log's segment has room that was taken before.
    machine.disk.setSpaceLimit(0)
    let filler = Bytes([UInt8](repeating: 1, count: 1 << 20))
    #expect(throws: StoreError.self) {
      for _ in 0..<100 { try store.blocking.put("filler", filler) }
    }
    for _ in 0..<3 {
      #expect(throws: StoreError.self) { try store.blocking.append(NewEvent(filler), to: stream) }
    }
    var batch = Store.Batch()
    batch.append(NewEvent("1"), to: stream)
    batch.put("large", filler)
    do {
      try store.blocking.commit(&batch)
      Issue.record("there was room")
    } catch { #expect(batch.count == 2, "it can be committed again") }
    machine.disk.setSpaceLimit(nil)
    machine.clock.advance(by: 10_000_000_000)
    store.engine.waitUntilIdle()
    #expect(try store.blocking.commit(&batch).map(\.offset) == [1])
    #expect(batch.count == 0)
    store.engine.abandon()
    let found = try machine.open(mode: .existing)
    let again = try found.blocking.stream("clicks")
    #expect(try found.blocking.append(NewEvent("2"), to: again).offset == 2)
    let scan = try found.blocking.events(of: again, partition: 0)
    for value in ["0", "1", "2"] { #expect(try scan.next()?.value == Bytes(value)) }
    #expect(try scan.next() == nil)
    try found.blocking.close()
  }
}
