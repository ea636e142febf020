// ForgedNumberTests — numbers that pass every checksum and that no store reaches.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// A file that is whole by its checksums and states a number near the end of its range is damage,
/// and never an overflow.
///
/// Method: a small store is given a manifest, and a log header, that state such numbers and are
/// sealed as a writer would seal them; then it is opened, read, verified and checkpointed.
@Suite("Forged numbers")
struct ForgedNumberTests {
  private static let numbers: [UInt64] = [1 << 62, 1 << 63, .max - 200, .max - 1, .max]

  private func writtenStore() throws -> SimulatedDisk {
    let machine = SimulatedMachine(seed: 5)
    let store = try machine.open(Store.Options(shardCount: 1))
    try store.blocking.put("a", "1")
    try store.blocking.flush()
    try store.blocking.put("b", "2")
    try store.blocking.close()
    return machine.disk
  }

  private func restate(
    _ disk: SimulatedDisk, _ change: (inout ManifestState) -> Void
  ) throws {
    let name = try #require(try disk.list("").last { $0.hasPrefix("MANIFEST") })
    let contents = try ManifestContents(try disk.open(name, .read))
    var state = contents.state
    change(&state)
    _ = try ManifestLog(
      fileSystem: disk, store: contents.store, number: contents.number + 1, state: state)
    try disk.remove(name)
  }

  /// Everything that may be done with the disk ends with damage.
  private func expectDamage(_ disk: SimulatedDisk, _ name: Comment) throws {
    for mode in [Store.Mode.existing, .readOnly] {
      let copy = disk.crashed(.processKill)
      do throws(StoreError) {
        let store = try SimulatedMachine(seed: 6, disk: copy)
          .open(Store.Options(shardCount: 1), mode: mode)
        store.engine.abandon()
        Issue.record("\(name), \(mode): it opened")
      } catch {
        guard case .corrupt = error else {
          Issue.record("\(name), \(mode): \(error)")
          continue
        }
      }
    }
    var verifier = StoreVerifier(disk, name: "memory", isDeep: true)
    let count = try verifier.run { _ throws(StoreError) in }
    #expect(count.damageCount > 0, name)
    do throws(StoreError) {
      _ = try Engine.checkpoint(
        of: disk, named: "memory", into: "copy", of: SimulatedDisk())
      Issue.record("\(name): a checkpoint was made")
    } catch {
      guard case .corrupt = error else {
        Issue.record("\(name): \(error)")
        return
      }
    }
  }

  @Test("in the manifest: edit number, log positions, counters", arguments: numbers)
  func manifest(_ number: UInt64) throws {
    let changes: [(Comment, (inout ManifestState) -> Void)] = [
      ("edit number", { $0.editNumber = number }),
      ("floor position", { $0.logFloorPosition = number }),
      ("synced position", { $0.syncedPosition = number }),
      ("next file", { $0.nextFileNumber = number }),
      ("log floor", { $0.logFloor = number }),
      ("last sequence", { $0.lastSequence = number }),
    ]
    for (name, change) in changes {
      let disk = try writtenStore()
      try restate(disk, change)
      try expectDamage(disk, name)
    }
  }

