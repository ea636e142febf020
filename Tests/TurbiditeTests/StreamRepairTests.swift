// StreamRepairTests — what a repair does to streams whose events are lost.

import Foundation
import Testing

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Repair of streams")
struct StreamRepairTests {
  /// What a repair lost of a partition's end is given anew, and a cursor stood behind it.
  @Test("a consumer sees what is appended after a repair", arguments: [1, 3, 16])
  func cursors(shardCount: Int) throws {
    let scratch = ScratchDirectory()
    let place = scratch.file("store")
    let store = try Store.Blocking.open(at: place, options: .init(shardCount: shardCount))
    let stream = try store.blocking.createStream("clicks", partitionCount: 6)
    let cursors = try ["far", "near"].map { try EventCursor($0, of: stream) }
    func append(_ value: Bytes, _ count: Int) throws {
      for partition in 0..<6 {
        for _ in 0..<count {
          try store.blocking.append(NewEvent(value), to: stream, partition: partition)
        }
      }
      try store.blocking.flush()
    }
    func tables() -> [String] {
      stream.state.trees.flatMap { $0.version.levels.joined().map(\.path) }
    }
    try append("first", 10)
    // One that is emptied goes on with the offset it would have had.
    try store.blocking.trim(stream, partition: 5, before: 10)
    try store.blocking.flush()
    let kept = Set(tables())
    try append("second", 10)
    let lost = tables().filter { !kept.contains($0) }
    try store.blocking.write { batch in
      for partition in 0..<6 {
        batch.move(cursors[0], behind: EventPosition(partition: partition, offset: 19))
        batch.move(cursors[1], behind: EventPosition(partition: partition, offset: 4))
      }
    }
    try store.blocking.flush()
    try store.blocking.close()
    for table in lost { try FileManager.default.removeItem(atPath: place + "/" + table) }

    let report = try repair(storeAt: place, into: scratch.file("new"))
    #expect(!report.isComplete)
    #expect(report.movedCursorCount == 6)
    let again = try Store.Blocking.open(at: scratch.file("new"), mode: .existing)
    let found = try again.blocking.stream("clicks")
    let reached = try ["far", "near"].map {
      try again.blocking.offsets(of: try EventCursor($0, of: found))
    }
    for partition in 0..<6 {
      let begin: UInt64 = partition == 5 ? 10 : 0
      #expect(try again.blocking.offsets(of: found, partition: partition) == begin..<10)
      #expect(reached[0][partition] == 10)
      #expect(reached[1][partition] == 5)
    }
    let member = again.join(try EventCursor("far", of: found))
    try again.blocking.append(NewEvent("new"), to: found, partition: 3)
    #expect(try member.blockingNext(waitingAtMost: .zero)?.map(\.value) == ["new"])
    try again.blocking.close()
    #expect(try verify(storeAt: scratch.file("new")).damageCount == 0)
  }

  @Test("a repair says that the log's tail is torn, and does not call it a loss")
  func tornTail() throws {
    let scratch = ScratchDirectory()
    let place = scratch.file("store")
    let store = try Store.Blocking.open(at: place)
    for number in 0..<10 {
      try store.blocking.put(Bytes("\(number)"), "x", durability: .synced)
    }
    store.engine.abandon()
    #expect(try !planRepair(storeAt: place).hasTornTail)
    let log = place + "/log/"
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: log).first)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: log + name))
    let last = try #require(bytes.lastIndex { $0 != 0 })
    bytes[last] ^= 1
    try bytes.write(to: URL(fileURLWithPath: log + name))
    let report = try repair(storeAt: place, into: scratch.file("new"))
    #expect(report.hasTornTail && report.isComplete)
    #expect(report.savedEntryCount == 9)
  }
}
