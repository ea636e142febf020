// StreamRun — streams, their producers and consumers under random operations, held against a model.

import Foundation
import Testing
import TurbiditeSimulation

@testable import Turbidite

/// One run: a store with two streams and a keyspace, and what they should hold.
struct StreamRun {
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
  /// By stream and partition; nil where a later event of the key has replaced one.
  private var model: [[[Known?]]]
  /// How many events of each partition the last synced commit or sync has made durable.
  private var durable: [[Int]]
  /// The offset at which each partition begins, and at which it does at least after a power loss.
  private var begins: [[Int]]
  private var durableBegins: [[Int]]
  /// A key that each batch beside events sets to the number of events so far.
  private var counted = 0
  private var durableCounted = 0
  /// How many events of the producer of each stream are stored.
  private var produced = [0, 0]
  private var durableProduced = [0, 0]
  /// Where the consumer of each stream stands; a key says the same.
  private var consumed: [[Int]]
  private var durableConsumed: [[Int]]

  init(seed: UInt64, options: Store.Options) throws {
    machine = SimulatedMachine(seed: seed)
    self.options = options
    random = SeededRandom(seed: seed &* 0x9e37_79b9_7f4a_7c15)
    partitionCounts = [1 + Int(random.next() % 3), 1 + Int(random.next() % 12)]
    store = try machine.open(options)
    model = partitionCounts.map { [[Known?]](repeating: [], count: $0) }
    durable = partitionCounts.map { [Int](repeating: 0, count: $0) }
    begins = durable
    durableBegins = durable
    consumed = durable
    durableConsumed = durable
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

  /// - Parameter whileMoving: slots are on their way, by the same thread, which must not wait for
  ///   them.
  private mutating func operate(whileMoving: Bool = false) throws {
    switch draw(1000) {
    case 940..<955 where whileMoving, 975..<980 where whileMoving, 990..<993 where whileMoving:
      try read()
    case 0..<300: try append()
    case 300..<450: try appendBatch()
    case 450..<600: try produce()
    case 600..<700: try consume()
    case 700..<897: try read()
    case 897..<900: try compactKeys()
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
    case 990..<993: try reshard()
    default: try read()
    }
  }

  private func drawEvent() -> (NewEvent, Known) {
    let letters = [UInt8](repeating: UInt8(draw(256)), count: draw(9))
    let key = draw(4) == 0 ? nil : Bytes(letters)
    let value = Bytes([UInt8](repeating: UInt8(draw(256)), count: [0, 1, 30, 400][draw(4)]))
    // None is so old that a deletion of that time goes when streams are compacted by key.
    let timestamp = Int64(bitPattern: random.next()) >> 1
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
    durableProduced = produced
    durableConsumed = consumed
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

  /// Appends what may have been appended before, in part or in whole.
  private mutating func produce() throws {
    let (index, stream) = try drawStream()
    let producer = try EventProducer("producer", of: stream)
    let from = max(0, produced[index] - draw(6))
    let events = (0..<1 + draw(8)).map { _ in drawEvent() }
    let isSynced = draw(10) == 0
    let outcome = try store.blocking.append(
      contentsOf: events.map(\.0), by: producer, from: UInt64(from),
      durability: isSynced ? .synced : .buffered)
    let repeated = min(events.count, produced[index] - from)
    guard outcome.repeatedCount == repeated else {
      throw Disagreement(
        description: "\(outcome.repeatedCount) of \(events.count) events from \(from) were there")
    }
    for (position, (_, known)) in zip(outcome.positions, events.dropFirst(repeated)) {
      try note(position, known, index)
    }
    produced[index] = max(produced[index], from + events.count)
    if isSynced { noteDurable() }
  }

  /// Takes some events behind the cursor, and notes that in the commit that moves it.
  private mutating func consume() throws {
    let (index, stream) = try drawStream()
    let cursor = try EventCursor("consumer", of: stream)
    let member = store.join(cursor)
    let places = try store.blocking.offsets(of: cursor)
    for (partition, place) in consumed[index].enumerated() where places[partition] ?? 0 != place {
      throw Disagreement(description: "the cursor stands at \(places), not \(consumed[index])")
    }
    let events = try member.blockingNext(waitingAtMost: .zero) ?? []
    var batch = Store.Batch()
    var moved = consumed[index]
    for event in events.prefix(1 + draw(40)) {
      let (partition, offset) = (event.position.partition, Int(event.position.offset))
      let due = model[index][partition].indices.first {
        $0 >= max(moved[partition], begins[index][partition]) && model[index][partition][$0] != nil
      }
      guard offset == due else {
        throw Disagreement(description: "\(event.position) is next, not \(due ?? -1)")
      }
      moved[partition] = offset + 1
      batch.move(member, behind: event.position)
    }
    batch.put(Bytes("consumed \(index)"), Bytes("\(moved)"))
    try store.blocking.commit(batch)
    consumed[index] = moved
  }

  private mutating func compactKeys() throws {
    let (index, stream) = try drawStream()
    // Deletions stay: timestamps here are of any time.
    let count = try store.blocking.compact(
      stream, by: KeyCompaction(deletionAge: .seconds(Int64.max >> 1)))
    var expected = 0
    for partition in model[index].indices {
      var seen: Set<Bytes> = []
      for offset in (begins[index][partition]..<model[index][partition].count).reversed() {
        guard let key = model[index][partition][offset]?.key else { continue }
        if seen.insert(key).inserted { continue }
        model[index][partition][offset] = nil
        expected += 1
      }
    }
    guard count == expected else {
      throw Disagreement(description: "\(count) events were replaced, not \(expected)")
    }
    // A power loss must not bring some back: the model does not know which.
    try store.blocking.sync()
    noteDurable()
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
    let (begin, count) = (held(index, partition), model[index][partition].count)
    let wanted = draw(count + 3)
    let isSynced = draw(3) == 0
    let gone = try store.blocking.trim(
      stream, partition: partition, before: UInt64(wanted),
      durability: isSynced ? .synced : .buffered)
    let expected = max(begin, min(wanted, count))
    guard gone == (expected > begin ? UInt64(begin)..<UInt64(expected) : 0..<0) else {
      throw Disagreement(description: "\(gone) trimmed before \(wanted) of \(begin)..<\(count)")
    }
    begins[index][partition] = max(begins[index][partition], expected)
    if isSynced && expected > begin { noteDurable() }
  }

  /// The offset of a partition's first event.
  private func held(_ index: Int, _ partition: Int) -> Int {
    let begin = begins[index][partition]
    return model[index][partition][begin...].firstIndex { $0 != nil } ?? begin
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
      guard gone.lowerBound == held(index, partition), gone.upperBound <= known.count else {
        throw Disagreement(description: "\(gone) dropped of \(begins[index][partition])...")
      }
      let range = Int(gone.lowerBound)..<Int(gone.upperBound)
      guard bySize != nil || known[range].allSatisfy({ $0?.timestamp ?? .min < now }) else {
        throw Disagreement(description: "events are dropped that are young")
      }
      begins[index][partition] = range.upperBound
    }
  }

  private func findTime() throws {
    let (index, stream) = try drawStream()
    let partition = draw(stream.partitionCount)
    let known = model[index][partition]
    let some = known.isEmpty ? nil : known[draw(known.count)]
    let moment = (some?.timestamp ?? 0) &+ Int64(draw(3) - 1)
    let expected =
      known[begins[index][partition]...].firstIndex { $0.map { $0.timestamp >= moment } ?? false }
      ?? known.count
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
    _ scan: EventScan, _ known: [Known?], _ range: Range<Int>, _ limit: Int?, _ partition: Int
  ) throws {
    let due = range.filter { known[$0] != nil }.prefix(limit ?? .max)
    var found = 0
    while let event = try scan.next() {
      guard found < due.count else {
        throw Disagreement(description: "event \(event.position) behind \(due.last ?? -1)")
      }
      let offset = due[found]
      guard event.position == EventPosition(partition: partition, offset: UInt64(offset)),
        known[offset]
          == Known(
            key: event.key, value: event.value, timestamp: event.timestamp, headers: event.headers)
      else { throw Disagreement(description: "event \(event.position) where \(offset) was due") }
      found += 1
    }
    guard found == due.count else {
      throw Disagreement(
        description: "\(found) events from \(range), limit \(limit ?? -1), not \(due.count)")
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
        guard offsets == UInt64(held(index, partition))..<UInt64(known.count) else {
          throw Disagreement(description: "offsets \(offsets) of \(known.count) events")
        }
      }
    }
    for (index, count) in produced.enumerated() {
      let producer = try EventProducer("producer", of: try stream(index))
      guard try store.blocking.nextNumber(of: producer) == UInt64(count) else {
        throw Disagreement(description: "the producer's next number is not \(count)")
      }
    }
    let found = try store.blocking.get("counted")
    guard found == (counted == 0 ? found : Bytes("\(counted)")) else {
      throw Disagreement(description: "a batch is there in part")
    }
  }

