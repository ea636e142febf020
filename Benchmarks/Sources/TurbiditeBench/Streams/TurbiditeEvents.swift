// TurbiditeEvents — our streams, through our own interface.
//
// Room:    Benchmarks.

import Turbidite

final class TurbiditeEvents: EventEngine {
  private let store: Store
  private let stream: EventStream
  private let durability: Durability

  init(directory: String, sync: Sync) throws {
    store = try Store.Blocking.open(at: directory + "/store")
    stream = try store.blocking.createStream("events", partitionCount: 1)
    durability = sync == .synced ? .synced : .buffered
  }

  func writer() throws -> any EventWriter { Writer(store, stream, durability) }

  func tail() throws -> any EventReader { Reader(store.blocking.tail(stream)) }

  func eventCount() throws -> Int {
    Int(try store.blocking.offsets(of: stream, partition: 0).upperBound)
  }

  func close() throws { try store.blocking.close() }

  private final class Writer: EventWriter {
    private let store: Store
    private let stream: EventStream
    private let durability: Durability
    private var batch = Store.Batch()

    init(_ store: Store, _ stream: EventStream, _ durability: Durability) {
      self.store = store
      self.stream = stream
      self.durability = durability
    }

    func append(_ count: Int, _ event: (Int) -> Lent) throws {
      for index in 0..<count {
        batch.append(value: event(index).bytes, to: stream)
      }
      try store.blocking.commit(&batch, durability: durability)
    }
  }

  private final class Reader: EventReader {
    private let tail: BlockingEventTail

    init(_ tail: BlockingEventTail) { self.tail = tail }

    func read(_ body: (Lent) -> Void) throws {
      for event in try tail.next() {
        event.value.array.withUnsafeBytes(body)
      }
    }
  }
}