  @Test("in a segment: where it begins, what was durable, what was written", arguments: numbers)
  func segment(_ number: UInt64) throws {
    for part in 0..<3 {
      let disk = try writtenStore()
      let path = "log/" + (try #require(try disk.list("log").last))
      var bytes = try #require(disk.contents(path))
      let decoded = try bytes.withView { view throws(StoreError) in
        try LogSegmentHeader.decode(view, file: path)
      }
      var header = try #require(decoded)
      switch part {
      case 0:
        header.basePosition = number
        try restate(disk) {
          $0.logFloorPosition = number
          $0.syncedPosition = 0
        }
      case 1: header.syncedPosition = number
      default: header.lastSequence = number
      }
      bytes.replaceSubrange(0..<LogSegmentHeader.byteCount, with: header.encoded())
      try disk.setContents(path, bytes)
      // The last sequence number is for people: nothing is computed from it.
      if part < 2 { try expectDamage(disk, "part \(part)") }
    }
  }

  @Test("in a file's name: such a file is not ours, and in nobody's way", arguments: numbers)
  func name(_ number: UInt64) throws {
    let disk = try writtenStore()
    for path in [
      "MANIFEST-\(number)", "MANIFEST-\(number).new", "log/\(number).tlog",
      "log/\(number).tlog.new", "shards/0000/\(number).tsst",
    ] {
      try disk.setContents(path, [1, 2, 3])
    }
    for mode in [Store.Mode.readOnly, .existing] {
      let store = try SimulatedMachine(seed: 6, disk: disk)
        .open(Store.Options(shardCount: 1), mode: mode)
      #expect(try store.blocking.get("b") == "2")
      store.engine.abandon()
    }
    var verifier = StoreVerifier(disk, name: "memory", isDeep: true)
    #expect(try verifier.run { _ throws(StoreError) in }.damageCount == 0)
    _ = try Engine.checkpoint(of: disk, named: "memory", into: "copy", of: SimulatedDisk())
  }

  /// What a writer would go on from, and then write a number that no reader accepts.
  @Test(
    "near the end of the range: the store is read, and not opened for writing",
    arguments: [1 << 61, 1 << 62 - 2, 1 << 62 - 1] as [UInt64])
  func exhausted(_ number: UInt64) throws {
    let changes: [(Comment, (SimulatedDisk) throws -> Void)] = [
      ("edit number", { try restate($0) { $0.editNumber = number } }),
      ("synced position", { try restate($0) { $0.syncedPosition = number } }),
      ("next file", { try restate($0) { $0.nextFileNumber = number } }),
      ("name of a segment", { try $0.setContents("log/\(number).tlog.new", [1]) }),
      ("name of a table", { try $0.setContents("shards/0000/\(number).tsst", [1]) }),
      ("name of a manifest", { try $0.setContents("MANIFEST-\(number).new", [1]) }),
    ]
    for (name, change) in changes {
      let disk = try writtenStore()
      try change(disk)
      let before = disk.durableHash
      do throws(StoreError) {
        let store = try SimulatedMachine(seed: 6, disk: disk).open(mode: .existing)
        store.engine.abandon()
        Issue.record("\(name): it opened")
      } catch {
        guard case .resourceExhausted = error else {
          // A log that ends below what was durable has lost its end.
          if case .corrupt = error, name == "synced position" { continue }
          Issue.record("\(name): \(error)")
          continue
        }
      }
      #expect(disk.durableHash == before, "\(name): a refused opening wrote")
      let store = try SimulatedMachine(seed: 6, disk: disk).open(mode: .readOnly)
      #expect(try store.blocking.get("a") == "1", name)
      store.engine.abandon()
      // A checkpoint is made of what the manifest names, and of that it makes one that opens.
      let copies = SimulatedDisk()
      do throws(StoreError) {
        _ = try Engine.checkpoint(of: disk, named: "memory", into: "copy", of: copies)
      } catch {
        guard case .resourceExhausted = error else {
          Issue.record("\(name): \(error)")
          continue
        }
        #expect(try copies.list("").isEmpty, name)
      }
    }
  }

  @Test("a table's figures are bounded, so that no sum of them overflows")
  func tableFigures() throws {
    let changes: [(Comment, @Sendable (inout TableSummary, UInt64) -> Void)] = [
      ("bytes", { $0.byteCount = $1 }), ("entries", { $0.entryCount = $1 }),
      ("raw bytes", { $0.rawByteCount = $1 }),
      ("range tombstones", { $0.rangeTombstoneCount = $1 }),
    ]
    for (name, change) in changes {
      for number in [1 << 40] + Self.numbers {
        let disk = try writtenStore()
        try restate(disk) { state in
          for tree in state.trees.keys {
            for level in 0..<Limits.levelCount {
              for index in state.trees[tree]?.levels[level].indices ?? 0..<0 {
                guard var table = state.trees[tree]?.levels[level][index] else { continue }
                change(&table.summary, number)
                state.trees[tree]?.levels[level][index] = table
              }
            }
          }
        }
        try expectDamage(disk, name)
      }
    }
  }

  @Test("an event at an offset that none can have is damage", arguments: [1 << 62, UInt64.max])
  func offset(_ offset: UInt64) throws {
    let store = try SimulatedMachine(seed: 5).open(Store.Options(shardCount: 1))
    let stream = try store.blocking.createStream("clicks", partitionCount: 1)
    var batch = EncodedBatch()
    let key = StreamKey.bytes(partition: 0, offset: offset)
    let value = [UInt8](repeating: 0, count: 10)
    let id = stream.state.id
    key.withView { key in
      value.withView { value in batch.append(.value, keyspace: id, key, value) }
    }
    try store.engine.commit(&batch, synced: true)
    for attempt in [
      { _ = try store.blocking.offsets(of: stream, partition: 0) },
      { _ = try store.blocking.append(NewEvent("y"), to: stream) },
      { _ = try store.blocking.tail(stream, from: .start).next() },
    ] as [() throws -> Void] {
      let error = #expect(throws: StoreError.self) { try attempt() }
      guard case .corrupt? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
    }
    store.engine.abandon()
  }
}
