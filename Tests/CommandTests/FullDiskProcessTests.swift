import Foundation
import Testing
import Turbidite

@testable import TurbiditeCLI

/// This user may not mount a small disk.
private struct Unmounted: Error {}

/// A file system in memory of so many MiB, gone with its owner.
private final class SmallDisk {
  let path: String

  init(mebibytes: Int) throws {
    path = NSTemporaryDirectory() + "/turbidite-disk-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    let mount = try runProgram(
      "/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=\(mebibytes)m", "tmpfs", path])
    guard mount.status == 0 else {
      try FileManager.default.removeItem(atPath: path)
      throw Unmounted()
    }
  }

  deinit {
    do {
      _ = try runProgram("/usr/bin/env", ["umount", "-l", path])
      try FileManager.default.removeItem(atPath: path)
    } catch {
      print("could not remove \(path): \(error)")
    }
  }

  var freeByteCount: Int {
    get throws {
      let attributes = try FileManager.default.attributesOfFileSystem(forPath: path)
      return (attributes[.systemFreeSize] as? Int) ?? 0
    }
  }

  /// Takes room in small pieces until none, or so much, is left.
  func occupy(allBut byteCount: Int, as name: String) throws {
    let place = path + "/" + name
    #expect(FileManager.default.createFile(atPath: place, contents: nil))
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: place))
    while try freeByteCount > byteCount {
      do { try file.write(contentsOf: Data(count: 4096)) } catch { return }
    }
  }

  func remove(_ name: String) throws {
    try FileManager.default.removeItem(atPath: path + "/" + name)
  }
}

/// Whether this user may mount a small disk.
private let mayMount: Bool = {
  do { _ = try SmallDisk(mebibytes: 1) } catch { return false }
  return true
}()

/// A store on a small real disk that fills up: root only, because it mounts one.
@Suite(
  "A full disk", .serialized,
  .enabled(
    if: mayMount, "full disk: skipped, this user may not mount a small disk"))
struct FullDiskProcessTests {
  private static let tool = builtCommand

