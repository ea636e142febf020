// What the tests of this room share: a file in memory, a model of a table, seeded entries.

import Synchronization
import TurbiditeSimulation
import TurbiditeSystem

@testable import TurbiditeEngine

/// A file in memory; counts reads, and can be made to fail its sync.
final class TableTestFile: File {
  struct State {
    var bytes: [UInt8] = []
    var readCount = 0
    var syncCount = 0
    var syncFails = false
    var writeFails = false
  }

  let path: String
  let state = Mutex(State())

  init(_ bytes: [UInt8] = [], path: String = "shards/0001/000007.tsst") {
    self.path = path
    state.withLock { $0.bytes = bytes }
  }

  var bytes: [UInt8] { state.withLock { $0.bytes } }

  func size() throws(SystemError) -> UInt64 { UInt64(bytes.count) }

  func read(
    at offset: UInt64, into target: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    let source = state.withLock { state -> [UInt8] in
      state.readCount += 1
      return state.bytes
    }
    guard offset < UInt64(source.count) else { return 0 }
    let count = min(target.count, source.count - Int(offset))
    source.withUnsafeBytes {
      target.copyMemory(from: .init(rebasing: $0[Int(offset)...].prefix(count)))
    }
    return count
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(SystemError) {
    if state.withLock({ $0.writeFails }) {
      throw SystemError(operation: "pwrite", path: path, code: 28)
    }
    let copy = bytes.withUnsafeBytes { [UInt8]($0) }
    state.withLock { state in
      precondition(offset == UInt64(state.bytes.count), "a table is written once, in order")
      state.bytes.append(contentsOf: copy)
    }
  }

  func preallocate(through byteCount: UInt64) throws(SystemError) {}
  func writeZeros(from start: UInt64, to end: UInt64) {}
  func beginWriteback(from start: UInt64, to end: UInt64) {}

  func truncate(to byteCount: UInt64) throws(SystemError) {}

  func sync() throws(SystemError) {
    if state.withLock({ $0.syncFails }) {
      throw SystemError(operation: "fdatasync", path: path, code: 5)
    }
    state.withLock { $0.syncCount += 1 }
  }

  func tryLock(_ kind: LockKind, from: UInt64, to: UInt64) throws(SystemError) -> Bool { true }
  func unlock(from start: UInt64, to end: UInt64) throws(SystemError) {}
  func isLockedElsewhere(from: UInt64, to: UInt64) throws(SystemError) -> Bool { false }
}

/// SplitMix64: a seed gives the same test everywhere.
struct TableTestRandom: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
    return value ^ value >> 31
  }
  mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(below(256)) } }
}

/// An entry of the model.
struct ModelEntry: Equatable {
  var key: [UInt8]
  var tag: Tag
  var value: [UInt8]

  static func isBefore(_ left: ModelEntry, _ right: ModelEntry) -> Bool {
    left.isBefore(right.key, right.tag)
  }

  func isBefore(_ otherKey: [UInt8], _ otherTag: Tag) -> Bool {
    if key != otherKey { return key.lexicographicallyPrecedes(otherKey) }
    return tag.rawValue > otherTag.rawValue
  }
}

/// What a table is written from.
struct TableModel {
  var entries: [ModelEntry] = []
  var tombstones: [(start: [UInt8], end: [UInt8], sequence: UInt64)] = []
  var options = TableOptions()
  var identity = TableIdentity(
    store: StoreID(high: 0x1234_5678, low: 0x9abc), fileNumber: 7, keyspace: 3, shard: 1)

  /// Writes the table and returns its file and summary.
  func write() throws -> (file: TableTestFile, summary: TableSummary) {
    let file = TableTestFile()
    var writer = TableWriter(file: file, identity: identity, options: options)
    for entry in entries {
      try entry.key.withView { key in
        try entry.value.withView { value in try writer.add(key, entry.tag, value) }
      }
    }
    if !tombstones.isEmpty {
      writer.addRangeTombstones(RangeTombstones(tombstones: tombstones))
    }
    let summary = try writer.finish()
    return (file, summary)
  }

  /// Writes the table and opens it.
  func open(cacheByteCount: Int = 1 << 20) throws -> TableReader {
    let (file, summary) = try write()
    return try TableReader(
      file: file, identity: identity, expecting: summary.expectation,
      cache: BlockCache(capacityByteCount: cacheByteCount))
  }

