import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import TurbiditeEngine

/// The cache keeps to its number, and is used as each access says.
@Suite("Block cache")
struct BlockCacheTests {
  /// A block that takes `byteCount` bytes in memory, apart from its objects; at least 40.
  static func block(
    _ fileNumber: UInt64, _ offset: UInt64, byteCount: Int, memory: BlockMemory? = nil
  ) throws -> Block {
    let payload = try BlockTests.payload([
      ModelEntry(
        key: [], tag: Tag(sequence: 5, kind: .value),
        value: [UInt8](repeating: 0, count: byteCount - 40))
    ])
    let owner = try #require(payload.withView { OwnedBuffer(copying: $0) })
    return try Block(
      CheckedBlock(raw: owner), BlockKey(fileNumber, offset), path: "t",
      memory: memory)
  }

  /// Not in builds of the address sanitizer, which is to see the end of each block.
  private static let hasMemory = BlockCache(capacityByteCount: 64 << 20).memory != nil

  @Test(
    "a cache that must be smaller gives the system its memory, and keeps blocks",
    .enabled(if: hasMemory))
  func shrinking() throws {
    let cache = BlockCache(capacityByteCount: 64 << 20)
    let memory = try #require(cache.memory)
    for number in 0..<16_000 {
      cache.insert(try Self.block(1, UInt64(number), byteCount: 5_000, memory: memory))
    }
    #expect(memory.reservedByteCount >= 56 << 20)
    for number in stride(from: 0, to: 16_000, by: 3) { _ = cache.lookup(1, UInt64(number)) }
    for capacity in [40 << 20, 24 << 20, 10 << 20] {
      cache.capacityByteCount = capacity
      #expect(cache.byteCount <= capacity)
      #expect(cache.byteCount >= capacity / 3)
      let slack = max(capacity / 8, 4 * ChunkPool.chunkByteCount)
      #expect(memory.reservedByteCount <= capacity + slack)
    }
    let kept = (0..<16_000).count { cache.lookup(1, UInt64($0)) != nil }
    #expect(kept > 600)
  }

  @Test(
    "blocks too large for slots take the place of chunks, and are not kept beside them",
    .enabled(if: hasMemory))
  func largeBlocks() throws {
    let limit = 64 << 20
    let chunks = ChunkPool(keptByteCount: limit)
    let cache = BlockCache(capacityByteCount: 56 << 20, chunks: chunks)
    let memory = try #require(cache.memory)
    for round in 0..<3 {
      for number in 0..<14_000 {
        cache.insert(try Self.block(1, UInt64(number), byteCount: 5_000, memory: memory))
      }
      #expect(chunks.byteCounts.held >= 48 << 20, "round \(round)")
      for number in 0..<3_000 {
        cache.insert(try Self.block(2, UInt64(number), byteCount: 30_000, memory: memory))
        #expect(cache.byteCount <= 56 << 20)
      }
      // By now large blocks fill the cache.
      #expect(chunks.byteCounts.held <= 16 << 20, "round \(round)")
      cache.remove(fileNumber: 2)
      cache.remove(fileNumber: 1)
      #expect(cache.byteCount == 0)
    }
  }

