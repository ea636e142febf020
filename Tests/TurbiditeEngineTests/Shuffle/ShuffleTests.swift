// ShuffleTests — groups are those of a dictionary, however small tables and merges are.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import TurbiditeEngine

/// Files in memory that vanish with their last user.
func memoryDisk() -> RunDisk {
  let disk = SimulatedDisk()
  let numbers = Guarded<UInt64>(1)
  return RunDisk(store: StoreID(high: 1, low: 2)) { () throws(StoreError) -> RunFile in
    let number = numbers.withLock { number -> UInt64 in
      defer { number += 1 }
      return number
    }
    let file = try disk.openFile("\(number)", .create)
    try disk.removeFile("\(number)")
    return RunFile(file: file, number: number)
  }
}

@Suite("Shuffle")
struct ShuffleTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    var sinkCount: Int
    var partitionCount: Int
    var tableByteCount: Int
    var fanIn: Int
    var testDescription: String {
      "\(sinkCount) sinks, \(partitionCount) partitions, tables of \(tableByteCount), \(fanIn) at once"
    }
  }

  static let shapes = [
    Shape(sinkCount: 1, partitionCount: 1, tableByteCount: 1 << 30, fanIn: 4),
    Shape(sinkCount: 3, partitionCount: 1, tableByteCount: 1, fanIn: 2),
    Shape(sinkCount: 2, partitionCount: 7, tableByteCount: 100_000, fanIn: 3),
    Shape(sinkCount: 5, partitionCount: 300, tableByteCount: 60_000, fanIn: 4),
  ]

  /// Emits (key, value) pairs of 40 splits through sinks that take splits in a drawn order, the
  /// rest of a run of splits going to another at times.
  private func shuffle(
    _ fold: GroupFold, _ shape: Shape, seed: UInt64,
    _ emit: (Int, GroupSink) -> Void
  ) throws -> Shuffle {
    var limits = ShuffleLimits(
      partitionCount: shape.partitionCount, sinkCount: shape.sinkCount, memoryByteCount: 1 << 20)
    limits.tableByteCount = shape.tableByteCount
    limits.fanIn = shape.fanIn
    let shuffle = Shuffle(fold, limits: limits, disk: memoryDisk())
    let random = SeededRandom(seed: seed)
    let sinks = try (0..<shape.sinkCount).map { _ in try shuffle.makeSink() }
    var pending = Array(0..<40)
    while !pending.isEmpty {
      // Splits go to sinks in runs, and a sink may go back to earlier ones.
      let start = Int(random.next() % UInt64(pending.count))
      let count = min(pending.count - start, 1 + Int(random.next() % 9))
      let sink = sinks[Int(random.next() % UInt64(sinks.count))]
      for split in pending[start..<start + count] {
        try sink.begin(split: split)
        emit(split, sink)
        if let failure = sink.failure { throw failure }
      }
      pending.removeSubrange(start..<start + count)
    }
    for sink in sinks { try sink.finish() }
    return shuffle
  }

  private func key(_ text: String, _ body: (RawSpan) -> Void) {
    let bytes = Array(text.utf8)
    bytes.withView { body($0.span) }
  }

  @Test("counts and sums are those of a dictionary, keys ascend", arguments: shapes)
  func words(_ shape: Shape) throws {
    var expected: [String: Int] = [:]
    let shuffle = try shuffle(.sum, shape, seed: 7) { split, sink in
      let random = SeededRandom(seed: UInt64(split))
      for _ in 0..<500 {
        let text = "k\(random.next() % 3_000)"
        let value = Int64(bitPattern: random.next()) >> 8
        expected[text, default: 0] += Int(value)
        key(text) { sink.add($0, word: UInt64(bitPattern: value)) }
      }
    }
    var found: [String: Int] = [:]
    for partition in 0..<shape.partitionCount {
      let reader = try shuffle.reader(partition: partition)
      var last: [UInt8] = []
      while try reader.next() {
        try reader.withGroup { key, state in
          let bytes = key.withView { $0.bytes() }
          #expect(last.lexicographicallyPrecedes(bytes))
          last = bytes
          let low = state.withView { $0.load(0, as: UInt64.self) }
          let high = state.withView { $0.load(8, as: Int64.self) }
          #expect(high == (Int64(bitPattern: low) < 0 ? -1 : 0))
          #expect(
            found.updateValue(
              Int(Int64(bitPattern: low)), forKey: String(decoding: bytes, as: UTF8.self)) == nil)
        }
      }
    }
    #expect(found == expected)
    #expect((shuffle.spilledByteCount > 0) == (shape.tableByteCount < 1 << 30))
  }

  @Test("values come in the order of the input, repetitions and all", arguments: shapes)
  func values(_ shape: Shape) throws {
    var expected: [String: [[UInt8]]] = [:]
    func value(_ random: SeededRandom) -> [UInt8] {
      switch random.next() % 20 {
      case 0: return []
      case 1: return [UInt8](repeating: 7, count: Int(random.next() % 40_000))
      case 2...9: return [1]
      default: return Array("\(random.next() % 1_000)".utf8)
      }
    }
    for split in 0..<40 {
      let random = SeededRandom(seed: UInt64(split))
      for _ in 0..<100 { expected["k\(random.next() % 40)", default: []].append(value(random)) }
    }
    let shuffle = try shuffle(.values, shape, seed: 8) { split, sink in
      let random = SeededRandom(seed: UInt64(split))
      for _ in 0..<100 {
        let text = "k\(random.next() % 40)"
        let bytes = value(random)
        key(text) { key in bytes.withView { sink.add(key, value: $0.span) } }
      }
    }
    var seen = 0
    for partition in 0..<shape.partitionCount {
      let reader = try shuffle.reader(partition: partition)
      while try reader.next() {
        seen += 1
        let text = try reader.withGroup { key, _ in
          String(decoding: key.withView { $0.bytes() }, as: UTF8.self)
        }
        // Every third group is left unread, every other third read in part.
        if seen % 3 == 0 { continue }
        var found: [[UInt8]] = []
        while try reader.nextValue() {
          found.append(reader.withValue { $0.withView { $0.bytes() } })
          if seen % 3 == 1, found.count == 5 { break }
        }
        let wanted = try #require(expected[text])
        #expect(found == (seen % 3 == 1 ? Array(wanted.prefix(5)) : wanted), "\(text)")
      }
    }
    #expect(seen == expected.count)
  }

  @Test("a key beyond the limit is refused, and nothing is taken after it")
  func longKey() throws {
    let shuffle = Shuffle(
      .count, limits: ShuffleLimits(partitionCount: 1, sinkCount: 1, memoryByteCount: 1 << 20),
      disk: memoryDisk())
    let sink = try shuffle.makeSink()
    let long = [UInt8](repeating: 1, count: Limits.keyByteCount + 1)
    long.withView { sink.add($0.span, word: 1) }
    guard case .invalidArgument? = sink.failure else {
      Issue.record("\(String(describing: sink.failure))")
      return
    }
    #expect(throws: StoreError.self) { try sink.finish() }
  }
}