  /// The position of the first entry at or after `(key, tag)`.
  func firstIndex(from key: [UInt8], _ tag: Tag) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].isBefore(key, tag) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  func find(_ key: [UInt8], at sequence: UInt64) -> ModelEntry? {
    let index = firstIndex(from: key, .newest(at: sequence))
    return index < entries.count && entries[index].key == key ? entries[index] : nil
  }

  /// Entries of every shape a seed can draw: key lengths and alphabets, many versions, tombstones,
  /// empty and large values, blocks from a few bytes on.
  static func random(_ seed: UInt64) -> TableModel {
    var random = TableTestRandom(seed)
    var model = TableModel()
    model.options.blockByteCount = [1, 40, 200, 700, 4096, 16384][random.below(6)]
    model.options.compresses = random.below(2) == 0
    model.options.filterBitsPerKey = [0, 4, 10, 16][random.below(4)]
    let shape = random.below(5)
    let count = [1, 2, 17, 60, 200][random.below(5)]
    let versions = count > 60 ? 3 : [1, 1, 3, 40][random.below(4)]
    let sequenceSpan: UInt64 = [8, 1 << 20, Tag.maximumSequence][random.below(3)]
    var seen = Set<[UInt8]>()
    for number in 0..<count {
      let key: [UInt8]
      switch shape {
      case 0: key = random.bytes(random.below(4))
      case 1: key = (0..<random.below(12)).map { _ in [0, 1, 255][random.below(3)] }
      case 2: key = Array("user\(String(repeating: "0", count: 8))\(number * 7)".utf8)
      case 3: key = [UInt8](repeating: 0x61, count: random.below(300)) + random.bytes(2)
      default: key = random.bytes(16)
      }
      guard seen.insert(key).inserted else { continue }
      var sequences = Set<UInt64>()
      for _ in 0..<(1 + random.below(versions)) {
        sequences.insert(random.next() % (sequenceSpan + 1))
      }
      for sequence in sequences.sorted() {
        let isValue = random.below(4) > 0
        let size = [0, 3, 20, 60, 100, 1000, 9000][min(random.below(60) / 9, 6)]
        let value =
          !isValue
          ? []
          : random.below(2) == 0
            ? random.bytes(size) : [UInt8](repeating: UInt8(size & 0xff), count: size)
        let tag = Tag(sequence: sequence, kind: isValue ? .value : .deletion)
        model.entries.append(ModelEntry(key: key, tag: tag, value: value))
      }
    }
    model.entries.sort(by: ModelEntry.isBefore)
    if random.below(3) == 0 {
      for _ in 0..<(1 + random.below(5)) {
        let a = random.bytes(1 + random.below(3))
        let b = random.bytes(1 + random.below(3))
        guard a != b else { continue }
        let ordered = a.lexicographicallyPrecedes(b) ? (a, b) : (b, a)
        model.tombstones.append((ordered.0, ordered.1, random.next() % (sequenceSpan + 1)))
      }
    }
    return model
  }
}

extension EntryCursor {
  /// The entry under the cursor, copied; nil when there is none.
  var entry: ModelEntry? {
    isValid ? ModelEntry(key: key.bytes(), tag: tag, value: value.bytes()) : nil
  }

  func seek(_ target: [UInt8], _ tag: Tag) throws {
    try target.withView { try seek($0, tag) }
  }

  func seekBefore(_ target: [UInt8], _ tag: Tag) throws {
    try target.withView { try seekBefore($0, tag) }
  }

  /// All entries from the first on.
  func all() throws -> [ModelEntry] {
    var found: [ModelEntry] = []
    try seekToFirst()
    while let entry {
      found.append(entry)
      try next()
    }
    return found
  }
}

extension TableReader {
  /// What `find` gives for a key, copied.
  func found(
    _ key: [UInt8], at sequence: UInt64, access: BlockAccess = .point
  ) throws -> ModelEntry? {
    var pin = BlockPin()
    return try key.withView { view -> ModelEntry? in
      switch try find(view, hash: view.hash(), at: sequence, access: access, pinning: &pin) {
      case .found(let entry):
        let found = ModelEntry(key: key, tag: entry.tag, value: entry.value.bytes())
        withExtendedLifetime(pin) {}
        return found
      case .absent: return nil
      case .wouldBlock: throw TableWouldBlock()
      }
    }
  }
}

struct TableWouldBlock: Error {}
