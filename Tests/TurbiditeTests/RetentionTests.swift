// RetentionTests — of a stream whole files go, and no offset is ever given twice.

import Foundation
import Testing
import TurbiditeSimulation

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Retention")
struct RetentionTests {
  /// Small memtables and tables.
  static var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 64 << 10
    options.tableByteCount = 64 << 10
    options.memoryBudgetByteCount = 2 << 20
    options.compresses = false
    return options
  }

  private static let value = Bytes([UInt8](repeating: 7, count: 500))

  /// The summaries of a stream's tables.
  private func summaries(of stream: EventStream) -> [TableSummary] {
    stream.state.trees.flatMap { $0.version.levels.joined() }.map(\.metadata.summary)
  }

  /// Appends `count` events to each partition, a second apart by their timestamps.
  private func fill(_ store: Store, _ stream: EventStream, _ range: Range<Int>) throws {
    for number in range {
      for partition in 0..<stream.partitionCount {
        try store.blocking.append(
          NewEvent(Self.value, timestamp: Int64(number) * 1_000_000), to: stream,
          partition: partition)
      }
    }
  }

  /// One partition, and files that are as large as a flush makes them.
  private func wholeFileStream(_ machine: SimulatedMachine) throws -> (Store, EventStream) {
    var options = Store.Options(shardCount: 1)
    options.memtableByteCount = 2 << 20
    options.memoryBudgetByteCount = 16 << 20
    options.compresses = false
    let store = try machine.open(options)
    return (store, try store.blocking.createStream("clicks", partitionCount: 1))
  }

  /// The range tombstone of one lies in a file with newer events, and begins before them.
  @Test("a retention does not keep the next ones from dropping what has become too much")
  func again() throws {
    let machine = SimulatedMachine(seed: 32)
    let (store, stream) = try wholeFileStream(machine)
    for first in [0, 400] {
      try fill(store, stream, first..<first + 400)
      try store.blocking.flush()
    }
    let most = Retention(maximumByteCount: 250_000)
    for first in stride(from: 0, to: 1200, by: 400) {
      let report = try store.blocking.retain(stream, most)
      #expect(report.dropped == [0: UInt64(first)..<UInt64(first + 400)])
      try fill(store, stream, first + 800..<first + 1200)
      try store.blocking.flush()
    }
    let now = machine.clock.wallMicroseconds()
    let age = Duration.microseconds(Int64(clamping: now) - 1600 * 1_000_000)
    let byAge = try store.blocking.retain(stream, Retention(maximumAge: age))
    #expect(byAge.dropped == [0: 1200..<1600])
    #expect(try store.blocking.offset(of: stream, partition: 0, at: .min) == 1600)
    try store.blocking.close()
  }

  @Test("of many partitions all are trimmed, and no memtable collects the tombstones of all")
  func manyPartitions() throws {
    let machine = SimulatedMachine(seed: 35)
    var options = Self.options
    options.shardCount = 1
    let store = try machine.open(options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 600)
    for partition in 0..<600 {
      try store.blocking.append(NewEvent("x"), to: stream, partition: partition)
    }
    try store.blocking.flush()
    let scheduler = try #require(store.engine.environment.scheduler as? SeededScheduler)
    scheduler.isPaused = true
    let age = Retention(maximumAge: .zero)
    machine.clock.advance(by: 1_000_000_000)
    #expect(try store.blocking.retain(stream, age).dropped.count == 600)
    for tree in stream.state.trees {
      for memtable in tree.version.memtables {
        #expect(memtable.memtable.rangeTombstoneCount <= 2 * Engine.memtableTombstoneCount)
      }
    }
    scheduler.isPaused = false
    for partition in 0..<600 {
      #expect(try store.blocking.offsets(of: stream, partition: partition) == 1..<1)
    }
    try store.blocking.close()
  }

  @Test("events with the least time that there is count like others")
  func leastTime() throws {
    let machine = SimulatedMachine(seed: 34)
    let (store, stream) = try wholeFileStream(machine)
    try fill(store, stream, 0..<400)
    try store.blocking.flush()
    for _ in 0..<100 {
      try store.blocking.append(NewEvent(Self.value, timestamp: .min), to: stream)
    }
    try store.blocking.flush()
    let report = try store.blocking.retain(stream, Retention(maximumByteCount: 100_000))
    #expect(report.dropped == [0: 0..<400], "the newer file alone is within the size")
    #expect(try store.blocking.offsets(of: stream, partition: 0) == 400..<500)
    try store.blocking.close()
  }

  @Test("a stream's tables are written once, and move from level to level")
  func movesTables() throws {
    let machine = SimulatedMachine(seed: 31)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 4)
    let cursor = try EventCursor("reader", of: stream)
    for round in 0..<40 {
      try fill(store, stream, round * 50..<round * 50 + 50)
      var batch = Store.Batch()
      for partition in 0..<4 {
        batch.move(cursor, to: EventPosition(partition: partition, offset: UInt64(50 * round)))
      }
      try store.blocking.commit(batch)
    }
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    var rewrittenCount: UInt64 = 0
    for tree in stream.state.trees {
      let version = tree.version
      #expect(version.levels[0].count < CompactionPicker.level0Trigger)
      for handle in version.levels.joined() {
        let properties = try handle.open().properties
        #expect(properties.largestTimestamp == handle.metadata.summary.largestTimestamp)
        guard let replacement = properties.replacement, !replacement.inputs.isEmpty else {
          continue
        }
        rewrittenCount += properties.entryCount
        // Places of cursors change, and events do not lie beside them.
        #expect(properties.largestTimestamp == .min, "\(properties)")
      }
    }
    #expect(rewrittenCount <= 8)
    let summaries = summaries(of: stream)
    #expect(summaries.count > 40)
    #expect(summaries.reduce(0) { $0 + $1.entryCount } >= 8_000)
    try store.blocking.close()
  }

  @Test("by age whole tables go, no event that is young enough, and a compaction frees the files")
  func age() throws {
    let machine = SimulatedMachine(seed: 32)
    var store = try machine.open(Self.options)
    var stream = try store.blocking.createStream("clicks", partitionCount: 3)
    try fill(store, stream, 0..<1_000)
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    let before = summaries(of: stream).reduce(0) { $0 + $1.byteCount }
    let now = Int64(clamping: machine.clock.wallMicroseconds())
    let cutoff = 600
    let report = try store.blocking.retain(
      stream, Retention(maximumAge: .microseconds(now - Int64(cutoff) * 1_000_000)))
    for partition in 0..<3 {
      let gone = try #require(report.dropped[partition])
      #expect(gone.lowerBound == 0)
      #expect(400...UInt64(cutoff) ~= gone.upperBound, "\(gone)")
      let held = try store.blocking.offsets(of: stream, partition: partition)
      #expect(held == gone.upperBound..<1_000)
      let first = try store.blocking.events(of: stream, partition: partition).next()
      #expect(first?.position.offset == gone.upperBound)
    }
    #expect(report.eventCount == report.dropped.values.reduce(0) { $0 + UInt64($1.count) })
    #expect(report.unread.isEmpty)
    // What goes is not read: the tables that are deleted as a whole may be unreadable.
    try store.blocking.compact()
    let after = summaries(of: stream).reduce(0) { $0 + $1.byteCount }
    #expect(after < before * 6 / 10, "\(before) -> \(after)")
    #expect(summaries(of: stream).allSatisfy { $0.rangeTombstoneCount == 0 })
    let again = try store.blocking.retain(
      stream, Retention(maximumAge: .microseconds(now - Int64(cutoff) * 1_000_000)))
    #expect(again.dropped.isEmpty)
    try store.blocking.close()
    store = try machine.open(Self.options, mode: .existing)
    stream = try store.blocking.stream("clicks")
    for partition in 0..<3 {
      let held = try store.blocking.offsets(of: stream, partition: partition)
      #expect(held == (report.dropped[partition]?.upperBound ?? 0)..<1_000)
    }
    try store.blocking.close()
  }

  @Test("a partition that is emptied goes on with the offset it would have had, through crashes")
  func emptied() throws {
    var machine = SimulatedMachine(seed: 33)
    var store = try machine.open(Self.options)
    var stream = try store.blocking.createStream("clicks", partitionCount: 2)
    var next: UInt64 = 0
    for round in 0..<12 {
      for _ in 0..<5 {
        #expect(
          try store.blocking.append(NewEvent("x"), to: stream, partition: 0).offset == next)
        next += 1
      }
      if round % 3 == 0 { try store.blocking.flush() }
      let gone = try store.blocking.trim(
        stream, partition: 0, before: .max, durability: .synced)
      #expect(gone.upperBound == next)
      if round % 4 == 1 { try store.blocking.compact() }
      #expect(try store.blocking.offsets(of: stream, partition: 0) == next..<next)
      #expect(try store.blocking.offsets(of: stream, partition: 1) == 0..<0)
      #expect(try store.blocking.trim(stream, partition: 0, before: .max) == 0..<0)
      store.engine.abandon()
      if round % 2 == 0 { machine = machine.crashed(.nothingUnsynced) }
      store = try machine.open(Self.options, mode: .existing)
      stream = try store.blocking.stream("clicks")
    }
    #expect(try store.blocking.events(of: stream, partition: 0).next() == nil)
    try store.blocking.close()
  }

  @Test("of threads that trim at once the farthest counts, and no offset is given again")
  func concurrentTrims() throws {
    let scratch = ScratchDirectory()
    var store = try Store.Blocking.open(at: scratch.file("store"))
    var stream = try store.blocking.createStream("clicks", partitionCount: 1)
    for round in 1...150 as ClosedRange<UInt64> {
      try store.blocking.append(
        contentsOf: (0..<20).map { NewEvent(Bytes("\($0)")) }, to: stream)
      let next = 20 * round
      let (blocking, clicks) = (store.blocking, stream)
      DispatchQueue.concurrentPerform(iterations: 4) { thread in
        do {
          let before = next - UInt64(thread == 0 ? 0 : (thread * 5 + Int(round)) % 19)
          try blocking.trim(clicks, partition: 0, before: before)
        } catch { Issue.record("\(error)") }
      }
      try #require(try store.blocking.offsets(of: stream, partition: 0) == next..<next)
      guard round % 50 == 0 else { continue }
      try store.blocking.close()
      store = try Store.Blocking.open(at: scratch.file("store"))
      stream = try store.blocking.stream("clicks")
      try #require(try store.blocking.offsets(of: stream, partition: 0) == next..<next)
    }
    try store.blocking.close()
  }

  @Test("by size the oldest go until the rest fits; what a cursor needs stays, or is reported")
  func sizeAndCursors() throws {
    let machine = SimulatedMachine(seed: 34)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 2)
    try fill(store, stream, 0..<1_000)
    try store.blocking.flush()
    store.engine.waitUntilIdle()
    let slow = try EventCursor("slow", of: stream)
    var batch = Store.Batch()
    batch.move(slow, to: EventPosition(partition: 0, offset: 100))
    try store.blocking.commit(batch)
    let kept = Retention(maximumByteCount: 400_000, keepsUnread: true)
    #expect(throws: StoreError.self) {
      try store.blocking.retain(stream, Retention(maximumByteCount: -1))
    }
    let careful = try store.blocking.retain(stream, kept)
    #expect(careful.dropped == [0: 0..<100], "partition 1 was not read at all")
    #expect(careful.unread.isEmpty)
    let passed = try store.blocking.retain(stream, Retention(keepsUnread: true))
    #expect(passed.dropped.isEmpty)
    let report = try store.blocking.retain(stream, Retention(maximumByteCount: 400_000))
    let gone = try (0..<2).map { try #require(report.dropped[$0]) }
    #expect(gone[0].lowerBound == 100 && gone[1].lowerBound == 0)
    #expect(report.unread == ["slow": gone[0].upperBound - 100 + gone[1].upperBound])
    let rest = (0..<2).reduce(0) { $0 + 1_000 - Int(gone[$1].upperBound) }
    #expect(400...900 ~= rest, "\(rest) events of 500 bytes are kept")
    #expect(try store.blocking.lag(of: slow).reduce(0, +) == UInt64(rest))
    #expect(try store.blocking.retain(stream, Retention()).dropped.isEmpty)
    try store.blocking.close()
  }

  @Test("a full disk can be freed by a retention")
  func fullDisk() throws {
    let machine = SimulatedMachine(seed: 35)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    machine.disk.setSpaceLimit(4_000_000)
    #expect(throws: StoreError.self) { try fill(store, stream, 0..<20_000) }
    let held = try store.blocking.offsets(of: stream, partition: 0)
    try store.blocking.trim(stream, partition: 0, before: held.upperBound - 10)
    try store.blocking.compact()
    #expect(
      try store.blocking.offsets(of: stream, partition: 0)
        == held.upperBound - 10..<held.upperBound)
    machine.clock.advance(by: 2_000_000_000)
    store.engine.waitUntilIdle()
    try fill(store, stream, 0..<1_000)
    try store.blocking.close()
  }

  @Test("a tail begins at a moment, and passes over what is trimmed while it waits")
  func tail() throws {
    let machine = SimulatedMachine(seed: 36)
    let store = try machine.open(Self.options)
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    try fill(store, stream, 0..<300)
    let tail = store.blocking.tail(stream, from: .time(120_500_000))
    #expect(try tail.next().first?.position.offset == 121)
    let behind = store.blocking.tail(stream, from: .start)
    #expect(try behind.next().first?.position.offset == 0)
    try store.blocking.trim(stream, partition: 0, before: 290)
    var offsets: [UInt64] = []
    while let last = try behind.next(waitingAtMost: .zero).last {
      offsets.append(last.position.offset)
    }
    #expect(offsets == [299])
    #expect(try store.blocking.offset(of: stream, partition: 0, at: .max) == 300)
    #expect(try store.blocking.offset(of: stream, partition: 0, at: .min) == 290)
    #expect(throws: StoreError.self) {
      try store.blocking.offset(of: stream, partition: 1, at: 0)
    }
    try store.blocking.close()
  }
}
