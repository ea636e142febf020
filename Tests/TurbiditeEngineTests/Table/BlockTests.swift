import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import TurbiditeEngine

/// Payloads whose checksum is right and whose contents are not are damage, never a trap.
///
/// Method: payloads as written, with a few bytes changed at random, and random ones.
@Suite("Block")
struct BlockTests {
  static func block(_ payload: [UInt8]) throws -> Block {
    let owner = try OwnedBuffer.allocate(payload.count, for: "a test")
    payload.withView { owner.store($0, at: 0) }
    return try Block(
      CheckedBlock(raw: owner), BlockKey(1, 64), path: "t")
  }

  /// Decodes a block, looks for some keys, and finds each of its own where it is.
  static func readAll(_ payload: [UInt8], _ random: inout TableTestRandom) throws {
    let block = try block(payload)
    for _ in 0..<4 {
      random.bytes(random.below(4)).withView {
        _ = block.find($0, at: random.next() >> 8)
        _ = block.firstIndex(from: $0, Tag(rawValue: random.next()))
      }
    }
    for entry in 0..<block.count {
      let (key, tag) = (block.key(entry), block.tag(entry))
      #expect(block.firstIndex(from: key, tag) == entry)
      #expect(block.find(key, at: tag.sequence)?.tag.sequence == tag.sequence)
    }
  }

  static func payload(_ entries: [ModelEntry]) throws -> [UInt8] {
    var builder = BlockBuilder()
    var last: [UInt8] = []
    for entry in entries {
      let shared = zip(last, entry.key).prefix { $0 == $1 }.count
      try entry.key.withView { key in
        try entry.value.withView { try builder.add(key, sharing: shared, entry.tag, $0) }
      }
      last = entry.key
    }
    var raw = ScratchBytes()
    try builder.finish(into: &raw)
    return raw.bytes()
  }

  static func isCorrupt(_ error: any Error) -> Bool {
    guard case StoreError.corrupt = error else { return false }
    return true
  }

  @Test("entries that do not begin at the first byte of keys and values are damage")
  func firstRestartPoint() throws {
    let payload = try Self.payload(
      ["a", "b", "c"].map {
        ModelEntry(
          key: Array($0.utf8), tag: Tag(sequence: 5, kind: .value), value: Array("value".utf8))
      })
    let keysEnd =
      TableFormat.blockHeaderByteCount + Int(payload.withView { $0.load(4, as: UInt32.self) })
    _ = try Self.block(payload)
    // A scan would begin where the restart point says, and a lookup at the first byte.
    for place in [keysEnd, keysEnd + 4] {
      var changed = payload
      changed[place] = 5
      #expect(throws: StoreError.self, "byte \(place)") { try Self.block(changed) }
    }
  }

