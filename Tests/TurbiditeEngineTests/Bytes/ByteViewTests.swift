// ByteViewTests — comparisons that take whole words, held against those of single bytes.

import Testing
import TurbiditeSimulation

@testable import TurbiditeEngine

@Suite("Byte views")
struct ByteViewTests {
  /// Of few different bytes, those among them that signs and orders get wrong, so that many share
  /// much.
  private func bytes(_ count: Int, _ random: SeededRandom) -> [UInt8] {
    (0..<count).map { _ in [0x00, 0x00, 0x00, 0x7f, 0x80, 0xff][random.below(6)] }
  }

  /// Pairs of all lengths up to 26; of half of them one begins as the other does.
  private func forEachPair(_ body: ([UInt8], [UInt8]) -> Void) {
    let random = SeededRandom(seed: 36)
    for count in 0...26 {
      for other in 0...26 {
        for turn in 0..<8 {
          let one = bytes(count, random)
          var two = bytes(other, random)
          let shared = turn % 2 == 0 ? 0 : random.below(min(count, other) + 1)
          two.replaceSubrange(..<shared, with: one.prefix(shared))
          body(one, two)
        }
        let one = bytes(count, random)
        body(one, one)
      }
    }
  }

  @Test("order, equality and the shared prefix are those of the single bytes")
  func comparisons() {
    forEachPair { one, two in
      one.withView { first in
        two.withView { second in
          let order =
            one == two ? 0 : one.lexicographicallyPrecedes(two) ? -1 : 1
          #expect(first.compare(second).signum() == order, "\(one) \(two)")
          #expect(first.isEqual(to: second) == (one == two), "\(one) \(two)")
          let shared = zip(one, two).prefix { $0 == $1 }.count
          #expect(first.sharedPrefixCount(second) == shared, "\(one) \(two)")
        }
      }
    }
  }

  @Test("a prefix is the eight bytes at its place, with zeros behind the end")
  func prefixes() {
    forEachPair { one, _ in
      for offset in 0...one.count + 2 {
        let padded = (one + [UInt8](repeating: 0, count: 10))[offset..<offset + 8]
        let expected = padded.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        #expect(one.withView { $0.prefix(at: offset) } == expected, "\(one) at \(offset)")
      }
    }
  }
}
