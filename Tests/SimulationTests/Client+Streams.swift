// Client+Streams — what a workload asks of streams, and how the model sees them.

import Turbidite

/// A stream as the model holds it: a name for each event, each partition's end, each place of a
/// cursor, each producer's next number.
struct StreamContents {
  static let name = "stream"
  static let partitionCount = 2
  private static let producerName = "producer"
  private static let cursorName = "cursor"

  var entries: [Bytes: Bytes]

  init(_ entries: [Bytes: Bytes]) { self.entries = entries }

  private func number(_ key: String) -> Int {
    entries[Bytes(key)]?.text.flatMap { Int($0) } ?? 0
  }

  var nextNumber: Int { number("producer \(Self.producerName)") }

  func end(_ partition: Int) -> Int { number("end \(partition)") }

  private static func event(_ partition: Int, _ offset: Int) -> Bytes {
    Bytes("event \(partition)/\(offset)")
  }

  static func producer(of stream: EventStream) throws(StoreError) -> EventProducer {
    try EventProducer(producerName, of: stream)
  }

  static func cursor(of stream: EventStream) throws(StoreError) -> EventCursor {
    try EventCursor(cursorName, of: stream)
  }

  static func key(_ number: Int) -> Bytes { Bytes("key \(number % 3)") }

  static func partition(_ number: Int) -> Int { number / 2 % partitionCount }

  mutating func append(_ number: Int, _ value: Bytes) {
    let partition = Self.partition(number)
    let offset = end(partition)
    entries[Self.event(partition, offset)] = Bytes("\(Self.key(number))=\(value)")
    entries[Bytes("end \(partition)")] = Bytes("\(offset + 1)")
    entries[Bytes("cursor \(Self.cursorName) \(partition)")] = Bytes("\(offset)")
    entries[Bytes("producer \(Self.producerName)")] = Bytes("\(number + 1)")
  }

  mutating func trim(before offset: Int) {
    for gone in 0..<min(offset, end(0)) { entries[Self.event(0, gone)] = nil }
  }

  mutating func compactKeys(of partition: Int) {
    var seen: Set<Substring> = []
    for offset in (0..<end(partition)).reversed() {
      let event = Self.event(partition, offset)
      guard let key = entries[event]?.text?.split(separator: "=").first else { continue }
      if !seen.insert(key).inserted { entries[event] = nil }
    }
  }

  /// What a stream holds, by all that reads it.
  init(of stream: EventStream, in store: Store) throws {
    entries = [:]
    for partition in 0..<stream.partitionCount {
      let offsets = try store.blocking.offsets(of: stream, partition: partition)
      // One without events may have an end all the same.
      if offsets.upperBound > 0 {
        entries[Bytes("end \(partition)")] = Bytes("\(offsets.upperBound)")
      }
      let scan = try store.blocking.events(of: stream, partition: partition)
      while let event = try scan.next() {
        guard offsets.contains(event.position.offset), let key = event.key else {
          throw Violation(description: "event \(event.position) is not in \(offsets)")
        }
        entries[Self.event(partition, Int(event.position.offset))] = Bytes("\(key)=\(event.value)")
      }
    }
    for cursor in try store.blocking.cursors(of: stream) {
      for (partition, offset) in try store.blocking.offsets(of: cursor) {
        entries[Bytes("cursor \(cursor.name) \(partition)")] = Bytes("\(offset)")
      }
    }
    for producer in try store.blocking.producers(of: stream) {
      let next = try store.blocking.nextNumber(of: producer)
      entries[Bytes("producer \(producer.name)")] = Bytes("\(next)")
    }
  }
}

extension Client {
  func runOnStream(_ step: Step, _ store: Store.Blocking) throws {
    let stream = try stream(store)
    let before = StreamContents(model.last[StreamContents.name] ?? [:])
    switch step {
    case .append(let count, let synced):
      let producer = try StreamContents.producer(of: stream)
      let cursor = try StreamContents.cursor(of: stream)
      var batch = Store.Batch()
      var next = before
      for number in before.nextNumber..<before.nextNumber + count {
        let partition = StreamContents.partition(number)
        let value = makeValue(20 + number % 3 * 90)
        batch.move(
          cursor, to: EventPosition(partition: partition, offset: UInt64(next.end(partition))))
        batch.append(
          NewEvent(value, key: StreamContents.key(number), timestamp: Int64(number)),
          by: producer, number: UInt64(number), partition: partition)
        next.append(number, value)
      }
      let value = makeValue(9)
      batch.put(Self.key(7), value)
      model.begin { contents in
        contents[StreamContents.name] = next.entries
        contents["", default: [:]][Self.key(7)] = value
      }
      try store.commit(batch, durability: synced ? .synced : .buffered)
      model.acknowledge(synced: synced)
    case .appendAgain:
      let count = min(3, before.nextNumber)
      let events = (0..<count).map { _ in NewEvent("again", key: "again") }
      let outcome = try store.append(
        contentsOf: events, by: try StreamContents.producer(of: stream),
        from: UInt64(before.nextNumber - count))
      guard outcome.repeatedCount == count, outcome.positions.isEmpty else {
        throw Violation(description: "what was appended again is stored again: \(outcome)")
      }
    case .trim(let offset):
      change(before) { $0.trim(before: offset) }
      try store.trim(stream, partition: 0, before: UInt64(offset))
      model.acknowledge(synced: false)
    default:
      // A commit for each partition, and an error says nothing of those before.
      isOutcomeOpen = true
      for partition in 0..<StreamContents.partitionCount {
        change(StreamContents(model.last[StreamContents.name] ?? [:])) {
          $0.compactKeys(of: partition)
        }
      }
      try store.compact(stream, by: KeyCompaction())
      isOutcomeOpen = false
      model.acknowledge(synced: false)
    }
  }

  private func change(_ before: StreamContents, _ body: (inout StreamContents) -> Void) {
    var next = before
    body(&next)
    model.begin { $0[StreamContents.name] = next.entries }
  }

  private func stream(_ store: Store.Blocking) throws -> EventStream {
    if try !store.streams().contains(StreamContents.name) {
      model.beginKeyspaces { $0.insert(StreamContents.name) }
      _ = try store.createStream(
        StreamContents.name, partitionCount: StreamContents.partitionCount)
      model.acknowledgeKeyspaces()
    }
    return try store.stream(StreamContents.name)
  }
}
