// ReadCases — docs/catalogue.md: reading where not all can be read, or nothing written.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Cases of reading")
struct ReadCases {
  private static var options: Store.Options {
    var options = Store.Options(shardCount: 1)
    options.blockByteCount = 256
    options.compresses = false
    return options
  }

  /// A store with two overlapping tables and a log, as a kill leaves it.
  private func writtenMachine() throws -> SimulatedMachine {
    let machine = SimulatedMachine(seed: 39)
    let store = try machine.open(Self.options)
    for part in 0..<2 {
      for number in 100..<200 where number % 2 == part || number % 10 == 0 {
        let value = Bytes(String(repeating: "\(part)", count: 100))
        try store.blocking.put(Bytes("key\(number)"), value)
      }
      try store.blocking.flush()
    }
    try store.blocking.put("logged", "1")
    store.engine.abandon()
    return machine
  }

  @Test("case 30: on a full disk a store can be opened for reading")
  func case30() throws {
    let machine = try writtenMachine()
    machine.disk.setSpaceLimit(1)
    #expect(storeError { _ = try machine.open(Self.options) }?.exitStatus == 73)
    let reader = try machine.open(Self.options, mode: .readOnly)
    #expect(try reader.blocking.scan().count() == 101)
    try reader.blocking.close()
    machine.disk.setSpaceLimit(nil)
    let store = try machine.open(Self.options)
    #expect(try store.blocking.scan().count() == 101)
    try store.blocking.close()
  }

