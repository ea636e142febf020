// DamageTests — every byte of a store's files changed, every length cut, every file taken away.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// A damaged store gives what was written, or an error that names the file: nothing else, ever.
///
/// Method: a small store with a manifest, two log segments' worth of entries and tables is written
/// to a disk in memory and closed. Each byte in turn is changed in two patterns, or the file is cut
/// there; the store is opened, and its whole contents are read.
@Suite("Damage")
struct DamageTests {
  private enum Finding: Equatable {
    case right
    case error(StoreError)
    case wrong(String)
  }

  private static var options: Store.Options {
    var options = Store.Options(shardCount: 1)
    options.blockByteCount = 256
    return options
  }

  /// A store with tables and a log, closed in order, and what it holds.
  private func writtenStore() throws -> (SimulatedDisk, [Entry]) {
    let machine = SimulatedMachine(seed: 5)
    let store = try machine.open(Self.options)
    for number in 0..<60 { try store.blocking.put(Bytes("key\(number)"), Bytes("old \(number)")) }
    try store.blocking.deleteRange(KeyRange(from: "key50", to: "key55"))
    try store.blocking.flush()
    for number in 0..<8 { try store.blocking.put(Bytes("key\(number * 7)"), Bytes("\(number)")) }
    var entries: [Entry] = []
    let scan = try store.blocking.scan()
    while let entry = try scan.next() { entries.append(entry) }
    try store.blocking.close()
    return (machine.disk, entries)
  }

  /// Opens a copy of the disk, after `damage`, and reads everything.
  private func finding(
    _ disk: SimulatedDisk, _ expected: [Entry], mode: Store.Mode,
    _ damage: (SimulatedDisk) throws -> Void
  ) throws -> Finding {
    let copy = disk.crashed(.processKill)
    try damage(copy)
    do throws(StoreError) {
      let store = try SimulatedMachine(seed: 6, disk: copy).open(Self.options, mode: mode)
      defer { store.engine.abandon() }
      var entries: [Entry] = []
      let scan = try store.blocking.scan()
      do throws(StoreError) {
        while let entry = try scan.next() { entries.append(entry) }
      } catch {
        let failure = error
        // A scan that has failed says so again: it neither ends nor goes on.
        do throws(StoreError) {
          _ = try scan.next()
          return .wrong("a scan went on behind its failure")
        } catch {
          guard error == failure else { return .wrong("a scan failed in two ways") }
        }
        throw failure
      }
      guard entries == expected else {
        return .wrong("\(entries.count) entries, not \(expected.count)")
      }
      for entry in expected where try store.blocking.get(entry.key) != entry.value {
        return .wrong("get \(entry.key)")
      }
      return .right
    } catch {
      return .error(error)
    }
  }

  private func files(_ disk: SimulatedDisk) throws -> [String] {
    var files = try disk.list("").filter { $0.hasPrefix("MANIFEST") }
    files += try disk.list("log").map { "log/\($0)" }
    files += try disk.list("shards/0000").map { "shards/0000/\($0)" }
    return files
  }

  @Test(
    "any changed byte gives right data or an error that names the file",
    arguments: [Store.Mode.existing, .readOnly])
  func flips(_ mode: Store.Mode) throws {
    let (disk, expected) = try writtenStore()
    for file in try files(disk) {
      let count = disk.contents(file)?.count ?? 0
      var (errors, failures) = (0, 0)
      for offset in 0..<count where failures < 3 {
        for mask: UInt8 in [0x01, 0xff] {
          let found = try finding(disk, expected, mode: mode) {
            try $0.corrupt(file, at: offset, xor: mask)
          }
          switch found {
          case .right: break
          case .error(.corrupt(let damage)) where damage.file == file: errors += 1
          default:
            failures += 1
            Issue.record("\(file) at \(offset) of \(count) ^ \(mask), \(mode): \(found)")
          }
        }
      }
      print("damage: \(file): \(count) bytes, \(errors) of \(2 * count) changes are errors")
    }
  }

  @Test("a frame whose length is wrong hides nothing of what was durable behind it")
  func longFrame() throws {
    let machine = SimulatedMachine(seed: 5)
    let store = try machine.open(Self.options)
    for number in 0..<8 {
      try store.blocking.put(Bytes("key\(number)"), "value", durability: .synced)
    }
    store.engine.abandon()
    let segment = "log/" + (try #require(try machine.disk.list("log").last))
    for byte in 8..<12 {
      let copy = machine.disk.copy()
      try copy.corrupt(segment, at: LogSegmentHeader.byteCount + byte, xor: 0x80)
      #expect(throws: StoreError.self, "byte \(byte) of the first frame") {
        try SimulatedMachine(seed: 6, disk: copy).open(Self.options)
      }
    }
  }

