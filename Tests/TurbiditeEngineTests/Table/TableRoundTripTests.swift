import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem
@testable import TurbiditeEngine

/// What was written is what is found, whatever the entries and the options.
///
/// Method: seeded entries of many shapes, against a sorted array.
@Suite("Table round trip")
struct TableRoundTripTests {
  static let seeds = Array(UInt64(0)..<60)

  @Test("a cursor gives all entries in order, forwards and backwards", arguments: seeds)
  func walks(seed: UInt64) throws {
    let model = TableModel.random(seed)
    let reader = try model.open()
    for access in [BlockAccess.point, .scan] {
      let cursor = try reader.makeCursor(access: access)
      let forwards = try cursor.all()
      #expect(forwards == model.entries, "seed \(seed)")
      var backwards: [ModelEntry] = []
      try cursor.seekToLast()
      while let entry = cursor.entry {
        backwards.append(entry)
        try cursor.previous()
      }
      #expect(backwards == model.entries.reversed(), "seed \(seed)")
    }
    try reader.verify()
  }

  @Test("find gives the newest version at or before the snapshot", arguments: seeds)
  func finds(seed: UInt64) throws {
    let model = TableModel.random(seed)
    let reader = try model.open()
    var random = TableTestRandom(seed ^ 0xf1d)
    var targets: [([UInt8], UInt64)] = []
    for entry in model.entries {
      targets.append((entry.key, entry.tag.sequence))
      targets.append((entry.key, Tag.maximumSequence))
      if entry.tag.sequence > 0 { targets.append((entry.key, entry.tag.sequence - 1)) }
    }
    for _ in 0..<100 {
      targets.append((model.neighbour(&random), random.next() & Tag.maximumSequence))
    }
    for (key, sequence) in targets {
      let found = try reader.found(key, at: sequence)
      let expected = model.find(key, at: sequence)
      guard found != expected else { continue }
      Issue.record("seed \(seed): key \(key) at \(sequence) is \(String(describing: found))")
    }
  }

  @Test("seeks and steps from anywhere agree with a sorted array", arguments: seeds)
  func seeks(seed: UInt64) throws {
    let model = TableModel.random(seed)
    let reader = try model.open(cacheByteCount: 1 << 14)
    var random = TableTestRandom(seed ^ 0x5eec)
    for access in [BlockAccess.point, .scan] {
      let cursor = try reader.makeCursor(access: access)
      var position = -1
      for _ in 0..<200 {
        let isInside = model.entries.indices.contains(position)
        switch random.below(isInside ? 8 : 3) {
        case 0:
          let (key, tag) = (model.neighbour(&random), Tag(rawValue: random.next()))
          try cursor.seek(key, tag)
          position = model.firstIndex(from: key, tag)
        case 1:
          let (key, tag) = (model.neighbour(&random), Tag(rawValue: random.next()))
          try cursor.seekBefore(key, tag)
          position = model.firstIndex(from: key, tag) - 1
        case 2:
          let entry = model.entries.randomElement(using: &random)
          guard let entry else { continue }
          try cursor.seek(entry.key, entry.tag)
          position = model.firstIndex(from: entry.key, entry.tag)
        case 3, 4, 5:
          try cursor.next()
          position += 1
        default:
          try cursor.previous()
          position -= 1
        }
        let expected = model.entries.indices.contains(position) ? model.entries[position] : nil
        guard cursor.entry == expected else {
          Issue.record("seed \(seed): entry \(position) is \(String(describing: cursor.entry))")
          return
        }
      }
    }
  }

