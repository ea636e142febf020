// ReshardingTests — shards come and go under everything else that a store does.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// Slots move beside readers, writers, scans and tails; what is in between is whole, too.
@Suite("Resharding")
struct ReshardingTests {
  private static func smallParts(_ shardCount: Int?) -> Store.Options {
    var options = Store.Options()
    options.shardCount = shardCount
    options.memtableByteCount = 32 << 10
    options.tableByteCount = 32 << 10
    options.memoryBudgetByteCount = 2 << 20
    options.logByteCount = 256 << 10
    return options
  }

  private struct Broken: Error { var what: String }

  private final class End: Sendable {
    let hasCome = Atomic<Bool>(false)
  }

  /// The numbers of shards that hold slots.
  private func members(_ store: Store) throws -> [Int] {
    try store.blocking.statistics().shards.filter { $0.slotCount > 0 }.map(\.shard)
  }

  @Test("readers, writers, scans and tails go on while shards come and go")
  func beside() async throws {
    let scratch = ScratchDirectory()
    let path = scratch.file("store")
    let store = try await Store.open(at: path, options: Self.smallParts(2))
    let stream = try await store.createStream("clicks", partitionCount: 6)
    let changeCount = environmentCount("TURBIDITE_RESHARDINGS", default: 8)
    let end = End()
    let rounds = try await withThrowingTaskGroup(of: Int.self) { group in
      group.addTask {
        var round = 0
        while !end.hasCome.load(ordering: .acquiring) {
          round += 1
          // One number under keys that lie in different shards, some of which are new each time.
          var batch = Store.Batch()
          for part in 0..<6 { batch.put(Bytes("part \(part)"), Bytes("\(round)")) }
          batch.put(Bytes("log \(round)"), Bytes(String(repeating: "x", count: 200)))
          if round > 500 { batch.delete(Bytes("log \(round - 500)")) }
          if round % 97 == 0 { batch.deleteRange(KeyRange(from: "gone", to: "gonf")) }
          batch.put(Bytes("gone \(round)"), "1")
          batch.append(NewEvent(Bytes("\(round)"), key: Bytes("key \(round % 40)")), to: stream)
          _ = try await store.commit(batch, durability: round % 50 == 0 ? .synced : .buffered)
          guard try await store.get("part 3") == Bytes("\(round)") else {
            throw Broken(what: "own write of \(round)")
          }
        }
        return round
      }
      group.addTask {
        var last = 0
        while !end.hasCome.load(ordering: .acquiring) {
          let snapshot = store.snapshot()
          let parts = snapshot.scan(.prefix("part "))
          var seen: Set<String> = []
          for try await entry in parts { seen.insert(entry.value.text ?? "none") }
          guard seen.count <= 1 else { throw Broken(what: "half a batch: \(seen)") }
          let number = seen.first.flatMap { Int($0) } ?? 0
          guard number >= last else { throw Broken(what: "\(number) after \(last)") }
          last = number
          var count = 0
          for try await _ in snapshot.scan(.prefix("log ")) { count += 1 }
          guard count == min(number, 500) else {
            throw Broken(what: "\(count) log entries at round \(number)")
          }
        }
        return 0
      }
      group.addTask {
        var ends: [Int: UInt64] = [:]
        for try await events in store.tail(stream, from: .start) {
          for event in events {
            guard event.position.offset == ends[event.position.partition, default: 0] else {
              throw Broken(what: "event \(event.position), \(ends)")
            }
            ends[event.position.partition] = event.position.offset + 1
          }
          if end.hasCome.load(ordering: .acquiring) { break }
        }
        return 0
      }
      for change in 0..<changeCount {
        let held = try self.members(store)
        switch change % 4 {
        case 0, 1: try await store.reshard(.add)
        case 2: try await store.reshard(.remove(held[change % held.count]))
        default: try await store.reshard(.rebalance)
        }
        if change % 3 == 2 { try await store.compact() }
      }
      end.hasCome.store(true, ordering: .releasing)
      // So that the tail, which waits for events, sees it.
      while let round = try await group.next() {
        if round > 0 {
          _ = try await store.append(NewEvent("end"), to: stream)
          return round
        }
        _ = try await store.append(NewEvent("end"), to: stream)
      }
      return 0
    }
    #expect(rounds > 0)
    try await store.compact()
    #expect(try store.statistics().isSettled)
    try await store.close()
    try requireUndamaged(path)
  }

