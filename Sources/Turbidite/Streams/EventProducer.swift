// EventProducer — who appends, so that an append which is repeated is stored once.
//
// Room:    Turbidite/Streams.
// Format:  FORMAT.md section 5.2.
// Source:  Kafka's idempotent producer (KIP-98), numbering events instead of batches.

internal import TurbiditeEngine

/// A producer of a stream's events, under a name.
///
/// It numbers its events 0, 1, 2 and so on, over all partitions, and says the numbers when it
/// appends. The store keeps the next number in the commit that brings the events, so whoever does
/// not know what became of an append, because the process was killed or the answer lost, appends
/// again: events that are in the store are not stored twice. Where to go on after a restart says
/// ``Store/Blocking/nextNumber(of:)``. Two writers under one name are one producer, and get in each
/// other's way.
public struct EventProducer: Sendable {
  /// The stream that it appends to.
  public let stream: EventStream
  /// 1 to 255 bytes of UTF-8.
  public let name: String

  let id: ProducerID

  /// A producer of a stream; it is nowhere but here until it appends.
  ///
  /// - Throws: `invalidArgument` for a name that is empty or too long.
  public init(_ name: String, of stream: EventStream) throws(StoreError) {
    guard 1...255 ~= name.utf8.count else {
      throw .invalidArgument("a producer's name has 1 to 255 bytes of UTF-8")
    }
    self.name = name
    self.stream = stream
    id = ProducerID(stream: stream.state.id, name: Array(name.utf8))
  }
}

/// What became of a producer's events.
public struct ProducedEvents: Hashable, Sendable {
  /// So many of the first ones were in the store already.
  public var repeatedCount: Int
  /// Where the others lie.
  public var positions: [EventPosition]
}

extension Store.Batch {
  /// Appends an event, which is the producer's event `number`.
  ///
  /// A batch has the events of one producer at most, with numbers that follow each other. When all
  /// of them are in the store already, nothing of the batch is applied, the puts and deletes
  /// beside them neither, the commit succeeds, and returns no positions. When they begin elsewhere
  /// than at the producer's next number, the commit throws
  /// ``StoreError/outOfSequence(producer:number:expected:)``.
  ///
  /// - Parameter partition: nil means the one that the event's key chooses; an event without a key
  ///   goes to each in turn.
  public mutating func append(
    _ event: NewEvent, by producer: EventProducer, number: UInt64, partition: Int? = nil
  ) {
    note(encoded.claim(number, by: producer.id))
    append(event, to: producer.stream, partition: partition)
  }

  /// Forgets a producer: its next event is number 0 again.
  public mutating func remove(_ producer: EventProducer) {
    requireThere(producer.stream)
    note(encoded.remove(producer.id))
  }
}

extension Store.Blocking {
  /// The number of the producer's next event: how many of its events were stored.
  public func nextNumber(of producer: EventProducer) throws(StoreError) -> UInt64 {
    let pin = SnapshotPin(store: store)
    return try store.engine.nextNumber(
      of: producer.id, in: producer.stream.state, at: pin.sequence)
  }

  /// Appends events, the first of which is the producer's event `number`, all or none of those that
  /// are not in the store.
  ///
  /// - Throws: ``StoreError/outOfSequence(producer:number:expected:)`` when events before `number`
  ///   are missing.
  @discardableResult
  public func append(
    contentsOf events: some Sequence<NewEvent>, by producer: EventProducer, from number: UInt64,
    durability: Durability = .buffered
  ) throws(StoreError) -> ProducedEvents {
    var rest = NumberedEvents(events, from: number)
    while true {
      do throws(StoreError) {
        return rest.outcome(try commit(rest.batch(of: producer), durability: durability))
      } catch { try rest.skipRepeated(error) }
    }
  }

  /// The producers of a stream, by name.
  public func producers(of stream: EventStream) throws(StoreError) -> [EventProducer] {
    let pin = SnapshotPin(store: store)
    let (from, to) = StreamKey.producers
    let scan = try store.engine.scan(
      stream.state, at: pin.sequence, pinnedBy: pin, from: from, to: to, reverse: false)
    var producers: [EventProducer] = []
    while try scan.advance() {
      let name = scan.withEntry { key, _ in
        StreamKey.readProducer(key).flatMap { String(validating: $0, as: UTF8.self) }
      }
      if let name { producers.append(try EventProducer(name, of: stream)) }
    }
    return producers
  }
}

extension Store {
  /// Appends events of a producer; see ``Blocking/append(contentsOf:by:from:durability:)``.
  ///
  /// The task is suspended, not blocked.
  @discardableResult
  public func append(
    contentsOf events: some Sequence<NewEvent>, by producer: EventProducer, from number: UInt64,
    durability: Durability = .buffered
  ) async throws(StoreError) -> ProducedEvents {
    var rest = NumberedEvents(events, from: number)
    while true {
      do throws(StoreError) {
        return rest.outcome(try await commit(rest.batch(of: producer), durability: durability))
      } catch { try rest.skipRepeated(error) }
    }
  }
}

/// Events of a producer that are on their way, less those that proved to be stored.
private struct NumberedEvents {
  private let events: [NewEvent]
  private var rest: ArraySlice<NewEvent>
  private var number: UInt64

  init(_ events: some Sequence<NewEvent>, from number: UInt64) {
    self.events = Array(events)
    rest = self.events[...]
    self.number = number
  }

  func batch(of producer: EventProducer) -> Store.Batch {
    var batch = Store.Batch()
    for (index, event) in rest.enumerated() {
      batch.append(event, by: producer, number: number &+ UInt64(index))
    }
    return batch
  }

  func outcome(_ positions: [EventPosition]) -> ProducedEvents {
    ProducedEvents(repeatedCount: events.count - positions.count, positions: positions)
  }

  /// Leaves out what is stored, where a commit was refused because of that; else throws.
  mutating func skipRepeated(_ error: StoreError) throws(StoreError) {
    guard case .outOfSequence(_, _, let expected) = error, expected > number,
      expected - number < UInt64(rest.count)
    else { throw error }
    rest = rest.dropFirst(Int(expected - number))
    number = expected
  }
}