  private static var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 256 << 10
    options.tableByteCount = 256 << 10
    options.logByteCount = 2 << 20
    options.memoryBudgetByteCount = 4 << 20
    return options
  }

  /// A value that cannot be compressed.
  private static func value(_ number: Int) -> Bytes {
    var generator = SeededGenerator(seed: UInt64(number))
    var bytes: [UInt8] = []
    for _ in 0..<125 { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
    return Bytes(bytes)
  }

  private static func key(_ number: Int) -> Bytes { Bytes("key\(1_000_000 + number)") }

  /// Puts until a write is refused.
  ///
  /// - Returns: the number of the key that was refused.
  private func fill(_ store: Store, from first: Int = 0) throws -> Int {
    var number = first
    while true {
      do throws(StoreError) {
        try store.blocking.put(Self.key(number), Self.value(number))
        number += 1
      } catch {
        guard case .outOfSpace = error else { throw error }
        return number
      }
    }
  }

  private func healthLine(_ path: String) throws -> [String: Any] {
    let outcome = try runProgram(Self.tool, ["info", path, "--json"])
    #expect(outcome.status == 0, "\(outcome.error)")
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output))
    return try #require(object as? [String: Any])
  }

  /// Calls `body` until it says that it is done, for some seconds at most.
  private func eventually(_ body: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<400 {
      if try body() { return true }
      usleep(20_000)
    }
    return false
  }

  /// Compacts; once more when work in the background, which began before, had taken the room.
  private func compact(_ store: Store) throws {
    var refusals = 0
    while true {
      do throws(StoreError) { return try store.blocking.compact() } catch {
        refusals += 1
        guard case .outOfSpace = error, refusals < 5 else { throw error }
        print("full disk: compact() was refused: \(error)")
        usleep(100_000)
      }
    }
  }

  @Test("writes go on by themselves when a full disk has room again, and info tells both")
  func resumes() throws {
    let disk = try SmallDisk(mebibytes: 12)
    let path = disk.path + "/store"
    let store = try Store.Blocking.open(at: path, options: Self.options)
    try disk.occupy(allBut: 8 << 20, as: "other")
    let number = try fill(store)
    #expect(number > 1000)
    guard case .paused = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
    for key in [0, number / 2, number - 1] {
      #expect(try store.blocking.get(Self.key(key)) == Self.value(key))
    }
    #expect(try store.blocking.get(Self.key(number)) == nil)
    let paused = try healthLine(path)
    let writer = try #require(paused["writer"] as? [String: Any])
    #expect(writer["state"] as? String == "paused" && writer["code"] as? Int == 28)
    #expect((paused["health"] as? String)?.contains("No space left on device") == true)
    try disk.remove("other")
    #expect(eventually { store.health().state == .usable }, "\(store.health())")
    for further in number..<number + 500 {
      try store.blocking.put(Self.key(further), Self.value(further))
    }
    let well = try healthLine(path)
    #expect(well["health"] as? String == "ok, open for writing")
    try store.blocking.close()
    #expect(try healthLine(path)["health"] as? String == "ok")
    #expect(try runProgram(Self.tool, ["verify", path, "--deep"]).status == 0)
  }

  /// How much of a full disk the deletions leave to be read, and by what they are made.
  enum Way: String, CaseIterable, Sendable {
    case everythingByRange, halfByRange, everythingOneByOne
  }

  @Test(
    "on a full disk deletions and a compaction make room by themselves", arguments: Way.allCases)
  func deletesTheWayOut(_ way: Way) throws {
    let disk = try SmallDisk(mebibytes: 12)
    let path = disk.path + "/store"
    let store = try Store.Blocking.open(at: path, options: Self.options)
    let number = try fill(store)
    try disk.occupy(allBut: 0, as: "other")
    let kept = way == .halfByRange ? number / 2 : 0
    switch way {
    case .everythingByRange: try store.blocking.deleteRange(.all)
    case .halfByRange: try store.blocking.deleteRange(KeyRange(from: Self.key(kept)))
    case .everythingOneByOne:
      for key in 0..<number { try store.blocking.delete(Self.key(key)) }
    }
    try compact(store)
    #expect(eventually { store.health().state == .usable }, "\(store.health())")
    let free = try disk.freeByteCount
    print("full disk, \(way): \(number) records, \(free) bytes free afterwards")
    #expect(free > (12 << 20) / 3)
    for key in [0, kept / 2, kept, number - 1] {
      #expect(try store.blocking.get(Self.key(key)) == (key < kept ? Self.value(key) : nil))
    }
    for key in 0..<2000 { try store.blocking.put(Self.key(key), Self.value(key)) }
    try store.blocking.close()
    #expect(try runProgram(Self.tool, ["verify", path, "--deep"]).status == 0)
  }

  @Test("a store on a full disk can be opened, and deletions make room")
  func opensOnFullDisk() throws {
    let disk = try SmallDisk(mebibytes: 12)
    let path = disk.path + "/store"
    do {
      let store = try Store.Blocking.open(at: path, options: Self.options)
      _ = try fill(store)
      try disk.occupy(allBut: 0, as: "other")
    }
    // What the store's last work in the background gave back, before it was gone.
    try disk.occupy(allBut: 0, as: "rest")
    let store = try Store.Blocking.open(at: path, options: Self.options)
    guard case .paused = store.health().state else {
      Issue.record("\(store.health())")
      return
    }
    do throws(StoreError) {
      try store.blocking.put("more", Self.value(1))
      // What the opening has flushed made room by itself: the log's segments are gone.
      #expect(store.health().state == .usable)
    } catch {
      guard case .outOfSpace = error else { throw error }
    }
    #expect(try store.blocking.get(Self.key(0)) == Self.value(0))
    try store.blocking.deleteRange(.all, durability: .synced)
    try compact(store)
    #expect(eventually { store.health().state == .usable }, "\(store.health())")
    try store.blocking.put("more", Self.value(1))
    try store.blocking.close()
  }

  /// What the writers of a test have seen.
  private final class Tally: @unchecked Sendable {
    private let lock = NSLock()
    private var isOver = false
    private var errors: [StoreError] = []

    func end() { lock.withLock { isOver = true } }
    var hasEnded: Bool { lock.withLock { isOver } }
    func add(_ error: StoreError) { lock.withLock { errors.append(error) } }
    var refusals: [StoreError] { lock.withLock { errors } }
  }

  @Test("on a full disk deletions get through beside writers who are refused")
  func deletesBesideWriters() async throws {
    let disk = try SmallDisk(mebibytes: 8)
    let path = disk.path + "/store"
    let store = try Store.Blocking.open(at: path, options: Self.options)
    let number = try fill(store)
    try disk.occupy(allBut: 0, as: "other")
    let tally = Tally()
    await withTaskGroup(of: Void.self) { group in
      for writer in 0..<4 {
        group.addTask {
          while !tally.hasEnded {
            do throws(StoreError) {
              try await store.put(Bytes("writer\(writer)"), Self.value(writer))
            } catch {
              tally.add(error)
            }
          }
        }
      }
      group.addTask {
        for key in 0..<200 {
          do throws(StoreError) { try await store.delete(Self.key(key)) } catch {
            Issue.record("deletion \(key) of \(number): \(error)")
            break
          }
        }
        tally.end()
      }
    }
    let refusals = tally.refusals
    #expect(!refusals.isEmpty)
    #expect(refusals.allSatisfy { if case .outOfSpace = $0 { true } else { false } })
    #expect(try store.blocking.get(Self.key(199)) == nil)
    #expect(try store.blocking.get(Self.key(200)) == Self.value(200))
    try store.blocking.close()
    #expect(try runProgram(Self.tool, ["verify", path, "--deep"]).status == 0)
  }
}
