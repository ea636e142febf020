// Randomness — seeded numbers: uniform, shuffled, and skewed as YCSB's.
//
// Room:    Benchmarks.
// Source:  Cooper et al., Benchmarking Cloud Serving Systems with YCSB (2010); Gray et al., Quickly
//          Generating Billion-Record Synthetic Databases (1994), for the zipfian generator.

import Glibc

/// A seeded stream of numbers.
struct RandomNumbers: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = scattered(seed &+ 0x5eed) }

  @inline(__always)
  mutating func next() -> UInt64 {
    state &+= 1
    return scattered(state)
  }

  /// A number below `bound`.
  @inline(__always)
  mutating func below(_ bound: Int) -> Int {
    Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number from 0 to 1.
  mutating func fraction() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }
}

/// The numbers below `count` in an order that looks random.
func shuffledRanks(_ count: Int, seed: UInt64) -> [UInt32] {
  var numbers = RandomNumbers(seed: seed)
  var ranks = (0..<UInt32(count)).map { $0 }
  for index in stride(from: count - 1, to: 0, by: -1) {
    ranks.swapAt(index, numbers.below(index + 1))
  }
  return ranks
}

/// Numbers below `count`, the small ones often: the zipfian distribution with exponent 0.99.
struct Zipfian {
  private static let theta = 0.99
  private let count: Int
  private let zeta: Double
  private let alpha = 1 / (1 - theta)
  private let eta: Double

  init(count: Int) {
    self.count = count
    var sum = 0.0
    for number in 1...count { sum += 1 / pow(Double(number), Self.theta) }
    zeta = sum
    let two = 1 + 1 / pow(2, Self.theta)
    eta = (1 - pow(2 / Double(count), 1 - Self.theta)) / (1 - two / sum)
  }

  func next(_ numbers: inout RandomNumbers) -> Int {
    let uniform = numbers.fraction()
    let scaled = uniform * zeta
    if scaled < 1 { return 0 }
    if scaled < 1 + pow(0.5, Self.theta) { return 1 }
    return min(count - 1, Int(Double(count) * pow(eta * uniform - eta + 1, alpha)))
  }

  /// The same distribution, with the frequent numbers spread over all.
  func nextScrambled(_ numbers: inout RandomNumbers) -> Int {
    let hashed = scattered(UInt64(next(&numbers)) &+ 0x5c4a)
    return Int(truncatingIfNeeded: hashed.multipliedFullWidth(by: UInt64(count)).high)
  }
}
