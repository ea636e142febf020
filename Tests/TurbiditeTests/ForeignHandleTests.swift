// ForeignHandleTests — a keyspace or stream of one store is none of another's.

import Testing
import TurbiditeSimulation

@testable import Turbidite
@testable import TurbiditeEngine

/// By number alone a stream's events came into whatever keyspace the other store had under it.
@Suite("Handles of another store")
struct ForeignHandleTests {
  private func expectRefusal(
    _ what: String, _ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      try body()
      Issue.record("\(what) was not refused", sourceLocation: sourceLocation)
    } catch {
      guard case StoreError.invalidArgument = error else {
        Issue.record("\(what): \(error)", sourceLocation: sourceLocation)
        return
      }
    }
  }

  @Test("are refused by reads and commits, and so are those of an earlier opening")
  func refused() throws {
    let store = try SimulatedMachine(seed: 1).open()
    let keyspace = try store.blocking.createKeyspace("words")
    try store.blocking.put("a", "1", in: keyspace)
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    let machine = SimulatedMachine(seed: 2)
    var other = try machine.open()
    // Under the same numbers a stream and a keyspace, the other way round.
    _ = try other.blocking.createStream("words", partitionCount: 2)
    let mine = try other.blocking.createKeyspace("clicks")
    try other.blocking.close()
    other = try machine.open(mode: .existing)

    let cursor = try EventCursor("reader", of: stream)
    for keyspace in [keyspace, mine] {
      expectRefusal("get") { _ = try other.blocking.get("a", in: keyspace) }
      expectRefusal("scan") { _ = try other.blocking.scan(in: keyspace) }
      expectRefusal("put") { try other.blocking.put("a", "2", in: keyspace) }
      expectRefusal("delete") {
        try other.blocking.write { $0.deleteRange(.all, in: keyspace) }
      }
    }
    expectRefusal("append") { try other.blocking.append(NewEvent("x"), to: stream) }
    expectRefusal("events") { _ = try other.blocking.events(of: stream, partition: 0).next() }
    expectRefusal("offsets") { _ = try other.blocking.offsets(of: stream, partition: 0) }
    expectRefusal("trim") { try other.blocking.trim(stream, partition: 0, before: 1) }
    expectRefusal("retain") { try other.blocking.retain(stream, Retention(maximumAge: .zero)) }
    expectRefusal("compact") {
      try other.blocking.compact(stream, by: KeyCompaction())
    }
    expectRefusal("lag") { _ = try other.blocking.lag(of: cursor) }
    expectRefusal("move") {
      try other.blocking.write { $0.move(cursor, to: EventPosition(partition: 0, offset: 1)) }
    }
    expectRefusal("recording") {
      _ = try other.blocking.createKeyspace("new", recordingChangesIn: stream)
    }
    expectRefusal("a batch for two stores") {
      let ours = try other.blocking.keyspace("clicks")
      try other.blocking.write { batch in
        batch.put("a", "2", in: ours)
        batch.append(NewEvent("x"), to: stream)
      }
    }
    let ours = try other.blocking.keyspace("clicks")
    #expect(try other.blocking.get("a", in: ours) == nil)
    let words = try other.blocking.stream("words")
    #expect(try other.blocking.offsets(of: words, partition: 0) == 0..<0)

    // A batch that was refused goes to its own store.
    var batch = Store.Batch()
    batch.append(NewEvent("x"), to: stream, partition: 0)
    expectRefusal("commit") { try other.blocking.commit(&batch) }
    #expect(try store.blocking.commit(&batch).map(\.offset) == [0])
    // Emptied, it is for any store.
    batch.put("a", "3", in: ours)
    try other.blocking.commit(&batch)
    #expect(try other.blocking.get("a", in: ours) == "3")
    #expect(try store.blocking.get("a", in: keyspace) == "1")
    try other.blocking.close()
    try store.blocking.close()
  }

  /// A member of another store's stream took partitions from this one's, or trapped.
  @Test("a cursor of another store shares no group with this one's")
  func groups() throws {
    let store = try SimulatedMachine(seed: 1).open()
    let other = try SimulatedMachine(seed: 2).open()
    let own = try store.blocking.createStream("clicks", partitionCount: 4)
    let foreign = try other.blocking.createStream("clicks", partitionCount: 8)
    for partition in 0..<4 {
      try store.blocking.append(NewEvent("x"), to: own, partition: partition)
    }
    let intruder = store.join(try EventCursor("reader", of: foreign))
    let member = store.join(try EventCursor("reader", of: own))
    expectRefusal("next") { _ = try intruder.blockingNext(waitingAtMost: .zero) }
    expectRefusal("a move") {
      try store.blocking.write {
        $0.move(intruder, behind: EventPosition(partition: 5, offset: 0))
      }
    }
    var seen: Set<Int> = []
    for _ in 0..<8 {
      for event in try member.blockingNext(waitingAtMost: .zero) ?? [] {
        seen.insert(event.position.partition)
      }
    }
    #expect(seen == [0, 1, 2, 3])
    intruder.leave()
    try other.blocking.close()
    try store.blocking.close()
  }

  @Test("a job over what another store holds is refused")
  func jobs() throws {
    let store = try SimulatedMachine(seed: 1).open(Store.Options(shardCount: 16))
    let other = try SimulatedMachine(seed: 2).open(Store.Options(shardCount: 1))
    let stream = try other.blocking.createStream("clicks", partitionCount: 16)
    let words = try other.blocking.createKeyspace("words")
    for partition in 0..<16 {
      expectRefusal("partition \(partition)") {
        _ = try store.blocking.count(over: .events(of: stream, partition: partition))
      }
    }
    expectRefusal("all partitions") { _ = try store.blocking.count(over: .events(of: stream)) }
    expectRefusal("a scan") { _ = try store.blocking.count(over: .scan(in: words)) }
    try other.blocking.close()
    try store.blocking.close()
  }

  @Test("a stream's name drops no keyspace, and a keyspace's no stream")
  func kinds() throws {
    let store = try SimulatedMachine(seed: 3).open()
    _ = try store.blocking.createKeyspace("words")
    _ = try store.blocking.createStream("clicks", partitionCount: 2)
    #expect(throws: StoreError.notFound("stream words")) {
      try store.blocking.dropStream("words")
    }
    #expect(throws: StoreError.notFound("keyspace clicks")) {
      try store.blocking.dropKeyspace("clicks")
    }
    try store.blocking.dropStream("clicks")
    try store.blocking.dropKeyspace("words")
    try store.blocking.close()
  }

  /// It was told that its event has offset 0, of a stream that was gone.
  @Test("a batch with events of a stream that was dropped meanwhile is refused as a whole")
  func dropped() throws {
    let store = try SimulatedMachine(seed: 4).open()
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    try store.blocking.append(NewEvent("x"), to: stream)
    var batch = Store.Batch()
    batch.put("beside", "it")
    batch.append(NewEvent("y"), to: stream)
    try store.blocking.dropStream("clicks")
    #expect {
      try store.blocking.commit(&batch)
    } throws: { error in
      if case StoreError.notFound = error { true } else { false }
    }
    #expect(try store.blocking.get("beside") == nil)
    try store.blocking.put("later", "it")
    try store.blocking.close()
  }
}
