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
    batch.append(NewEvent("b", headers: [EventHeader("n", "v"), EventHeader("n", "")]), to: stream)
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
    machine.disk.setSpaceLimit(nil)
    machine.clock.advance(by: 10_000_000_000)
    store.engine.waitUntilIdle()
    #expect(try store.blocking.append(NewEvent("1"), to: stream).offset == 1)
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

/// One run: a store with two streams and a keyspace, and what they should hold.
private struct StreamRun {
  /// What the model knows of an event.
  private struct Known: Equatable {
    var key: Bytes?
    var value: Bytes
    var timestamp: Int64
    var headers: [EventHeader]
  }

  private var machine: SimulatedMachine
  private let options: Store.Options
  private let random: SeededRandom
  private var store: Store
  private let partitionCounts: [Int]
  /// By stream and partition.
  private var model: [[[Known]]]
  /// How many events of each partition the last synced commit or sync has made durable.
  private var durable: [[Int]]
  /// The offset at which each partition begins, and at which it does at least after a power loss.
  private var begins: [[Int]]
  private var durableBegins: [[Int]]
  /// A key that each batch beside events sets to the number of events so far.
  private var counted = 0
  private var durableCounted = 0

  init(seed: UInt64, options: Store.Options) throws {
    machine = SimulatedMachine(seed: seed)
    self.options = options
    random = SeededRandom(seed: seed &* 0x9e37_79b9_7f4a_7c15)
    partitionCounts = [1 + Int(random.next() % 3), 1 + Int(random.next() % 12)]
    store = try machine.open(options)
    model = partitionCounts.map { [[Known]](repeating: [], count: $0) }
    durable = partitionCounts.map { [Int](repeating: 0, count: $0) }
    begins = durable
    durableBegins = durable
    for (index, count) in partitionCounts.enumerated() {
      _ = try store.blocking.createStream("stream \(index)", partitionCount: count)
    }
  }