  /// Quotas, immutable files, lost devices and stale mounts; ErrorSweepTests has the other codes.
  @Test(
    "case 35: whatever call is refused, and how: a clear error, and nothing is lost",
    arguments: [1, 19, 116, 122] as [Int32])
  func case35(_ code: Int32) throws {
    var failed = 0
    for failing in stride(from: Int(code % 3), to: 400, by: 3) {
      let machine = SimulatedMachine(seed: 35)
      let first = try machine.open(Self.options)
      try first.blocking.put("first", "1", durability: .synced)
      first.engine.abandon()
      let begin = machine.disk.operationCount
      machine.disk.faultPlan = { _, index in index >= begin + failing ? .error(code) : nil }
      var synced = false
      let error = storeError {
        let store = try machine.open(Self.options)
        defer { store.engine.abandon() }
        try store.blocking.put("second", "1", durability: .synced)
        synced = true
        try store.blocking.compact()
      }
      let count = machine.disk.operationCount - begin
      machine.disk.faultPlan = nil
      if let error {
        failed += 1
        let statuses: Set<Int32> = [69, 73, 74, 77]
        #expect(statuses.contains(error.exitStatus), "call \(failing): \(error)")
      }
      let reader = try machine.open(Self.options, mode: .readOnly)
      let read = try contents(reader)
      reader.engine.abandon()
      let after = try machine.open(Self.options)
      let written = try contents(after)
      #expect(read == written)
      #expect(written["first"] == "1")
      if synced { #expect(written["second"] == "1") }
      try after.blocking.close()
      if error == nil && count < failing { break }
    }
    #expect(failed > 10)
  }

  @Test("case 39: a block that cannot be read costs its keys alone, and no compaction drops it")
  func case39() throws {
    let machine = try writtenMachine()
    let store = try machine.open(Self.options)
    let expected = try contents(store)
    store.engine.abandon()
    let again = try machine.open(Self.options)
    let tables = try machine.disk.list("shards/0000")
    let table = "shards/0000/" + (try #require(tables.first))
    // One sector in the middle of the data.
    machine.disk.faultPlan = { operation, _ in
      guard operation.path == table, case .read(let offset, let count) = operation.kind,
        offset < 4608, offset + UInt64(count) > 4096
      else { return nil }
      return .error(5)
    }
    var failed = 0
    for (key, value) in expected {
      let error = storeError {
        let found = try again.blocking.get(Bytes(key))?.text
        #expect(found == value)
      }
      guard let error else { continue }
      #expect(error == .io(operation: "pread", path: table, code: 5))
      #expect(error.storeState == .usable)
      failed += 1
    }
    #expect(failed > 0 && failed < expected.count / 2, "\(failed) of \(expected.count)")
    #expect(storeError { _ = try again.blocking.scan().count() }?.exitStatus == 74)
    #expect(storeError { try again.blocking.compact() } != nil)
    let flushed = try machine.disk.list("shards/0000")
    #expect(flushed.filter { tables.contains($0) } == tables)
    // What the first one flushed stays; what the second one began is gone.
    #expect(storeError { try again.blocking.compact() } != nil)
    #expect(try machine.disk.list("shards/0000") == flushed)
    #expect(flushed.count <= tables.count + 1, "an output of the failed compaction stayed")
    try again.blocking.put("written", "1", durability: .synced)
    machine.disk.faultPlan = nil
    try again.blocking.compact()
    var all = expected
    all["written"] = "1"
    #expect(try contents(again) == all)
    try again.blocking.close()
  }

  @Test("case 61: reading, verifying and inspecting change nothing, whatever is damaged")
  func case61() throws {
    let machine = try writtenMachine()
    var files = try machine.disk.list("").filter { $0.hasPrefix("MANIFEST") } + [""]
    files += try machine.disk.list("log").map { "log/" + $0 }
    files += try machine.disk.list("shards/0000").map { "shards/0000/" + $0 }
    for file in files {
      let count = max(machine.disk.contents(file)?.count ?? 0, 1)
      for offset in stride(from: 0, to: count, by: file.isEmpty ? 1 : max(1, count / 40)) {
        let disk = machine.disk.copy()
        let damaged = SimulatedMachine(seed: 61, disk: disk)
        if !file.isEmpty { try disk.corrupt(file, at: offset, xor: 0x41) }
        let hash = disk.durableHash
        let changes = disk.changes {
          let reading = storeError {
            let reader = try damaged.open(mode: .readOnly)
            defer { reader.engine.abandon() }
            _ = try contents(reader)
          }
          if file.isEmpty { #expect(reading == nil) }
          #expect(storeError { _ = try damaged.open(mode: .create) } != nil)
          _ = storeError { _ = try Engine.inventory(disk, name: "simulated") }
          let verifying = storeError { _ = try damaged.verify() }
          #expect(verifying == nil)
        }
        #expect(changes == 0, "\(file) at \(offset)")
        #expect(disk.durableHash == hash)
      }
    }
  }

  @Test("case 61: a store on a read-only mount is read and verified, and refused for writing")
  func case61ReadOnlyMount() throws {
    let place = ScratchDirectory()
    let path = place.file("store")
    let store = try Store.Blocking.open(at: path, options: Self.options)
    for number in 0..<100 { try store.blocking.put(Bytes("key\(number)"), "1") }
    try store.blocking.flush()
    try store.blocking.put("logged", "1")
    // As after a kill: a log to replay.
    store.engine.abandon()
    let mounted = place.file("mounted")
    try FileManager.default.createDirectory(atPath: mounted, withIntermediateDirectories: false)
    guard run("/bin/mount", "--bind", path, mounted) else {
      print("read-only mount: skipped, mounts are not permitted")
      return
    }
    defer { #expect(run("/bin/umount", mounted)) }
    try #require(run("/bin/mount", "-o", "remount,bind,ro", mounted))
    for mode in [Store.Mode.openOrCreate, .existing] {
      let error = storeError { _ = try Store.Blocking.open(at: mounted, mode: mode) }
      #expect(error?.exitStatus == 77, "\(String(describing: error))")
    }
    let reader = try Store.Blocking.open(at: mounted, mode: .readOnly)
    #expect(try reader.blocking.scan().count() == 101)
    try reader.blocking.close()
    let result = try verify(storeAt: mounted, deep: true)
    #expect(result.damageCount == 0)
  }

  /// Whether the program ended well; false also when it is not there.
  private func run(_ program: String, _ arguments: String...) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    do { try process.run() } catch { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}
