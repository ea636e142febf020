// ShortInputTests — fewer bytes than were promised are damage, never a shorter answer.

import Testing

@testable import TurbiditeEngine

@Suite("Short input")
struct ShortInputTests {
  /// A file that shrinks between the question for its size and the read is the only way here.
  @Test("a read that ends early names the file and says how much was there")
  func shortRead() throws {
    let file = TableTestFile([1, 2, 3, 4], path: "log/000001.tlog")
    let whole = try file.readBuffer(at: 1, count: 3)
    // A view keeps its buffer as little as a pointer does.
    withExtendedLifetime(whole) { #expect(whole.view.bytes() == [2, 3, 4]) }
    for (offset, count) in [(0, 5), (3, 2), (4, 1), (9, 1)] {
      let failure = #expect(throws: StoreError.self) {
        _ = try file.readBuffer(at: UInt64(offset), count: count)
      }
      guard case .corrupt(let damage) = failure else {
        Issue.record("\(count) bytes at \(offset): \(String(describing: failure))")
        continue
      }
      #expect(damage.file == "log/000001.tlog")
      #expect(damage.offset == UInt64(offset))
    }
  }

  @Test("one compressor's pieces, short and long, come back each by itself")
  func compressorIsReused() throws {
    var random = TableTestRandom(7)
    let compressor = try Compressor()
    var compressedCount = 0
    for _ in 0..<4_000 {
      let half = random.bytes(random.below(random.below(8) == 0 ? 9_000 : 300))
      let raw = random.below(4) == 0 ? half : half + half
      guard let stored = try raw.withView({ try compressor.compress($0)?.bytes() }) else {
        continue
      }
      compressedCount += 1
      #expect(stored.count <= raw.count - raw.count / 8)
      let back = try OwnedBuffer.allocate(raw.count, for: "a test")
      #expect(stored.withView { decompressLZ4($0, into: back) })
      #expect(back.view.bytes() == raw)
    }
    #expect(compressedCount > 2_000)
  }

  @Test("compressed bytes that give fewer bytes than declared are refused")
  func shortDecompression() throws {
    let raw = [UInt8](repeating: 7, count: 400) + Array(0..<100)
    let stored = try #require(try Compressor.compress(once: raw))
    #expect(stored.count < raw.count)
    for declared in [raw.count - 1, raw.count, raw.count + 1, 2 * raw.count] {
      let result = try OwnedBuffer.allocate(declared, for: "a test")
      let isWhole = stored.withView { decompressLZ4($0, into: result) }
      #expect(isWhole == (declared == raw.count), "\(declared) bytes declared")
    }
  }
}
