// ChunkPoolTests — chunks are used again, within what may be kept, and spare ones are asked for.

import Synchronization
import Testing

@testable import TurbiditeEngine

@Suite("Chunk pool")
struct ChunkPoolTests {
  static let chunk = ChunkPool.chunkByteCount

  @Test("a chunk that came back is handed out again before the system is asked")
  func reuse() throws {
    let pool = ChunkPool(keptByteCount: 4 * Self.chunk)
    let first = try #require(pool.take())
    #expect(first % UInt(Self.chunk) == 0)
    pool.giveBack(first)
    #expect(pool.byteCounts == (Self.chunk, Self.chunk))
    #expect(pool.take() == first)
    #expect(pool.byteCounts == (0, Self.chunk))
    pool.giveBack(first)
  }

  @Test("free chunks and those in use stay within the limit once what is beyond came back")
  func limit() throws {
    let pool = ChunkPool(keptByteCount: 3 * Self.chunk)
    let chunks = try (0..<5).map { _ in try #require(pool.take()) }
    #expect(Set(chunks).count == 5)
    #expect(pool.byteCounts == (0, 5 * Self.chunk))
    pool.giveBack(chunks[0])
    pool.giveBack(chunks[1])
    #expect(pool.byteCounts == (0, 3 * Self.chunk))
    pool.giveBack(chunks[2])
    pool.giveBack(chunks[3])
    #expect(pool.byteCounts == (2 * Self.chunk, 3 * Self.chunk))
    pool.giveBack(chunks[4])
    #expect(pool.byteCounts == (3 * Self.chunk, 3 * Self.chunk))
  }

  @Test("what lies outside counts against the same limit, and free chunks make room for it")
  func outside() throws {
    let pool = ChunkPool(keptByteCount: 4 * Self.chunk)
    let chunks = try (0..<4).map { _ in try #require(pool.take()) }
    for chunk in chunks.dropFirst() { pool.giveBack(chunk) }
    #expect(pool.byteCounts == (3 * Self.chunk, 4 * Self.chunk))
    pool.countOutside(Self.chunk + 1)
    #expect(pool.byteCounts == (Self.chunk, 2 * Self.chunk))
    pool.countOutside(100 * Self.chunk)
    #expect(pool.byteCounts == (0, Self.chunk))
    pool.countOutside(-101 * Self.chunk - 1)
    pool.giveBack(chunks[0])
    #expect(pool.byteCounts == (Self.chunk, Self.chunk))
  }

  @Test("spare chunks are asked for once, and no more than fit")
  func spares() throws {
    let count = Counter()
    let pool = ChunkPool(keptByteCount: 10 * Self.chunk) { _ in
      count.value.add(1, ordering: .relaxed)
    }
    var held = try (0..<3).map { _ in try #require(pool.take()) }
    #expect(count.value.load(ordering: .relaxed) == 0, "a store of few chunks has no spare ones")
    while held.count < 8 { held.append(try #require(pool.take())) }
    #expect(count.value.load(ordering: .relaxed) == 1)
    #expect(pool.refill())
    #expect(!pool.refill())
    #expect(pool.byteCounts == (2 * Self.chunk, 10 * Self.chunk))
    // Both are taken; at the limit nothing more is wanted.
    held.append(try #require(pool.take()))
    held.append(try #require(pool.take()))
    #expect(count.value.load(ordering: .relaxed) == 1)
    #expect(!pool.refill())
    #expect(pool.byteCounts == (0, 10 * Self.chunk))
    for chunk in held { pool.giveBack(chunk) }
    #expect(pool.byteCounts == (10 * Self.chunk, 10 * Self.chunk))
  }

  private final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }
}