  @Test("changed bytes give an error or other entries, and nothing worse", arguments: 0..<20)
  func mutations(seed: UInt64) throws {
    var random = TableTestRandom(seed)
    let entries = (0..<(1 + random.below(70))).map { number in
      ModelEntry(
        key: [UInt8(number / 9), UInt8(number)] + random.bytes(random.below(3)),
        tag: Tag(sequence: random.next() >> UInt64(8 + random.below(40)), kind: .value),
        value: random.bytes(random.below(5)))
    }
    let payload = try Self.payload(entries)
    try Self.readAll(payload, &random)
    var refused = 0
    for _ in 0..<400 {
      var changed = payload
      for _ in 0..<(1 + random.below(3)) {
        changed[random.below(changed.count)] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]
      }
      if random.below(8) == 0 { changed.removeLast(random.below(changed.count)) }
      do { try Self.readAll(changed, &random) } catch {
        #expect(Self.isCorrupt(error), "seed \(seed): \(error)")
        refused += 1
      }
    }
    #expect(refused > 50)
  }

  /// The block of a payload as it is read from a file that holds it compressed.
  static func block(compressed payload: [UInt8], cut: Int = 0) throws -> Block? {
    guard let stored = try Compressor.compress(once: payload) else { return nil }
    let owner = try OwnedBuffer.allocate(stored.count, for: "a test")
    return try Block(
      CheckedBlock(
        owner: owner, stored: stored.dropLast(cut).withView { owner.overwrite(with: $0) },
        compression: .lz4,
        rawCount: payload.count),
      BlockKey(1, 64), path: "t")
  }

  @Test("a compressed block is the block that was compressed", arguments: 0..<20)
  func compressed(seed: UInt64) throws {
    var random = TableTestRandom(seed)
    // Heads from a few bytes to more than the columns take, and keys that grow after the first.
    let common = random.bytes(random.below(3) * random.below(200))
    let entries = (0..<(1 + random.below(90))).map { number in
      ModelEntry(
        key: common + [UInt8(number / 9), UInt8(number)]
          + random.bytes(random.below(1 + number * random.below(3))),
        tag: Tag(sequence: UInt64(1 + random.below(1000)), kind: .value),
        value: [UInt8](repeating: UInt8(number), count: random.below(200)))
    }
    let payload = try Self.payload(entries)
    let plain = try Self.block(payload)
    guard let block = try Self.block(compressed: payload) else { return }
    try #require(block.count == plain.count)
    #expect(block.rawByteCount == plain.rawByteCount)
    for index in 0..<plain.count {
      #expect(block.key(index).bytes() == plain.key(index).bytes())
      #expect(block.value(index).bytes() == plain.value(index).bytes())
      #expect(block.tag(index) == plain.tag(index))
      #expect(block.firstIndex(from: plain.key(index), plain.tag(index)) == index)
    }
    for cut in [1, 2, 9] {
      do {
        _ = try Self.block(compressed: payload, cut: cut)
        Issue.record("a block without its last \(cut) bytes was read")
      } catch { #expect(Self.isCorrupt(error)) }
    }
  }

  @Test("changed bytes in a compressed block give an error or other entries, and nothing worse")
  func compressedMutations() throws {
    var random = TableTestRandom(3)
    let entries = (0..<60).map { number in
      ModelEntry(
        key: [1, UInt8(number)], tag: Tag(sequence: 7, kind: .value),
        value: [UInt8](repeating: 9, count: 30))
    }
    let payload = try Self.payload(entries)
    let stored = try #require(try Compressor.compress(once: payload))
    var refused = 0
    for _ in 0..<3_000 {
      var changed = stored
      for _ in 0..<(1 + random.below(3)) {
        changed[random.below(changed.count)] = UInt8(random.below(256))
      }
      let copy = try OwnedBuffer.allocate(changed.count, for: "a test")
      changed.withView { copy.store($0, at: 0) }
      do {
        let block = try Block(
          CheckedBlock(
            owner: copy, stored: copy.view, compression: .lz4, rawCount: payload.count),
          BlockKey(1, 64), path: "t")
        for index in 0..<block.count { _ = block.find(block.key(index), at: 9) }
      } catch {
        #expect(Self.isCorrupt(error))
        refused += 1
      }
    }
    #expect(refused > 1_000)
  }

  @Test("random bytes give an error and nothing worse")
  func noise() throws {
    var random = TableTestRandom(77)
    for _ in 0..<3_000 {
      var payload = random.bytes(random.below(120))
      if payload.count >= 16 {
        payload.store(UInt32(random.below(20)), at: 0)
        payload.store(UInt32(random.below(100)), at: 4)
        payload.store(random.next() >> 8, at: 8)
      }
      do { try Self.readAll(payload, &random) } catch { #expect(Self.isCorrupt(error)) }
    }
  }

  @Test("entries that do not ascend are damage", arguments: [1, 2, 15, 16, 17, 31, 32])
  func order(position: Int) throws {
    var entries = (0..<40).map { number in
      ModelEntry(
        key: [5, UInt8(number / 2)], tag: Tag(sequence: UInt64(100 - number), kind: .value),
        value: [])
    }
    var random = TableTestRandom(1)
    try Self.readAll(try Self.payload(entries), &random)
    let saved = entries
    entries[position] = entries[position - 1]
    #expect(throws: StoreError.self) { try Self.readAll(try Self.payload(entries), &random) }
    entries = saved
    entries.swapAt(position, position - 1)
    #expect(throws: StoreError.self) { try Self.readAll(try Self.payload(entries), &random) }
  }

  @Test("metadata with changed bytes is refused or decoded, and nothing worse")
  func metadata() throws {
    var random = TableTestRandom(5)
    var index = IndexBuilder()
    var offset: UInt64 = 64
    for number in 0..<20 {
      let handle = BlockHandle(
        offset: offset, byteCount: UInt64(50 + random.below(200)), checksum: random.next())
      offset = handle.end
      [7, UInt8(number)].withView { last in
        [7, UInt8(number + random.below(2))].withView { next in
          index.add(handle, last, Tag(sequence: 9, kind: .value), before: number == 19 ? nil : next)
        }
      }
    }
    let tombstones = RangeTombstones(tombstones: [([1], [5], 9), ([3], [8], 7), ([20], [30], 2)])
    var properties = TableProperties()
    properties.entryCount = 3
    properties.dataBlockCount = 1
    properties.smallestSequence = 1
    properties.largestSequence = 2
    properties.largestKey = [4]
    let payloads = [index.payload(), TombstoneBlock.payload(tombstones), properties.payload()]
    for kind in 0..<3 {
      func decode(_ bytes: ByteView) throws {
        switch kind {
        case 0:
          let index = try TableIndex(bytes, from: 64, to: offset)
          for _ in 0..<4 {
            random.bytes(random.below(4)).withView { key in
              _ = index.firstBlock(from: key, Tag(rawValue: random.next()))
            }
          }
        case 1: _ = try TombstoneBlock.decode(bytes)
        default: _ = try TableProperties.decode(bytes, optionalFeatures: 0)
        }
      }
      try payloads[kind].withView { try decode($0) }
      var refused = 0
      for _ in 0..<3_000 {
        var changed = payloads[kind]
        changed[random.below(changed.count)] = UInt8(random.below(256))
        if random.below(4) == 0 { changed.removeLast(random.below(changed.count)) }
        do { try changed.withView { try decode($0) } } catch { refused += 1 }
      }
      #expect(refused > 300)
    }
  }

  @Test("a declared size that the stored bytes cannot hold is refused before it is allocated")
  func bombs() throws {
    let file = TableTestFile()
    let seed = ChecksumSeed(store: StoreID(high: 1, low: 2), fileNumber: 3)
    func open(raw: UInt32, compression: UInt8, stored: [UInt8], largest: Int) -> StoreError? {
      var bytes = stored
      bytes.append(compression)
      bytes.append(littleEndian: raw)
      let checksum = bytes.withView { $0.hash(seed: seed.at(64)) }
      bytes.append(littleEndian: checksum)
      let handle = BlockHandle(offset: 64, byteCount: UInt64(bytes.count), checksum: checksum)
      do throws(StoreError) {
        let owner = try OwnedBuffer.allocate(bytes.count, for: "a test")
        bytes.withView { owner.store($0, at: 0) }
        let block = try checkBlock(
          FileBytes(owner: owner, view: owner.view), at: handle, seed: seed, largest: largest,
          in: file)
        if block.compression == .lz4 { _ = try Block(block, BlockKey(1, 64), path: "t") }
        return nil
      } catch { return error }
    }
    let stored = [UInt8](repeating: 0, count: 100)
    func finding(_ error: StoreError?) -> String { error.map { "\($0)" } ?? "" }
    #expect(open(raw: 100, compression: 0, stored: stored, largest: 100) == nil)
    #expect(finding(open(raw: 100, compression: 0, stored: stored, largest: 99)).contains("table"))
    #expect(finding(open(raw: 99, compression: 0, stored: stored, largest: 100)).contains("stores"))
    #expect(
      finding(open(raw: 1 << 30, compression: 1, stored: stored, largest: 1 << 30))
        .contains("LZ4 can hold"))
    #expect(
      finding(open(raw: 200, compression: 1, stored: stored, largest: 1 << 30))
        .contains("t at offset 64"))
    #expect(
      finding(open(raw: 200, compression: 2, stored: stored, largest: 1 << 30))
        .contains("unknown"))
  }
}