  @Test("the summary and the properties are what a count of the entries gives", arguments: seeds)
  func counts(seed: UInt64) throws {
    let model = TableModel.random(seed)
    let (file, summary) = try model.write()
    let fragments = RangeTombstones(tombstones: model.tombstones).fragments
    let sequences =
      model.entries.map(\.tag.sequence) + fragments.flatMap(\.sequences)
    #expect(summary.byteCount == UInt64(file.bytes.count))
    #expect(summary.entryCount == UInt64(model.entries.count))
    #expect(summary.deletionCount == UInt64(model.entries.count { $0.tag.isDeletion }))
    #expect(
      summary.shadowedCount
        == UInt64(model.entries.count - Set(model.entries.map(\.key)).count))
    #expect(summary.rangeTombstoneCount == UInt64(fragments.flatMap(\.sequences).count))
    #expect(summary.smallestSequence == sequences.min())
    #expect(summary.largestSequence == sequences.max())
    #expect(
      summary.rawByteCount
        == UInt64(model.entries.reduce(0) { $0 + $1.key.count + $1.value.count }))
    let starts = model.entries.map(\.key) + fragments.map(\.start)
    let ends = model.entries.map(\.key) + fragments.map(\.end)
    #expect(summary.smallestKey == starts.min { $0.lexicographicallyPrecedes($1) })
    #expect(summary.largestKey == ends.max { $0.lexicographicallyPrecedes($1) })
    #expect(
      summary.largestIsExclusive == !model.entries.contains { $0.key == summary.largestKey })
    let reader = try TableReader(
      file: file, identity: model.identity, expecting: summary.expectation,
      cache: BlockCache(capacityByteCount: 0))
    #expect(reader.rangeTombstones.fragments == fragments)
    #expect(
      TableSummary(
        reader.properties, byteCount: summary.byteCount, footerChecksum: summary.footerChecksum)
        == summary)
    #expect(file.state.withLock { $0.syncCount } == 1)
    #expect(reader.metadataByteCount > 0)
  }

  @Test("a table may hold range tombstones alone")
  func tombstonesAlone() throws {
    var model = TableModel()
    model.tombstones = [([1], [9], 5), ([3], [4], 7), ([4], [20, 1], 6)]
    let (file, summary) = try model.write()
    #expect(summary.entryCount == 0)
    #expect(summary.smallestKey == [1])
    #expect(summary.largestKey == [20, 1])
    #expect(summary.largestIsExclusive)
    let reader = try TableReader(
      file: file, identity: model.identity, expecting: summary.expectation,
      cache: BlockCache(capacityByteCount: 0))
    #expect(try reader.makeCursor(access: .scan).all() == [])
    #expect(try reader.found([3], at: 100) == nil)
    let cursor = try reader.makeCursor(access: .point)
    try cursor.seekToLast()
    #expect(!cursor.isValid)
    try cursor.seek([1], .newest(at: 9))
    #expect(!cursor.isValid)
    try reader.verify()
  }

  @Test("keys and values at the limits of size come back whole")
  func large() throws {
    var model = TableModel()
    let longest = TableFormat.largestKeyByteCount
    for (number, valueCount) in [3_000_000, 0, 70_000, 5].enumerated() {
      let key = [UInt8](repeating: 7, count: longest - 1) + [UInt8(number)]
      var random = TableTestRandom(UInt64(number))
      model.entries.append(
        ModelEntry(
          key: key, tag: Tag(sequence: UInt64(number), kind: .value),
          value: random.bytes(valueCount)))
    }
    let reader = try model.open()
    #expect(try reader.makeCursor(access: .scan).all() == model.entries)
    for entry in model.entries { #expect(try reader.found(entry.key, at: 9) == entry) }
    #expect(reader.index.count == 4)
    try reader.verify()
  }

  @Test("the size estimate grows with what is added and ends near the size")
  func estimate() throws {
    let model = TableModel.random(4)
    var random = TableTestRandom(11)
    let file = TableTestFile()
    var writer = TableWriter(
      file: file, identity: model.identity, options: TableOptions(compresses: false))
    var previous: UInt64 = 0
    var largestFall = 0
    for number in 0..<20_000 {
      let key = Array("key\(100_000 + number)".utf8)
      try key.withView { key in
        try random.bytes(20).withView { try writer.add(key, Tag(sequence: 1, kind: .value), $0) }
      }
      // It counts a block's entries at a few bytes too many until the block is written.
      largestFall = max(largestFall, Int(previous) - Int(writer.standing().byteCount))
      previous = writer.standing().byteCount
    }
    #expect(largestFall < 4096 / 8)
    #expect(Int(writer.standing().entryCount) == 20_000)
    let summary = try writer.finish()
    let ratio = Double(previous) / Double(summary.byteCount)
    #expect((0.9...1.1).contains(ratio), "\(ratio)")
  }

  @Test("a failed sync is a loss of durability, a failed write for want of space is named")
  func failures() throws {
    func write(_ change: (inout TableTestFile.State) -> Void) -> StoreError? {
      let file = TableTestFile()
      file.state.withLock { change(&$0) }
      var writer = TableWriter(
        file: file, identity: TableModel().identity, options: TableOptions())
      do throws(StoreError) {
        try writer.add(.empty, Tag(sequence: 1, kind: .value), .empty)
        _ = try writer.finish()
        return nil
      } catch { return error }
    }
    #expect(write { $0.syncFails = true }?.errorClass == "durabilityLost")
    #expect(write { $0.writeFails = true }?.errorClass == "resourceExhausted")
    #expect(write { _ in } == nil)
  }

  @Test("a lone file says which table it is")
  func identity() throws {
    var model = TableModel()
    model.entries = [ModelEntry(key: [1], tag: Tag(sequence: 3, kind: .value), value: [2])]
    let (file, _) = try model.write()
    let (identity, version) = try TableReader.readIdentity(file)
    #expect(identity == model.identity)
    #expect(version == TableFormat.version)
    let reader = try TableReader(
      file: file, identity: identity, expecting: nil, cache: BlockCache(capacityByteCount: 0))
    #expect(try reader.makeCursor(access: .scan).all() == model.entries)
  }
}

extension TableModel {
  /// A key that is in the table, or close to one that is.
  func neighbour(_ random: inout TableTestRandom) -> [UInt8] {
    guard var key = entries.randomElement(using: &random)?.key else { return random.bytes(2) }
    switch random.below(5) {
    case 0: return key
    case 1: return key + [UInt8(random.below(256))]
    case 2: return Array(key.prefix(random.below(key.count + 1)))
    case 3:
      guard !key.isEmpty else { return [0] }
      key[random.below(key.count)] = UInt8(random.below(256))
      return key
    default: return random.bytes(random.below(5))
    }
  }
}
