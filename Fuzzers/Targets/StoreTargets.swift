// StoreTargets — whole stores under fuzz, on a disk in memory.
//
// Room:    Fuzzers.

import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// The entries of the fuzzers that open stores and files.
enum StoreTargets {
  /// Threads that every opened store shares; a store on one thread's scheduler asks nothing of
  /// them.
  private static let threads = IOThreads(count: 1)

  /// Inspects a lone file, with all lists.
  static func inspect(_ input: [UInt8]) {
    tolerating { () throws(StoreError) in
      let found = try FileInspection(
        try lone(input, as: "file"), name: "file", blocks: true, entries: true)
      for section in found.sections {
        require(
          section.rows.allSatisfy { $0.count == section.columns.count },
          "a row has another width than its table")
      }
    }
  }

  /// Makes the files of an archive, lists, verifies and copies them, and opens the store
  /// twice.
  ///
  /// What a deep verification lets pass must open, and answer without contradiction.
  static func store(_ input: [UInt8]) {
    guard let archive = StoreArchive(decoding: input) else { return }
    let disk = SimulatedDisk()
    tolerating { () throws(StoreError) in
      try fill(disk, archive)
      tolerating { () throws(StoreError) in _ = try Engine.inventory(disk, name: "memory") }
      var isSound = false
      tolerating { () throws(StoreError) in isSound = try isClean(disk) }
      tolerating { () throws(StoreError) in
        _ = try Engine.checkpoint(
          of: disk.copy(), named: "memory", into: "copy", of: SimulatedDisk())
      }
      do throws(StoreError) {
        try openTwice(disk, tablesAreOurs: isSound)
      } catch {
        if case .corrupt = error, isSound {
          require(false, "a store that was verified is called damaged: \(error)")
        }
        throw error
      }
    }
  }

  /// Makes the files of an archive and repairs them.
  ///
  /// What comes out verifies clean; and of a store that did so before, it is what was in it.
  static func repair(_ input: [UInt8]) {
    guard let archive = StoreArchive(decoding: input) else { return }
    let (disk, target) = (SimulatedDisk(), SimulatedDisk())
    tolerating { () throws(StoreError) in
      try fill(disk, archive)
      let result = try Turbidite.repair(
        disk, name: "memory", into: "new", of: target, random: SeededRandom(seed: 3)
      ) { (_, _) throws(StoreError) in }
      let repaired = Subdirectory("new", of: target)
      let verification = try verify(repaired, name: "memory", deep: true) {
        _ throws(StoreError) in
      }
      require(verification.isClean, "a repaired store is damaged")
      let store = try open(repaired, .existing)
      defer { store.engine.abandon() }
      let saved = try contents(store, reverse: false)
      require(saved.count <= result.savedEntryCount, "more is saved than is said")
      guard try isClean(disk) else { return }
      let whole = try open(disk, .existing)
      defer { whole.engine.abandon() }
      require(try contents(whole, reverse: false) == saved, "a whole store changed in its repair")
    }
  }

  private static func fill(
    _ disk: SimulatedDisk, _ archive: StoreArchive
  ) throws(StoreError) {
    do throws(SystemError) {
      for directory in ["log", "shards", "shards/0000"] { try disk.createDirectory(directory) }
      for directory in ["", "log", "shards", "shards/0000"] { try disk.syncDirectory(directory) }
      try disk.setContents("LOCK", [])
      for file in archive.mended() { try disk.setContents(file.path, file.bytes) }
    } catch { throw StoreError(error) }
  }

