// Specimen — a small store with every kind of file, and all that was ever in it.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// A key of a keyspace, by the keyspace's number.
struct PlacedKey: Hashable {
  var keyspace: UInt32
  var key: [UInt8]
}

/// One version of a key, or of a range of keys.
struct Version: Hashable {
  var start: PlacedKey
  /// Set for a range deletion: the first key behind it.
  var end: [UInt8]?
  var sequence: UInt64
  /// Nil for a deletion.
  var value: [UInt8]?

  func covers(_ key: PlacedKey) -> Bool {
    guard key.keyspace == start.keyspace else { return false }
    guard let end else { return key == start }
    return !key.key.precedes(start.key) && key.key.precedes(end)
  }
}

/// Bytes of a file that are intact together or not at all, and what is in them.
struct Unit {
  var file: String
  var range: Range<Int>
  var versions: [Version]
  var isLog: Bool
}

/// The store before anything happens to it.
struct Specimen {
  let isClosed: Bool
  let disk: SimulatedDisk
  let files: [String: [UInt8]]
  let units: [Unit]
  /// What a reader sees.
  let truth: [PlacedKey: [UInt8]]
  /// Every version that is in any unit.
  let versions: Set<Version>

  static var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    options.blockByteCount = 256
    options.filterBitsPerKey = 4
    return options
  }

  /// - Parameter isClosed: the store was closed in order; else its process died, a second one
  ///   opened it, and died too.
  init(isClosed: Bool) throws {
    let machine = SimulatedMachine(seed: 5)
    var store = try machine.open(Self.options)
    let other = try store.blocking.createKeyspace("other")
    for number in 0..<36 { try store.blocking.put(Self.key(number), Bytes("old value \(number)")) }
    for number in 0..<4 { try store.blocking.put(Self.key(number), Bytes("o\(number)"), in: other) }
    try store.blocking.compact()
    store.engine.waitUntilIdle()
    for number in 0..<4 { try store.blocking.delete(Self.key(number * 5)) }
    try store.blocking.deleteRange(KeyRange(from: Self.key(20), to: Self.key(24)))
    for number in 0..<6 { try store.blocking.put(Self.key(number * 6 + 1), Bytes("new \(number)")) }
    try store.blocking.flush()
    for number in 0..<6 { try store.blocking.put(Self.key(number * 7), Bytes("log \(number)")) }
    try store.blocking.delete(Self.key(2), durability: .synced)
    if isClosed {
      try store.blocking.close()
    } else {
      store.engine.abandon()
      store = try machine.open(Self.options)
      try store.blocking.put("late", "1", durability: .synced)
      try store.blocking.delete(Self.key(3), durability: .synced)
      store.engine.abandon()
    }
    try self.init(of: machine.disk, isClosed: isClosed)
  }

  private static func key(_ number: Int) -> Bytes {
    Bytes("key\(number < 10 ? "0" : "")\(number)")
  }

  private init(of disk: SimulatedDisk, isClosed: Bool) throws {
    self.isClosed = isClosed
    self.disk = disk
    var files: [String: [UInt8]] = [:]
    for path in try Self.paths(of: disk) { files[path] = disk.contents(path) }
    self.files = files
    let manifest = try #require(files.keys.filter { $0.hasPrefix("MANIFEST") }.max())
    let contents = try ManifestContents(try disk.open(manifest, .read))
    var units: [Unit] = []
    var tables: [(TreeID, TableMetadata)] = []
    contents.state.forEachTable { tree, _, table in tables.append((tree, table)) }
    for (tree, table) in tables {
      let path = FileNames.table(shard: tree.shard, table.fileNumber)
      units += try Self.units(ofTable: try disk.open(path, .read), tree.keyspace)
    }
    for path in files.keys.sorted() where path.hasPrefix("log/") {
      let reader = try LogSegmentReader(
        try disk.open(path, .read), number: try #require(Self.number(of: path)),
        store: contents.store)
      guard reader.number >= contents.state.logFloor else { continue }
      units += try Self.units(of: reader, floor: contents.state.logFloorPosition)
    }
    self.units = units
    versions = Set(units.flatMap(\.versions))
    truth = try Self.contents(of: disk).values
  }

  static func paths(of disk: SimulatedDisk) throws -> [String] {
    var paths = try disk.list("").filter { $0.hasPrefix("MANIFEST") }
    paths += try disk.list("log").map { "log/\($0)" }
    for shard in try disk.list("shards") {
      paths += try disk.list("shards/\(shard)").map { "shards/\(shard)/\($0)" }
    }
    return paths
  }

  private static func number(of path: String) -> UInt64? {
    if case .logSegment(let number) = FileNames.kind(of: path) { return number }
    return nil
  }

  private static func units(ofTable file: any File, _ keyspace: UInt32) throws -> [Unit] {
    let probe = try TableProbe(file, identity: nil, failure: nil)
    let (index, footer) = (try #require(probe.index), try #require(probe.footer))
    var units: [Unit] = []
    for number in 0..<index.count {
      let handle = index.handle(number)
      var versions: [Version] = []
      let block = try probe.block(number)
      for entry in 0..<block.count {
        versions.append(
          Version(
            start: PlacedKey(keyspace: keyspace, key: block.key(entry).bytes()),
            sequence: block.tag(entry).sequence,
            value: block.tag(entry).isDeletion ? nil : block.value(entry).bytes()))
      }
      units.append(
        Unit(
          file: file.path, range: Int(handle.offset)..<Int(handle.end), versions: versions,
          isLog: false))
    }
    var ranges: [Version] = []
    for fragment in try #require(probe.tombstones).fragments {
      for sequence in fragment.sequences {
        ranges.append(
          Version(
            start: PlacedKey(keyspace: keyspace, key: fragment.start), end: fragment.end,
            sequence: sequence))
      }
    }
    if !ranges.isEmpty {
      units.append(
        Unit(
          file: file.path,
          range: Int(footer.tombstones.offset)..<Int(footer.tombstones.end), versions: ranges,
          isLog: false))
    }
    return units
  }

  private static func units(of reader: LogSegmentReader, floor: UInt64) throws -> [Unit] {
    var units: [Unit] = []
    try reader.salvage { frame throws(StoreError) in
      guard frame.kind != .seal, reader.position(of: frame.offset) >= floor else { return }
      var versions: [Version] = []
      try reader.forEachEntry(of: frame) { entry, sequence throws(StoreError) in
        var version = Version(
          start: PlacedKey(keyspace: entry.keyspace, key: entry.key.bytes()), sequence: sequence)
        switch entry.kind {
        case .value: version.value = entry.value.bytes()
        case .rangeDeletion: version.end = entry.value.bytes()
        case .deletion: break
        }
        versions.append(version)
      }
      units.append(
        Unit(
          file: reader.path, range: frame.offset..<frame.offset + frame.byteCount,
          versions: versions, isLog: true))
    }
    return units
  }

  /// Repairs the store on `disk` into another one: what that says, and what the other holds.
  static func repaired(_ disk: SimulatedDisk) throws -> (Repair, [PlacedKey: [UInt8]]) {
    let target = SimulatedDisk()
    let result = try Turbidite.repair(
      disk, name: "simulated", into: "new", of: target, random: SeededRandom(seed: 3)
    ) { (_, _) throws(StoreError) in }
    let saved = try contents(of: target, in: "new")
    #expect(saved.objection == nil)
    return (result, saved.values)
  }

  /// Opens a copy of a store and reads all of it, in both directions and key by key.
  static func contents(
    of disk: SimulatedDisk, in directory: String = "", mode: Store.Mode = .existing
  ) throws(StoreError) -> (values: [PlacedKey: [UInt8]], objection: String?) {
    let clock = SimulatedClock()
    var options = Self.options
    options.shardCount = nil
    let fileSystem: any FileSystem =
      directory.isEmpty ? disk : Subdirectory(directory, of: disk)
    let environment = EngineEnvironment(
      fileSystem: fileSystem, clock: clock, random: SeededRandom(seed: 6),
      scheduler: SeededScheduler(random: SeededRandom(seed: 7), clock: clock),
      threads: IOThreads(count: 1))
    let store = try Store.open(
      on: StoreMachine(environment: environment, processorCount: 2), name: "simulated", mode: mode,
      options: options)
    defer { store.engine.abandon() }
    var values: [PlacedKey: [UInt8]] = [:]
    for name in try [""] + store.blocking.keyspaces() {
      let keyspace = try store.blocking.keyspace(name)
      let number: UInt32 = name.isEmpty ? 0 : 1
      var keys: [Bytes] = []
      let scan = try store.blocking.scan(in: keyspace)
      while let entry = try scan.next() {
        keys.append(entry.key)
        values[PlacedKey(keyspace: number, key: entry.key.array)] = entry.value.array
      }
      var reversed: [Bytes] = []
      let back = try store.blocking.scan(in: keyspace, reverse: true)
      while let entry = try back.next() { reversed.append(entry.key) }
      if reversed.reversed() != keys { return (values, "backwards is another order") }
      for key in keys {
        let found = try store.blocking.get(key, in: keyspace)
        if found?.array != values[PlacedKey(keyspace: number, key: key.array)] {
          return (values, "get of \(key) differs from the scan")
        }
      }
    }
    return (values, nil)
  }
}