  @Test("any cut gives right data or an error that names a file")
  func cuts() throws {
    let (disk, expected) = try writtenStore()
    for file in try files(disk) {
      let count = disk.contents(file)?.count ?? 0
      var failures = 0
      for length in 0..<count where failures < 3 {
        let found = try finding(disk, expected, mode: .existing) {
          try $0.truncateDurable(file, to: length)
        }
        switch found {
        case .right, .error(.corrupt): break
        default:
          failures += 1
          Issue.record("\(file) cut to \(length) of \(count): \(found)")
        }
      }
    }
  }

  @Test("a missing table, segment or manifest is an error that says which")
  func missing() throws {
    let (disk, expected) = try writtenStore()
    for file in try files(disk) {
      for mode in [Store.Mode.existing, .readOnly] {
        let found = try finding(disk, expected, mode: mode) { try $0.remove(file) }
        switch found {
        case .error(.corrupt(let damage)):
          #expect(StoreError.corrupt(damage).exitStatus == 76)
          if file.hasPrefix("MANIFEST") { #expect(damage.file == "MANIFEST-*") }
        default: Issue.record("without \(file), \(mode): \(found)")
        }
      }
    }
    for mode in [Store.Mode.create, .openOrCreate] {
      let lost = try finding(disk, expected, mode: mode) { disk in
        for file in try disk.list("") where file.hasPrefix("MANIFEST") { try disk.remove(file) }
      }
      guard case .error(.corrupt) = lost else {
        Issue.record("a store without its manifest was taken for a new one: \(lost)")
        continue
      }
    }
  }

  /// Every frame says how far the log was durable when it was written; nothing else knows it here.
  @Test("in a log that was never closed, damage to what was durable is no torn tail")
  func damagedBehindSync() throws {
    let machine = SimulatedMachine(seed: 8)
    var store: Store? = try machine.open(Self.options)
    let count = 12
    for number in 0..<count {
      try store?.blocking.put(Bytes("key\(number)"), Bytes("v\(number)"), durability: .synced)
    }
    store = nil
    let disk = machine.disk.crashed(.processKill)
    for name in try disk.list("log") {
      let file = "log/\(name)"
      let length =
        disk.contents(file).map { $0.count - $0.reversed().prefix { $0 == 0 }.count } ?? 0
      #expect(length > 96 + 32 * count)
      var (errors, failures) = (0, 0)
      for offset in stride(from: 0, to: length, by: 3) where failures < 3 {
        let copy = disk.crashed(.processKill)
        try copy.corrupt(file, at: offset, xor: 0x41)
        do throws(StoreError) {
          let again = try SimulatedMachine(seed: 9, disk: copy).open(Self.options)
          // Only the last frame has none behind it that calls it durable.
          for number in 0..<(count - 1) where try again.blocking.get(Bytes("key\(number)")) == nil {
            failures += 1
            Issue.record("\(file) at \(offset) of \(length): key\(number) is lost unnoticed")
            break
          }
          try again.blocking.close()
        } catch {
          errors += 1
          guard case .corrupt(let damage) = error, damage.file == file else {
            failures += 1
            Issue.record("\(file) at \(offset) of \(length): \(error)")
            continue
          }
        }
      }
      #expect(errors > 0)
    }
  }

  @Test("a whole manifest or log of a newer format is refused by its version")
  func newerFormat() throws {
    let (disk, expected) = try writtenStore()
    for file in try files(disk) where !file.hasPrefix("shards") {
      // The version lies behind the magic number in every file, and the checksum covers it.
      let supported: UInt32 = file.hasPrefix("log") ? 2 : 1
      let newer = supported + 1
      let found = try finding(disk, expected, mode: .existing) {
        try $0.setFormatVersion(newer, of: file)
      }
      guard case .error(.unsupportedFormat(file, newer, supported)) = found else {
        Issue.record("\(file): \(found)")
        continue
      }
      #expect(
        StoreError.unsupportedFormat(file: file, found: newer, supported: supported)
          .exitStatus == 78)
    }
  }
}

extension SimulatedDisk {
  /// Makes the header of a manifest or log segment one of another version, whole by its checksum.
  func setFormatVersion(_ version: UInt32, of file: String) throws {
    var bytes = try #require(contents(file))
    bytes.store(version, at: 8)
    let checksumOffset = file.hasPrefix("log") ? 88 : 56
    let checksum = bytes.withView { view in
      let seed = ChecksumSeed(
        store: StoreID(
          high: view.load(24, as: UInt64.self), low: view.load(32, as: UInt64.self)),
        fileNumber: view.load(40, as: UInt64.self))
      return view.slice(0, checksumOffset).hash(seed: seed.at(0))
    }
    bytes.store(checksum, at: checksumOffset)
    try setContents(file, bytes)
  }
}