  /// Moves slots, with other operations in between.
  private mutating func reshard() throws {
    let change = try ShardChange.drawn(for: store, draw)
    var failure: (any Error)?
    do throws(StoreError) {
      try store.blocking.reshard(change) { _ throws(StoreError) in
        do { for _ in 0..<draw(20) { try operate(whileMoving: true) } } catch {
          failure = failure ?? error
        }
      }
    } catch { failure = failure ?? error }
    if let failure { throw Disagreement(description: "\(change): \(failure)") }
    try compareAll()
  }

  private mutating func open() throws {
    var options = options
    options.shardCount = nil
    store = try machine.open(options, mode: .existing)
  }

  /// A killed process loses nothing.
  private mutating func reopen() throws {
    if draw(2) == 0 { store.engine.abandon() } else { try store.blocking.close() }
    try open()
    try compareAll()
  }

  /// A power loss leaves a prefix of the commits, and all that was synced.
  private mutating func losePower() throws {
    store.engine.abandon()
    machine = machine.crashed(.random(random.next()))
    try open()
    for (index, partitions) in model.enumerated() {
      let stream = try stream(index)
      for partition in partitions.indices {
        let found = try store.blocking.offsets(of: stream, partition: partition)
        let count = Int(found.upperBound)
        guard durableBegins[index][partition]...held(index, partition) ~= Int(found.lowerBound)
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
    try findProduced()
    try findConsumed()
    try compareAll()
  }

  private mutating func findProduced() throws {
    for index in produced.indices {
      let producer = try EventProducer("producer", of: try stream(index))
      let found = Int(try store.blocking.nextNumber(of: producer))
      guard durableProduced[index]...produced[index] ~= found else {
        throw Disagreement(description: "\(found) is a producer's next number after a power loss")
      }
      produced[index] = found
    }
  }

  /// The cursor and what was made of the events before it are of one commit.
  private mutating func findConsumed() throws {
    for index in consumed.indices {
      let cursor = try EventCursor("consumer", of: try stream(index))
      let places = try store.blocking.offsets(of: cursor)
      let found = consumed[index].indices.map { Int(places[$0] ?? 0) }
      let isBetween = found.indices.allSatisfy {
        durableConsumed[index][$0]...consumed[index][$0] ~= found[$0]
      }
      let noted = try store.blocking.get(Bytes("consumed \(index)"))
      guard isBetween, noted ?? Bytes("\(found)") == Bytes("\(found)") else {
        throw Disagreement(description: "a cursor stands at \(found) after a power loss")
      }
      consumed[index] = found
    }
  }
}
