// BlockMemoryTests — slots never overlap, keep what is written to them, and all memory comes back.

import Testing

@testable import TurbiditeEngine

@Suite("Block memory")
struct BlockMemoryTests {
  @Test("random slots of every size keep their bytes, and the segments go back to the system")
  func randomSlots() throws {
    var random = SeededGenerator(seed: 1)
    let memory = BlockMemory(chunks: ChunkPool())
    var held: [(buffer: OwnedBuffer, mark: UInt64)] = []
    for step in 0..<60_000 {
      // Phases of growing and of shrinking, so that pages change their size class.
      let grows = step / 10_000 % 2 == 0
      if held.isEmpty || Int.random(in: 0..<100, using: &random) < (grows ? 70 : 30) {
        let largest = step / 20_000 % 2 == 0 ? BlockMemory.largestByteCount : 3000
        let byteCount = Int.random(in: 1...largest, using: &random)
        let buffer = try #require(OwnedBuffer(count: byteCount, from: memory))
        try #require(buffer.count >= byteCount)
        if byteCount > 512 { try #require(buffer.count <= byteCount + byteCount / 8 + 1) }
        let mark = UInt64(step) | UInt64(byteCount) << 32
        buffer.fill(with: mark)
        held.append((buffer, mark))
      } else {
        let last = held.count - 1
        held.swapAt(Int.random(in: 0...last, using: &random), last)
        let (buffer, mark) = held.removeLast()
        try #require(buffer.isFilled(with: mark), "step \(step)")
      }
    }
    for (buffer, mark) in held { try #require(buffer.isFilled(with: mark)) }
    let inUse = held.reduce(0) { $0 + $1.buffer.count }
    #expect(memory.reservedByteCount >= inUse)
    held = []
    #expect(memory.reservedByteCount <= ChunkPool.chunkByteCount)
  }

  @Test("slots that were used before are used again before memory is taken")
  func reuse() throws {
    var random = SeededGenerator(seed: 2)
    let memory = BlockMemory(chunks: ChunkPool())
    for byteCount in [600, 5000, 16_000, 600, 5000] {
      var held: [OwnedBuffer] = []
      for _ in 0..<2000 {
        held.append(try #require(OwnedBuffer(count: byteCount, from: memory)))
      }
      let reserved = memory.reservedByteCount
      // What a page of 128 KiB has behind its last slot is lost.
      #expect(reserved <= held.reduce(0) { $0 + $1.count } * 9 / 8 + 2 * ChunkPool.chunkByteCount)
      for _ in 0..<5 {
        held.shuffle(using: &random)
        held.removeLast(1000)
        for _ in 0..<1000 {
          held.append(try #require(OwnedBuffer(count: byteCount, from: memory)))
        }
        #expect(memory.reservedByteCount <= reserved)
      }
    }
  }

  @Test("the segments that hold least are named, as many as have to go")
  func sparsest() throws {
    var random = SeededGenerator(seed: 3)
    let memory = BlockMemory(chunks: ChunkPool())
    var held: [OwnedBuffer] = []
    for _ in 0..<4000 { held.append(try #require(OwnedBuffer(count: 5000, from: memory))) }
    held.shuffle(using: &random)
    held.removeLast(3000)
    let reserved = memory.reservedByteCount
    let segments = memory.sparsestSegments(over: reserved / 2)
    #expect(segments.count >= reserved / ChunkPool.chunkByteCount / 2)
    func bytes(_ segment: Int?) -> Int {
      held.reduce(0) { $0 + ($1.segment == segment ? $1.count : 0) }
    }
    let most = segments.map { bytes($0) }.max() ?? 0
    for segment in Set(held.compactMap(\.segment)) where !segments.contains(segment) {
      #expect(bytes(segment) >= most)
    }
    held.removeAll { segments.contains($0.segment ?? -1) }
    #expect(memory.reservedByteCount <= reserved / 2 + ChunkPool.chunkByteCount)
  }

  @Test("threads may take and give back at once")
  func threads() async {
    let memory = BlockMemory(chunks: ChunkPool())
    await withTaskGroup(of: Bool.self) { group in
      for task in 0..<4 {
        group.addTask {
          var random = SeededGenerator(seed: UInt64(task))
          var held: [(OwnedBuffer, UInt64)] = []
          for step in 0..<5_000 {
            let mark = UInt64(step) << 8 | UInt64(task)
            let byteCount = Int.random(in: 1...8000, using: &random)
            guard let buffer = OwnedBuffer(count: byteCount, from: memory) else { return false }
            buffer.fill(with: mark)
            held.append((buffer, mark))
            if held.count > 50 {
              let (oldest, mark) = held.removeFirst()
              guard oldest.isFilled(with: mark) else { return false }
            }
          }
          return true
        }
      }
      for await isRight in group { #expect(isRight) }
    }
    #expect(memory.reservedByteCount <= ChunkPool.chunkByteCount)
  }
}

extension OwnedBuffer {
  fileprivate func fill(with mark: UInt64) {
    for offset in stride(from: 0, to: count - 7, by: 8) { store(mark, at: offset) }
  }

  fileprivate func isFilled(with mark: UInt64) -> Bool {
    stride(from: 0, to: count - 7, by: 8).allSatisfy { view.load($0, as: UInt64.self) == mark }
  }
}