  /// Opens the store on `disk` for reading, and for writing; what a writer leaves behind must open
  /// again with the same contents.
  ///
  /// Tables that are not ours may contradict themselves under good checksums, such as a filter that
  /// denies a key: then answers may differ from each other, but none may trap.
  static func openTwice(
    _ disk: SimulatedDisk, tablesAreOurs: Bool
  ) throws(StoreError) {
    tolerating { () throws(StoreError) in
      let store = try open(disk.crashed(.processKill), .readOnly)
      defer { store.engine.abandon() }
      _ = try contents(store, reverse: false)
    }
    let first = try open(disk, .existing)
    let found: [Entry]
    do throws(StoreError) {
      found = try contents(first, reverse: false)
      let back = try contents(first, reverse: true)
      require(
        back == Array(found.reversed()) || !tablesAreOurs, "a scan back finds something else")
      for entry in found.prefix(16) {
        let value = try first.blocking.get(entry.key)
        require(value == entry.value || !tablesAreOurs, "a get differs from the scan")
      }
      try first.blocking.put("fuzzed", "yes")
      try first.blocking.close()
    } catch {
      first.engine.abandon()
      throw error
    }
    let second = try open(disk, .existing)
    defer { second.engine.abandon() }
    let again = try contents(second, reverse: false)
    let marked: (Entry) -> Bool = { $0.key == "fuzzed" }
    require(again.contains(where: marked) || !tablesAreOurs, "a write is lost over a close")
    require(
      again.filter { !marked($0) } == found.filter { !marked($0) } || !tablesAreOurs,
      "a store that was closed opens with other contents")
  }

  /// Verifies the store on `disk`, with every block; whether nothing is damaged.
  private static func isClean(_ disk: SimulatedDisk) throws(StoreError) -> Bool {
    var counts = (damage: 0, note: 0)
    do throws(StoreError) {
      let result = try verify(disk, name: "memory", deep: true) { event throws(StoreError) in
        guard case .finding(let finding) = event else { return }
        if finding.severity == .damage { counts.damage += 1 } else { counts.note += 1 }
        require(!finding.finding.isEmpty && !finding.file.isEmpty, "a finding without a place")
      }
      require(
        result.damageCount == counts.damage && result.noteCount == counts.note,
        "other findings are counted than were told")
      return result.isClean
    } catch {
      if case .corrupt = error { require(false, "damage ends a verification: \(error)") }
      throw error
    }
  }

  private static func contents(_ store: Store, reverse: Bool) throws(StoreError) -> [Entry] {
    var entries: [Entry] = []
    let scan = try store.blocking.scan(reverse: reverse)
    while let entry = try scan.next() {
      if let last = entries.last {
        require(reverse ? entry.key < last.key : last.key < entry.key, "keys do not ascend")
      }
      entries.append(entry)
    }
    return entries
  }

  /// Opens a store whose background work runs on the caller's thread.
  static func open(_ disk: any FileSystem, _ mode: Store.Mode) throws(StoreError) -> Store {
    let clock = SimulatedClock()
    let environment = EngineEnvironment(
      fileSystem: disk, clock: clock, random: SeededRandom(seed: 1),
      scheduler: SeededScheduler(random: SeededRandom(seed: 2), clock: clock), threads: threads)
    var options = Store.Options()
    options.shardCount = mode == .create ? 1 : nil
    options.blockByteCount = 64
    options.memoryBudgetByteCount = 1 << 20
    options.memtableByteCount = 16 << 10
    return try Store.open(
      on: StoreMachine(environment: environment, processorCount: 1), name: "memory", mode: mode,
      options: options)
  }
}

/// A file in memory with these bytes.
func lone(_ bytes: [UInt8], as path: String) throws(StoreError) -> any File {
  do throws(SystemError) {
    let disk = SimulatedDisk()
    var directory = ""
    for part in path.split(separator: "/").dropLast() {
      directory += directory.isEmpty ? String(part) : "/\(part)"
      try disk.createDirectory(directory)
    }
    try disk.setContents(path, bytes)
    return try disk.open(path, .read)
  } catch { throw StoreError(error) }
}

/// Runs `body`, and accepts the errors that bytes from a file may cause.
func tolerating(_ body: () throws(StoreError) -> Void) {
  do throws(StoreError) {
    try body()
  } catch {
    switch error {
    case .corrupt(let damage):
      require(!damage.finding.isEmpty && !damage.file.isEmpty, "damage without a place: \(damage)")
    case .unsupportedFormat, .configuration, .resourceExhausted, .noStore, .invalidArgument,
      .notFound:
      require(!"\(error)".isEmpty, "an error says nothing")
    default: require(false, "no file's bytes may cause \(error)")
    }
  }
}
