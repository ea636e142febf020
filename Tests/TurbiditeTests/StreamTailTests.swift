// StreamTailTests — a tail sees every event once, in order, soon, and ends when it must.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation

@testable import Turbidite

@Suite("Tails of streams", .timeLimit(.minutes(2)))
struct StreamTailTests {
  /// Checks that each partition's offsets follow each other.
  private struct Sequel {
    var next: [Int: UInt64] = [:]
    var count = 0

    mutating func take(_ events: [Event]) {
      #expect(!events.isEmpty && events.count <= 256)
      for event in events {
        #expect(event.position.offset == next[event.position.partition, default: 0])
        next[event.position.partition] = event.position.offset + 1
        count += 1
      }
    }
  }

  @Test("a task that tails from the start sees each event once, beside writers", arguments: [1, 7])
  func everyEvent(partitionCount: Int) async throws {
    let scratch = ScratchDirectory()
    let store = try await Store.open(
      at: scratch.file("store"), options: Store.Options(shardCount: 3))
    let stream = try await store.createStream("clicks", partitionCount: partitionCount)
    for number in 0..<100 { try await store.append(NewEvent(Bytes("\(number)")), to: stream) }
    let total = 3_000
    async let tailed = {
      var sequel = Sequel()
      for try await events in store.tail(stream, from: .start) {
        sequel.take(events)
        if sequel.count == total { break }
      }
      return sequel
    }()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          for number in 0..<(total - 100) / 4 {
            try await store.append(
              NewEvent(Bytes("\(writer)/\(number)"), key: Bytes("\(number % 50)")), to: stream)
          }
        }
      }
      try await group.waitForAll()
    }
    let sequel = try await tailed
    #expect(sequel.count == total)
    for partition in 0..<partitionCount {
      let end = try store.blocking.offsets(of: stream, partition: partition).upperBound
      #expect(sequel.next[partition, default: 0] == end)
    }
    try await store.close()
  }

  @Test("a tail from the end sees what comes later, in the partitions asked for")
  func fromTheEnd() async throws {
    let scratch = ScratchDirectory()
    let store = try await Store.open(at: scratch.file("store"))
    let stream = try await store.createStream("clicks", partitionCount: 3)
    try await store.append(NewEvent("old"), to: stream, partition: 1)
    var iterator = store.tail(stream, partitions: [1, 2]).makeAsyncIterator()
    for partition in 0..<3 {
      try await store.append(NewEvent(Bytes("new \(partition)")), to: stream, partition: partition)
    }
    var seen: [EventPosition] = []
    while seen.count < 2 { seen += try #require(try await iterator.next()).map(\.position) }
    #expect(Set(seen) == [.init(partition: 1, offset: 1), .init(partition: 2, offset: 0)])
    var offsets = store.tail(stream, from: .offsets([1: 1, 0: 9])).makeAsyncIterator()
    let found = try #require(try await offsets.next())
    #expect(Set(found.map(\.position)) == Set(seen))
    try await store.close()
  }

  @Test("a batch is bounded, and no partition waits for a busy one")
  func batches() throws {
    let machine = SimulatedMachine(seed: 8)
    let store = try machine.open()
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    let events = (0..<1_000).map { NewEvent(Bytes("\($0)")) }
    for event in events { try store.blocking.append(event, to: stream, partition: 0) }
    for event in events.prefix(10) { try store.blocking.append(event, to: stream, partition: 1) }
    let tail = store.blocking.tail(stream, from: .start)
    var sequel = Sequel()
    sequel.take(try tail.next())
    sequel.take(try tail.next())
    #expect(sequel.next[1] == 10, "the second batch begins with the other partition")
    while sequel.count < 1_010 { sequel.take(try tail.next()) }
    try store.blocking.append(NewEvent(Bytes([UInt8](repeating: 1, count: 70_000))), to: stream)
    try store.blocking.append(NewEvent("small"), to: stream, partition: 0)
    #expect(try tail.next().count == 1)
    #expect(try tail.next().count == 1)
    #expect(try tail.next(waitingAtMost: .zero) == [])
    #expect(try tail.next(waitingAtMost: .milliseconds(3)) == [])
    try store.blocking.close()
    #expect(throws: StoreError.self) { _ = try tail.next() }
  }

  /// What ends a walk that waits.
  enum End: CaseIterable, Sendable {
    case cancelled, closed, dropped
  }

  @Test(
    "a task that waits ends when it is cancelled, and when there will be no more",
    arguments: End.allCases)
  func ends(_ end: End) async throws {
    let scratch = ScratchDirectory()
    let store = try await Store.open(at: scratch.file("store"))
    let stream = try await store.createStream("clicks", partitionCount: 2)
    let hasBegun = AsyncStream.makeStream(of: Void.self)
    let task = Task { () throws(StoreError) -> Int in
      var count = 0
      for try await events in store.tail(stream, from: .start) {
        count += events.count
        hasBegun.continuation.yield()
      }
      return count
    }
    try await store.append(NewEvent("first"), to: stream)
    for await _ in hasBegun.stream { break }
    switch end {
    case .cancelled: task.cancel()
    case .closed: try await store.close()
    case .dropped: try await store.dropStream("clicks")
    }
    do {
      _ = try await task.value
      Issue.record("an endless walk ended")
    } catch let error as StoreError {
      switch (end, error) {
      case (.cancelled, .cancelled), (.closed, .closed), (.dropped, .notFound): break
      default: Issue.record("\(end) gave \(error)")
      }
    }
    if end != .closed { try await store.close() }
  }

  @Test("a thread that waits is woken by an append, and by the end of the store")
  func threads() throws {
    let scratch = ScratchDirectory()
    let store = try Store.Blocking.open(at: scratch.file("store"))
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    let seen = Mutex<[[String?]]>([])
    let progress = DispatchSemaphore(value: 0)
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      do {
        let tail = store.blocking.tail(stream, from: .start)
        while true {
          let events = try tail.next()
          seen.withLock { $0.append(events.map(\.value.text)) }
          progress.signal()
        }
      } catch {
        guard case StoreError.closed = error else {
          Issue.record("\(error)")
          return
        }
        done.signal()
      }
    }
    thread.start()
    for number in 0..<20 {
      do { try store.blocking.append(NewEvent(Bytes("\(number)")), to: stream) } catch {
        Issue.record("\(error)")
      }
      progress.wait()
    }
    #expect(seen.withLock { $0.flatMap(\.self) } == (0..<20).map { "\($0)" })
    try store.blocking.close()
    done.wait()
  }
}