  private func requireUndamaged(_ path: String) throws {
    var findings: [Verification.Finding] = []
    _ = try verify(storeAt: path, deep: true) { event throws(StoreError) in
      if case .finding(let finding) = event { findings.append(finding) }
    }
    #expect(findings.filter { $0.severity == .damage } == [])
  }

  @Test("adding a shard moves its share and no more, and compaction leaves the others none of it")
  func bytes() throws {
    let machine = SimulatedMachine(seed: 3)
    let store = try machine.open(Self.smallParts(3))
    for number in 0..<4000 { try store.blocking.put(Bytes("key \(number)"), Bytes("v \(number)")) }
    let plan = try store.blocking.plan(.add)
    #expect(plan.movedSlotCount == 1024)
    #expect(try store.blocking.reshard(.add) == plan)
    #expect(plan.shares.map(\.slotsAfter) == [1024, 1024, 1024, 1024])
    #expect(plan.shares.map(\.slotsBefore) == [1365, 1366, 1365, 0])
    try store.blocking.compact()
    let statistics = try store.blocking.statistics()
    #expect(statistics.isSettled)
    #expect(statistics.shardCount == 4)
    #expect(statistics.shards.reduce(0) { $0 + $1.entryCount } == 4000)
    #expect(statistics.shards.allSatisfy { 900...1100 ~= $0.entryCount })
    #expect(try machine.verify() == [])
    // A shard that leaves leaves nothing.
    try store.blocking.reshard(.remove(1))
    try store.blocking.compact()
    let after = try store.blocking.statistics()
    #expect(after.shards[1].entryCount == 0)
    #expect(after.shards.reduce(0) { $0 + $1.entryCount } == 4000)
    #expect(after.shardCount == 3)
    // The next one takes its number.
    #expect(try store.blocking.reshard(.add).shares.map(\.shard) == [0, 1, 2, 3])
  }

