// SeededRandom — the same numbers for the same seed, on every machine.
//
// Room:    Simulation.
// Source:  xoshiro256**: Blackman and Vigna, "Scrambled linear pseudorandom number generators",
//          ACM TOMS 47, 2021, section 7. Seeding by SplitMix64: Steele, Lea and Flood, OOPSLA 2014,
//          as the authors of xoshiro advise. `below`: Lemire, "Fast random integer generation in
//          an interval", ACM TOMACS 29, 2019, algorithm 5.

import Synchronization
package import TurbiditeSystem

/// Reproducible numbers for tests and simulation; nothing that an enemy may not guess.
package final class SeededRandom: RandomSource {
  private let generator: Mutex<Xoshiro256>

  /// The sequence of `seed`.
  package init(seed: UInt64) { generator = Mutex(Xoshiro256(seed: seed)) }

  package func next() -> UInt64 { generator.withLock { $0.next() } }
}

extension RandomSource {
  /// A uniform number in `0..<bound`; `bound` is not 0.
  package func below(_ bound: Int) -> Int {
    precondition(bound > 0, "a range without numbers")
    let width = UInt64(bound)
    var product = next().multipliedFullWidth(by: width)
    if product.low < width {
      let threshold = (0 &- width) % width
      while product.low < threshold { product = next().multipliedFullWidth(by: width) }
    }
    return Int(product.high)
  }

  /// True once in `count` draws, on average.
  package func isOne(in count: Int) -> Bool { below(count) == 0 }
}

/// The state of xoshiro256**: never all zero, because SplitMix64 does not give four zeros in a row.
package struct Xoshiro256: Sendable {
  private var s0: UInt64
  private var s1: UInt64
  private var s2: UInt64
  private var s3: UInt64

  /// The generator that `seed` stands for.
  package init(seed: UInt64) {
    var seeds = SplitMix64(state: seed)
    self.init(seeds.next(), seeds.next(), seeds.next(), seeds.next())
  }

  /// The generator in a given state, not all zero.
  package init(_ s0: UInt64, _ s1: UInt64, _ s2: UInt64, _ s3: UInt64) {
    self.s0 = s0
    self.s1 = s1
    self.s2 = s2
    self.s3 = s3
  }

  package mutating func next() -> UInt64 {
    let result = Self.rotated(s1 &* 5, by: 7) &* 9
    let shifted = s1 << 17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = Self.rotated(s3, by: 45)
    return result
  }

  private static func rotated(_ value: UInt64, by count: UInt64) -> UInt64 {
    value << count | value >> (64 - count)
  }
}

/// A generator that any state may start: it spreads a small seed over many bits.
package struct SplitMix64: Sendable {
  private var state: UInt64

  package init(state: UInt64) { self.state = state }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mixed(state)
  }

  /// A bijection whose every output bit depends on every input bit.
  static func mixed(_ value: UInt64) -> UInt64 {
    var bits = value
    bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
    return bits ^ bits >> 31
  }
}
