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
}