  @Test("rebalancing evens out partitions of a stream that lie in one shard")
  func rebalancing() throws {
    let machine = SimulatedMachine(seed: 3)
    let store = try machine.open(Self.smallParts(2))
    let stream = try store.blocking.createStream("clicks", partitionCount: 16)
    func count() throws -> [UInt64] { try store.blocking.statistics().shards.map(\.byteCount) }
    for number in 0..<8000 {
      try store.blocking.append(
        NewEvent(Bytes("event \(number)"), key: Bytes("\(number)")), to: stream,
        partition: number % 16)
    }
    // The first half of them is what one shard has more than the other.
    for partition in 0..<16 where partition % 4 != 0 {
      try store.blocking.trim(stream, partition: partition, before: 500)
    }
    try store.blocking.compact()
    let before = try count()
    try store.blocking.reshard(.rebalance)
    try store.blocking.compact()
    let after = try count()
    #expect(
      Int(after[0]) - Int(after[1]) <= max(1, abs(Int(before[0]) - Int(before[1]))), "\(before)")
    for partition in 0..<16 {
      let offsets = try store.blocking.offsets(of: stream, partition: partition)
      #expect(offsets == (partition % 4 == 0 ? 0..<500 : 500..<500))
    }
    #expect(try store.blocking.plan(.rebalance).movedSlotCount == 0)
  }

  @Test("what cannot be is refused, and nothing moves")
  func refusals() throws {
    let machine = SimulatedMachine(seed: 3)
    let store = try machine.open(Self.smallParts(1))
    func refusal(_ change: ShardChange) -> String? {
      do throws(StoreError) { try store.blocking.reshard(change) } catch { return error.errorClass }
      return nil
    }
    #expect(refusal(.remove(0)) == "invalidArgument")
    #expect(refusal(.remove(1)) == "notFound")
    #expect(refusal(.remove(-1)) == "notFound")
    #expect(refusal(.rebalance) == nil)
    try store.blocking.reshard(.add)
    try store.blocking.reshard(.remove(0))
    #expect(refusal(.remove(0)) == "notFound")
    #expect(refusal(.remove(1)) == "invalidArgument")
    let reader = try machine.open(mode: .readOnly)
    do throws(StoreError) {
      try reader.blocking.reshard(.add)
      Issue.record("a store that is open for reading was changed")
    } catch { #expect(error.errorClass == "permission") }
    try store.blocking.close()
    #expect(refusal(.add) == "closed")
    // The number of shards that a store is opened with is what it must have now.
    #expect(try machine.open(Store.Options(shardCount: 1)).blocking.statistics().shardCount == 1)
  }

  /// A store whose slots are on their way, and what it should hold.
  private struct Standing {
    let machine: SimulatedMachine
    let store: Store
    var expected: [PlacedKey: [UInt8]] = [:]

    init(seed: UInt64) throws {
      machine = SimulatedMachine(seed: seed)
      store = try machine.open(ReshardingTests.smallParts(2))
      for number in 0..<1500 { try put(number, "value \(number)") }
      try store.blocking.flush()
    }

    mutating func put(_ number: Int, _ text: String) throws {
      let (key, value) = (Bytes("key \(number)"), Bytes(text))
      expected[PlacedKey(keyspace: 0, key: key.array)] = value.array
      try store.blocking.put(key, value)
    }

    /// Changes of all kinds, and every one in tables.
    mutating func change(_ name: String) throws {
      for number in 0..<300 { try put(number * 5, "\(name) \(number)") }
      for number in 0..<1500 where number % 11 == 0 {
        expected[PlacedKey(keyspace: 0, key: Bytes("key \(number)").array)] = nil
        try store.blocking.delete(Bytes("key \(number)"))
      }
      try store.blocking.deleteRange(KeyRange(from: "key 7", to: "key 8"))
      expected = expected.filter { !$0.key.key.starts(with: Array("key 7".utf8)) }
      try store.blocking.flush()
    }

    func requireContents(of disk: SimulatedDisk, in directory: String = "") throws {
      for mode in [Store.Mode.readOnly, .existing] {
        let found = try Specimen.contents(of: disk.copy(), in: directory, mode: mode)
        #expect(found.values == expected)
        #expect(found.objection == nil)
      }
    }
  }

  @Test(
    "a store in between is read, verified, copied and repaired",
    arguments: ReshardingStage.allCases, [1, 2])
  func inBetween(_ stage: ReshardingStage, seed: UInt64) throws {
    var standing = try Standing(seed: seed)
    var left: SimulatedDisk?
    var failure: (any Error)?
    let change: ShardChange = seed == 1 ? .add : .remove(0)
    let error = #expect(throws: StoreError.self) {
      try standing.store.blocking.reshard(change) { reached throws(StoreError) in
        do {
          try standing.change("\(reached)")
          guard reached == stage else { return }
          left = standing.machine.disk.copy()
          let copy = SimulatedDisk()
          _ = try standing.store.engine.checkpoint(into: "copy", of: copy)
          try standing.requireContents(of: copy, in: "copy")
        } catch { failure = error }
        throw .cancelled
      }
    }
    #expect(error == .cancelled)
    if let failure { throw failure }
    let disk = try #require(left)
    try standing.requireContents(of: disk)
    let findings = try SimulatedMachine(seed: 1, disk: disk.copy()).verify()
    #expect(findings.filter { $0.severity == .damage } == [])
    let target = SimulatedDisk()
    let repair = try Turbidite.repair(
      disk, name: "simulated", into: "new", of: target, random: SeededRandom(seed: 3)
    ) { (_, _) throws(StoreError) in }
    #expect(repair.isComplete)
    try standing.requireContents(of: target, in: "new")
    // The store that gave up goes on, and another time it comes through.
    try standing.change("later")
    try standing.requireContents(of: standing.machine.disk)
    try standing.store.blocking.reshard(.add)
    try standing.store.blocking.compact()
    try standing.requireContents(of: standing.machine.disk)
    #expect(try standing.machine.verify() == [])
  }

  @Test("a full disk, or a damaged table, leaves the slots where they are")
  func failures() throws {
    var standing = try Standing(seed: 5)
    let disk = standing.machine.disk
    let store = standing.store
    let full = #expect(throws: StoreError.self) {
      try store.blocking.reshard(.add) { stage throws(StoreError) in
        if stage == .begun { disk.setSpaceLimit(0) }
      }
    }
    #expect(full?.errorClass == "resourceExhausted")
    disk.setSpaceLimit(nil)
    try standing.change("after a full disk")
    try standing.requireContents(of: disk)
    #expect(try store.blocking.statistics().shards.map(\.slotCount) == [2048, 2048, 0])
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    let directory = "shards/0001"
    let table = "\(directory)/" + (try #require(try disk.list(directory).sorted().last))
    let before = try members(store)
    try disk.corrupt(table, at: 5000, xor: 0x10)
    let error = #expect(throws: StoreError.self) { try store.blocking.reshard(.add) }
    #expect(error?.errorClass == "corruption")
    #expect(try members(store) == before)
    try store.blocking.put("key", "value")
    #expect(try store.blocking.get("key") == "value")
  }
}
