// SpaceWorkload — how much disk a store takes whose records were overwritten.
//
// Room:    Benchmarks.

import Turbidite

/// Overwrites every record five times in random order; compares with a store of the last versions
/// that was compacted.
func measureSpace(_ settings: Settings, _ report: inout Report) throws {
  try withDirectory { directory in
    let count = settings.recordCount ?? 1_000_000
    let store = try Store.Blocking.open(at: directory + "/store", mode: .create)
    let loading = Stopwatch()
    for version in 0...5 {
      try load(Permutation(count: count, seed: UInt64(version)), version: version, into: store)
    }
    let seconds = loading.seconds
    let busy = try diskByteCount(of: directory + "/store")
    try settings.note(describe(store.blocking.statistics()))
    try settle(store)
    let asLeft = try diskByteCount(of: directory + "/store")
    try settings.note(describe(store.blocking.statistics()))
    try store.blocking.flush()
    try settle(store)
    let settled = try diskByteCount(of: directory + "/store")
    try settings.note(describe(store.blocking.statistics()))
    try check(store, holds: count, version: 5)
    try store.blocking.close()

    let fresh = try Store.Blocking.open(at: directory + "/fresh", mode: .create)
    try load(0..<count, version: 5, into: fresh)
    try fresh.blocking.compact()
    try settle(fresh)
    let least = try diskByteCount(of: directory + "/fresh")
    try settings.note(describe(fresh.blocking.statistics()))
    try check(fresh, holds: count, version: 5)
    try fresh.blocking.close()

    func add(
      _ name: String, _ number: Double, _ unit: String, digits: Int = 1, target: Double? = nil
    ) {
      report.add(
        Measurement(
          workload: "spaceamp", name: name, number: number, unit: unit, digits: digits,
          target: target))
    }
    let mebibyte = 1_048_576.0
    add("overwrites, six versions", Double(count * 6) / seconds, "records/s", digits: 0)
    add("a freshly loaded, compacted store", Double(least) / mebibyte, "MiB")
    add("right after the last write", Double(busy) / mebibyte, "MiB")
    add("at rest, log not flushed", Double(asLeft) / mebibyte, "MiB")
    add("at rest, flushed", Double(settled) / mebibyte, "MiB")
    add(
      "space amplification, right after", Double(busy) / Double(least), "times", digits: 2)
    add(
      "space amplification, log not flushed", Double(asLeft) / Double(least), "times", digits: 2)
    add(
      "space amplification, flushed", Double(settled) / Double(least), "times", digits: 2,
      target: 1.2)
  }
}

/// The numbers below `count`, each once, in an order that looks random, in constant memory.
///
/// A Feistel network over the next even power of two, walked until it falls below `count`
/// (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002, § 3: cycle walking).
struct Permutation: Sequence, IteratorProtocol {
  private let count: Int
  private let seed: UInt64
  private let halfBitCount: Int
  private var position = 0

  init(count: Int, seed: UInt64) {
    self.count = count
    self.seed = seed
    let bitCount = Int.bitWidth - Swift.max(1, count - 1).leadingZeroBitCount
    halfBitCount = (bitCount + 1) / 2
  }

  mutating func next() -> Int? {
    guard position < count else { return nil }
    var number = shuffled(position)
    while number >= count { number = shuffled(number) }
    position += 1
    return number
  }

  private func shuffled(_ number: Int) -> Int {
    let mask = UInt64(1) << UInt64(halfBitCount) - 1
    var (left, right) = (UInt64(number) >> UInt64(halfBitCount), UInt64(number) & mask)
    for round in 0..<4 {
      (left, right) = (right, left ^ mix(right &+ seed &* 31 &+ UInt64(round) << 40) & mask)
    }
    return Int(left << UInt64(halfBitCount) | right)
  }
}
