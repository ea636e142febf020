// FoldTests — states of groups are what they say, in any order and cut anywhere.

import Testing
import TurbiditeSimulation

@testable import TurbiditeEngine

@Suite("Folds")
struct FoldTests {
  /// The state of words that are added in parts, which are then merged.
  private func state(
    _ fold: any BlobFold, _ parts: [[UInt64]]
  ) throws -> [UInt8] {
    let merged = try MergedState(.blob(fold), pool: ChunkPool())
    merged.clear()
    for part in parts {
      let table = try GroupTable(.blob(fold), partitionCount: 1, pool: ChunkPool())
      for word in part { try [UInt8(1)].withView { try table.add($0, word: word) } }
      try table.settle()
      let cursor = table.sorted(order: try PieceOrder(split: 0, table: 0)).makeCursor()
      try cursor.seekToFirst()
      if cursor.isValid { try merged.merge(cursor.value) }
      withExtendedLifetime(table) {}
    }
    return merged.view.bytes()
  }

  /// Splits what it is given into parts, in another order.
  private func shuffled(_ words: [UInt64], seed: UInt64) -> [[UInt64]] {
    let random = SeededRandom(seed: seed)
    var rest = words
    var parts: [[UInt64]] = [[]]
    while !rest.isEmpty {
      let index = Int(random.next() % UInt64(rest.count))
      rest.swapAt(index, rest.count - 1)
      parts[parts.count - 1].append(rest.removeLast())
      if random.next() % 50 == 0 { parts.append([]) }
    }
    return parts.filter { !$0.isEmpty }
  }

  private func sum(_ parts: [[Double]]) throws -> Double {
    let bytes = try state(ExactSum(), parts.map { $0.map(\.bitPattern) })
    return bytes.withView { ExactSum.result($0.span) }
  }

  private static let tiny = Double.leastNonzeroMagnitude
  private static let normal = Double.leastNormalMagnitude
  private static let known: [([Double], Double)] = [
    ([1, 1e100, 1, -1e100], 2),
    ([1e308, 1e308, -1e308], 1e308),
    ([.greatestFiniteMagnitude, .greatestFiniteMagnitude], .infinity),
    ([-.greatestFiniteMagnitude, -1e308], -.infinity),
    ([0.1, 0.2, 0.3, -0.6], 2.7755575615628914e-17),
    ([tiny, tiny, tiny], 3 * tiny),
    ([tiny, -tiny], 0),
    ([normal, -tiny], normal.nextDown),
    ([9_007_199_254_740_992, 1], 9_007_199_254_740_992),
    ([9_007_199_254_740_994, 1], 9_007_199_254_740_996),
    ([9_007_199_254_740_992, 1, 1e-300], 9_007_199_254_740_994),
    ([-9_007_199_254_740_992, -1, -1e-300], -9_007_199_254_740_994),
    ([.infinity, 1], .infinity),
    ([-tiny, 1e300, -1e300], -tiny),
  ]

  @Test("sums are the nearest double to the true sum", arguments: known)
  func knownSums(_ numbers: [Double], _ expected: Double) throws {
    #expect(try sum([numbers]) == expected)
    #expect(try sum(numbers.map { [$0] }) == expected)
    #expect(try sum([numbers.reversed()]) == expected)
  }

  @Test("infinities of both signs, and NaN, make NaN")
  func invalidSums() throws {
    #expect(try sum([[.infinity, -.infinity]]).isNaN)
    #expect(try sum([[.infinity], [-.infinity]]).isNaN)
    #expect(try sum([[1, .nan], [2]]).isNaN)
  }

  @Test("sums of scaled integers agree with integers of 128 bits, in any order", arguments: 1...30)
  func randomSums(_ seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    var exact: Int128 = 0
    var numbers: [Double] = []
    for _ in 0..<200 {
      // 53 bits at most, anywhere in 110.
      let mantissa = Int128(Int64(bitPattern: random.next()) >> Int64(11 + random.next() % 50))
      let shifted = mantissa << Int128(random.next() % 56)
      exact += shifted
      numbers.append(Double(shifted))
      if random.next() % 4 == 0 {
        exact -= shifted
        numbers.append(-Double(shifted))
      }
    }
    let expected = Double(exact)
    for round in 0..<4 {
      let parts = shuffled(numbers.map(\.bitPattern), seed: seed * 7 + UInt64(round))
      #expect(try sum(parts.map { $0.map { Double(bitPattern: $0) } }) == expected)
    }
  }

  @Test("numbers of every size sum to the same bits in any order", arguments: 1...10)
  func wildSums(_ seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let words = (0..<300).map { _ in random.next() }.filter { Double(bitPattern: $0).isFinite }
    let first = try sum([words.map { Double(bitPattern: $0) }])
    for round in 0..<4 {
      let parts = shuffled(words, seed: seed * 11 + UInt64(round))
      #expect(
        try sum(parts.map { $0.map { Double(bitPattern: $0) } }).bitPattern == first.bitPattern)
    }
  }

  @Test(
    "different values are counted, exactly while few",
    arguments: [0, 1, 200, 256, 257, 5_000, 100_000])
  func distinct(_ count: Int) throws {
    let words = (0..<count).map { UInt64($0) &* 0x9e37_79b9_7f4a_7c15 }
    let whole = try state(HyperLogLog(), [words + words.prefix(100)])
    let estimate = whole.withView { HyperLogLog.estimate($0.span) }
    let allowed = count <= 256 ? 0 : Double(count) * 0.06
    #expect(abs(Double(estimate - count)) <= allowed, "\(estimate)")
    if count <= 5_000 {
      #expect(try state(HyperLogLog(), shuffled(words + words.prefix(50), seed: 3)) == whole)
    }
  }

  @Test("the largest are kept, in any order", arguments: [1, 3, 50])
  func top(_ limit: Int) throws {
    let random = SeededRandom(seed: UInt64(limit))
    let numbers = (0..<300).map { _ in Int64(bitPattern: random.next()) >> 56 }
    let expected = Array(numbers.sorted(by: >).prefix(limit))
    let parts = shuffled(numbers.map { UInt64(bitPattern: $0) }, seed: 5)
    let bytes = try state(TopWords(limit: limit, order: .integer), parts)
    let found = bytes.withView { TopWords.words($0.span) }.map { Int64(bitPattern: $0) }
    #expect(found == expected)
  }

  @Test("a histogram's buckets hold what lies between their ends")
  func histogram() throws {
    let random = SeededRandom(seed: 1)
    var numbers = (0..<500).map { _ in Double(bitPattern: random.next()) }.filter { $0.isFinite }
    numbers += [0, -0.0, 1, -1, FoldTests.tiny, .infinity, -.infinity]
    let bytes = try state(WordHistogram(.double), shuffled(numbers.map(\.bitPattern), seed: 2))
    let buckets = bytes.withView { WordHistogram.buckets($0.span) }
    #expect(buckets.reduce(0) { $0 + $1.count } == UInt64(numbers.count))
    for (index, bucket) in buckets.enumerated() {
      let from = WordHistogram.lowerBound(bucket.number)
      let to = index + 1 < buckets.count ? WordHistogram.lowerBound(buckets[index + 1].number) : nil
      let inside = numbers.filter { number in
        WordOrder.double.rank(number.bitPattern) >= WordOrder.double.rank(from.bitPattern)
          && to.map {
            WordOrder.double.rank(number.bitPattern) < WordOrder.double.rank($0.bitPattern)
          }
            ?? true
      }
      #expect(UInt64(inside.count) == bucket.count)
    }
  }
}