  @Test("it never holds more than its capacity, whatever comes", arguments: 0..<10)
  func capacity(seed: UInt64) throws {
    var random = TableTestRandom(seed)
    let cache = BlockCache(capacityByteCount: 20_000)
    var inserted: [(UInt64, UInt64, Block)] = []
    for number in 0..<2_000 {
      let fileNumber = UInt64(random.below(4))
      let offset = UInt64(random.below(300))
      switch random.below(40) {
      case 0: cache.remove(fileNumber: fileNumber)
      case 1: cache.capacityByteCount = random.below(40_000)
      case 2..<20:
        let block = try Self.block(fileNumber, offset, byteCount: 40 + random.below(6_000))
        cache.insert(block)
        inserted.append((fileNumber, offset, block))
      default:
        if let block = cache.lookup(fileNumber, offset) {
          #expect(block.offset == offset)
          #expect(
            inserted.contains { $0.0 == fileNumber && $0.2 === block }, "seed \(seed) \(number)")
        }
      }
      #expect(cache.byteCount <= cache.capacityByteCount, "seed \(seed) step \(number)")
      #expect(cache.byteCount >= 0)
    }
    cache.capacityByteCount = 0
    #expect(cache.byteCount == 0)
  }

  @Test("what is used outlives what is met once")
  func frequency() throws {
    let cache = BlockCache(capacityByteCount: 100 * 1_192)
    for offset in 0..<20 { cache.insert(try Self.block(1, UInt64(offset), byteCount: 1_000)) }
    for round in 0..<100 {
      for offset in 0..<20 { _ = cache.lookup(1, UInt64(offset)) }
      for number in 0..<10 {
        cache.insert(try Self.block(1, UInt64(1_000 + round * 10 + number), byteCount: 1_000))
      }
    }
    let kept = (0..<20).count { cache.lookup(1, UInt64($0)) != nil }
    #expect(kept >= 18, "\(kept) of 20")
  }

  @Test("a removed table's blocks are gone, and others stay")
  func removal() throws {
    let cache = BlockCache(capacityByteCount: 1 << 20)
    for offset in 0..<50 {
      cache.insert(try Self.block(UInt64(offset % 2), UInt64(offset), byteCount: 100))
    }
    let before = cache.byteCount
    cache.remove(fileNumber: 1)
    #expect(cache.byteCount == before / 2)
    for offset in 0..<50 {
      #expect((cache.lookup(UInt64(offset % 2), UInt64(offset)) != nil) == (offset % 2 == 0))
    }
    #expect(cache.counters.hits == 25)
    #expect(cache.counters.misses == 25)
  }

  @Test("point reads fill the cache, cached-only ones never read, a sweep leaves it, a scan nearly")
  func accesses() throws {
    var model = TableModel()
    for number in 0..<10_000 {
      model.entries.append(
        ModelEntry(
          key: Array("key\(100_000 + number)".utf8), tag: Tag(sequence: 5, kind: .value),
          value: [UInt8](repeating: UInt8(number & 0xff), count: 50)))
    }
    let (file, summary) = try model.write()
    let cache = BlockCache(capacityByteCount: 1 << 22)
    let reader = try TableReader(
      file: file, identity: model.identity, expecting: summary.expectation, cache: cache)
    func readCount() -> Int { file.state.withLock { $0.readCount } }
    var before = readCount()
    #expect(throws: TableWouldBlock.self) {
      try reader.found(model.entries[70].key, at: 9, access: .cachedOnly)
    }
    #expect(readCount() == before)
    for access in [BlockAccess.sweep, .scan] {
      before = readCount()
      #expect(cache.byteCount == 0)
      #expect(try reader.makeCursor(access: access).all() == model.entries)
      #expect(readCount() - before < reader.index.count / 3, "several blocks are read at once")
    }
    #expect(reader.index.count > 40)
    for number in [0, 31, 32, reader.index.count - 1] {
      let offset = reader.index.handle(number).offset
      let isKept = cache.lookup(model.identity.fileNumber, offset) != nil
      #expect(isKept == (number < 32), "a scan keeps its first blocks: \(number)")
    }
    cache.capacityByteCount = 0
    cache.capacityByteCount = 1 << 22
    #expect(try reader.found(model.entries[70].key, at: 9) == model.entries[70])
    #expect(cache.byteCount > 0)
    before = readCount()
    #expect(
      try reader.found(model.entries[70].key, at: 9, access: .cachedOnly) == model.entries[70])
    #expect(readCount() == before)
    #expect(try reader.makeCursor(access: .point).all() == model.entries)
    before = readCount()
    #expect(try reader.makeCursor(access: .scan).all() == model.entries)
    #expect(readCount() == before, "a scan takes what is cached")
  }

  @Test("a value stays valid while it is pinned, though the cache has forgotten its block")
  func pins() throws {
    let model = TableModel.random(5)
    let reader = try model.open()
    let entry = model.entries[model.entries.count / 2]
    var pin = BlockPin()
    let lookup = try entry.key.withView { key in
      try reader.find(
        key, hash: key.hash(), at: entry.tag.sequence, access: .point, pinning: &pin)
    }
    reader.cache.capacityByteCount = 0
    guard case .found(let found) = lookup else {
      Issue.record("not found")
      return
    }
    #expect(found.value.bytes() == entry.value)
    withExtendedLifetime(pin) {}
  }

  @Test("many threads read one table through one small cache and each sees the model")
  func threads() async throws {
    var model = TableModel.random(2)
    model.options.blockByteCount = 200
    model.entries = (0..<2_000).map { number in
      ModelEntry(
        key: Array("key\(10_000 + number)".utf8), tag: Tag(sequence: 5, kind: .value),
        value: Array("value\(number)".utf8))
    }
    let entries = model.entries
    let reader = try model.open(cacheByteCount: 20_000)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for seed in 0..<6 {
        group.addTask {
          var random = TableTestRandom(UInt64(seed))
          for turn in 0..<400 {
            let entry = entries[random.below(entries.count)]
            let found = try reader.found(entry.key, at: 9)
            #expect(found == entry)
            if turn % 100 == 50 {
              let access: BlockAccess = seed % 2 == 0 ? .scan : .point
              let all = try reader.makeCursor(access: access).all()
              #expect(all == entries)
            }
            if seed == 5 && turn % 50 == 0 { reader.cache.remove(fileNumber: 7) }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(reader.cache.byteCount <= 20_000)
  }
}