  private func draw(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  private func stream(_ index: Int) throws -> EventStream {
    try store.blocking.stream("stream \(index)")
  }

  mutating func run(operationCount: Int) throws {
    for step in 0..<operationCount {
      do { try operate() } catch {
        throw Disagreement(description: "at operation \(step): \(error)")
      }
    }
    try compareAll()
    store.engine.abandon()
  }

  private mutating func operate() throws {
    switch draw(1000) {
    case 0..<400: try append()
    case 400..<600: try appendBatch()
    case 600..<900: try read()
    case 900..<910: try readSnapshot()
    case 910..<930:
      try store.blocking.sync()
      noteDurable()
    case 930..<940: try store.blocking.flush()
    case 940..<943: try store.blocking.compact()
    case 943..<950: try reopen()
    case 950..<955: try losePower()
    case 955..<960: try compareAll()
    case 960..<965: machine.clock.advance(by: 2_000_000_000)
    case 965..<975: try trim()
    case 975..<980: try retain()
    case 980..<990: try findTime()
    default: try read()
    }
  }

  private func drawEvent() -> (NewEvent, Known) {
    let letters = [UInt8](repeating: UInt8(draw(256)), count: draw(9))
    let key = draw(4) == 0 ? nil : Bytes(letters)
    let value = Bytes([UInt8](repeating: UInt8(draw(256)), count: [0, 1, 30, 400][draw(4)]))
    let timestamp = Int64(bitPattern: random.next())
    let headers = (0..<(draw(5) == 0 ? draw(4) : 0)).map { _ in
      EventHeader(Bytes("h\(draw(3))"), Bytes([UInt8](repeating: 1, count: draw(40))))
    }
    return (
      NewEvent(value, key: key, timestamp: timestamp, headers: headers),
      Known(key: key, value: value, timestamp: timestamp, headers: headers)
    )
  }

  private mutating func note(_ position: EventPosition, _ known: Known, _ index: Int) throws {
    guard position.offset == UInt64(model[index][position.partition].count) else {
      throw Disagreement(
        description: "offset \(position) where \(model[index][position.partition].count) was due")
    }
    model[index][position.partition].append(known)
  }

  private mutating func noteDurable() {
    durable = model.map { $0.map(\.count) }
    durableBegins = begins
    durableCounted = counted
  }

  private mutating func append() throws {
    let index = draw(2)
    let (event, known) = drawEvent()
    let stream = try stream(index)
    let wanted = draw(3) == 0 ? draw(stream.partitionCount) : nil
    let isSynced = draw(10) == 0
    let position = try store.blocking.append(
      event, to: stream, partition: wanted, durability: isSynced ? .synced : .buffered)
    if let expected = wanted ?? known.key.map(stream.partition), expected != position.partition {
      throw Disagreement(description: "partition \(position.partition), not \(expected)")
    }
    try note(position, known, index)
    if isSynced { noteDurable() }
  }

  private mutating func appendBatch() throws {
    var batch = Store.Batch()
    var appended: [(Int, Known)] = []
    for _ in 0..<draw(30) {
      let index = draw(2)
      let (event, known) = drawEvent()
      batch.append(event, to: try stream(index))
      appended.append((index, known))
      if draw(5) == 0 { batch.put(Bytes("k\(draw(50))"), "v") }
    }
    counted += appended.count
    batch.put("counted", Bytes("\(counted)"))
    let isSynced = draw(10) == 0
    let positions = try store.blocking.commit(batch, durability: isSynced ? .synced : .buffered)
    guard positions.count == appended.count else {
      throw Disagreement(description: "\(positions.count) positions of \(appended.count) events")
    }
    for (position, (index, known)) in zip(positions, appended) { try note(position, known, index) }
    if isSynced { noteDurable() }
  }

  /// Reads some of a partition, and holds it against the model.
  private func read() throws {
    let (index, stream) = try drawStream()
    let partition = draw(stream.partitionCount)
    let known = model[index][partition]
    let from = draw(known.count + 3)
    let end = draw(2) == 0 ? nil : draw(known.count + 3)
    let limit = draw(2) == 0 ? nil : draw(20)
    let scan = try store.blocking.events(
      of: stream, partition: partition, from: UInt64(from), upTo: end.map { UInt64($0) },
      limit: limit)
    let first = max(from, begins[index][partition])
    try compare(
      scan, known, first..<max(first, min(end ?? known.count, known.count)), limit, partition)
  }

  private mutating func trim() throws {
    let (index, stream) = try drawStream()
    let partition = draw(stream.partitionCount)
    let (begin, count) = (begins[index][partition], model[index][partition].count)
    let wanted = draw(count + 3)
    let isSynced = draw(3) == 0
    let gone = try store.blocking.trim(
      stream, partition: partition, before: UInt64(wanted),
      durability: isSynced ? .synced : .buffered)
    let expected = max(begin, min(wanted, count))
    guard gone == (expected > begin ? UInt64(begin)..<UInt64(expected) : 0..<0) else {
      throw Disagreement(description: "\(gone) trimmed before \(wanted) of \(begin)..<\(count)")
    }
    begins[index][partition] = expected
    if isSynced && expected > begin { noteDurable() }
  }

  /// By age only events go that are old enough; by size whatever the files hold.
  private mutating func retain() throws {
    let (index, stream) = try drawStream()
    let bySize = draw(2) == 0 ? draw(100_000) : nil
    let report = try store.blocking.retain(
      stream,
      Retention(maximumAge: bySize == nil ? .seconds(draw(100)) : nil, maximumByteCount: bySize))
    let now = Int64(clamping: machine.clock.wallMicroseconds())
    for (partition, gone) in report.dropped {
      let known = model[index][partition]
      guard gone.lowerBound == begins[index][partition], gone.upperBound <= known.count else {
        throw Disagreement(description: "\(gone) dropped of \(begins[index][partition])...")
      }
      let range = Int(gone.lowerBound)..<Int(gone.upperBound)
      guard bySize != nil || known[range].allSatisfy({ $0.timestamp < now }) else {
        throw Disagreement(description: "events are dropped that are young")
      }
      begins[index][partition] = range.upperBound
    }
  }

  private func findTime() throws {
    let (index, stream) = try drawStream()
    let partition = draw(stream.partitionCount)
    let known = model[index][partition]
    let moment = known.isEmpty ? 0 : known[draw(known.count)].timestamp &+ Int64(draw(3) - 1)
    let expected =
      known[begins[index][partition]...].firstIndex { $0.timestamp >= moment } ?? known.count
    let found = try store.blocking.offset(of: stream, partition: partition, at: moment)
    guard found == UInt64(expected) else {
      throw Disagreement(description: "\(found) is the first event from \(moment), not \(expected)")
    }
  }

  private func drawStream() throws -> (Int, EventStream) {
    let index = draw(2)
    return (index, try stream(index))
  }

  private func compare(
    _ scan: EventScan, _ known: [Known], _ range: Range<Int>, _ limit: Int?, _ partition: Int
  ) throws {
    var offset = range.lowerBound
    while let event = try scan.next() {
      guard event.position == EventPosition(partition: partition, offset: UInt64(offset)),
        offset < range.upperBound,
        known[offset]
          == Known(
            key: event.key, value: event.value, timestamp: event.timestamp, headers: event.headers)
      else { throw Disagreement(description: "event \(event.position) where \(offset) was due") }
      offset += 1
    }
    let expected = min(range.count, limit ?? .max)
    guard offset - range.lowerBound == expected else {
      throw Disagreement(
        description: "\(offset - range.lowerBound) events from \(range), limit \(limit ?? -1)")
    }
  }

  private mutating func readSnapshot() throws {
    let (index, stream) = try drawStream()
    let partition = draw(stream.partitionCount)
    let snapshot = store.snapshot()
    let (known, begin) = (model[index][partition], begins[index][partition])
    for _ in 0..<draw(6) { try append() }
    for _ in 0..<draw(3) { try trim() }
    let scan = try snapshot.blockingEvents(of: stream, partition: partition)
    try compare(scan, known, begin..<known.count, nil, partition)
  }

  private func compareAll() throws {
    for (index, partitions) in model.enumerated() {
      let stream = try stream(index)
      for (partition, known) in partitions.enumerated() {
        let scan = try store.blocking.events(of: stream, partition: partition)
        let begin = begins[index][partition]
        try compare(scan, known, begin..<known.count, nil, partition)
        let offsets = try store.blocking.offsets(of: stream, partition: partition)
        guard offsets == UInt64(begin)..<UInt64(known.count) else {
          throw Disagreement(description: "offsets \(offsets) of \(known.count) events")
        }
      }
    }
    let found = try store.blocking.get("counted")
    guard found == (counted == 0 ? found : Bytes("\(counted)")) else {
      throw Disagreement(description: "a batch is there in part")
    }
  }

  /// A killed process loses nothing.
  private mutating func reopen() throws {
    if draw(2) == 0 { store.engine.abandon() } else { try store.blocking.close() }
    store = try machine.open(options, mode: .existing)
    try compareAll()
  }

  /// A power loss leaves a prefix of the commits, and all that was synced.
  private mutating func losePower() throws {
    store.engine.abandon()
    machine = machine.crashed(.random(random.next()))
    store = try machine.open(options, mode: .existing)
    for (index, partitions) in model.enumerated() {
      let stream = try stream(index)
      for partition in partitions.indices {
        let found = try store.blocking.offsets(of: stream, partition: partition)
        let count = Int(found.upperBound)
        guard durableBegins[index][partition]...begins[index][partition] ~= Int(found.lowerBound)
        else {
          throw Disagreement(description: "begins at \(found.lowerBound) after a power loss")
        }
        begins[index][partition] = Int(found.lowerBound)
        guard durable[index][partition]...partitions[partition].count ~= count else {
          throw Disagreement(
            description: "\(count) events after a power loss, \(durable[index][partition]) synced")
        }
        model[index][partition].removeLast(partitions[partition].count - count)
      }
    }
    let found = try store.blocking.get("counted")?.text.flatMap { Int($0) } ?? 0
    guard durableCounted...counted ~= found else {
      throw Disagreement(description: "\(found) counted after a power loss")
    }
    counted = found
    try compareAll()
  }
}
