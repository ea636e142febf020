// A memtable's behaviour, told by a sorted array; and the keys that tests insert.

@testable import TurbiditeEngine

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

/// Families of keys, each hard on another part of the tree.
enum KeyShape: String, CaseIterable, Sendable {
  case ascending, descending, random16, sharedPrefix, longSharedPrefix, oneByte, prefixesOfEachOther
  case zeroBytes, long, manyVersions, mixed

  func key(_ index: Int, _ random: inout SeededGenerator) -> [UInt8] {
    switch self {
    case .ascending: return decimal("user", index)
    case .descending: return decimal("user", 9_999_999 - index)
    case .random16: return (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
    case .sharedPrefix: return decimal("user", Int.random(in: 0..<9_999_999, using: &random))
    case .longSharedPrefix:
      let tenant = Int.random(in: 0..<3, using: &random)
      let stem = [UInt8](repeating: UInt8(ascii: "t"), count: 40 + 7 * tenant)
      return stem + decimal("/", Int.random(in: 0..<100_000, using: &random))
    case .oneByte: return [UInt8.random(in: 0...255, using: &random)]
    case .prefixesOfEachOther:
      return [UInt8](repeating: 7, count: Int.random(in: 0...300, using: &random))
    case .zeroBytes:
      return (0..<Int.random(in: 0...12, using: &random)).map { _ in
        UInt8.random(in: 0...1, using: &random)
      }
    case .long:
      let count = Int.random(in: 1_000...3_000, using: &random)
      return [UInt8](repeating: 1, count: count) + [UInt8.random(in: 0...255, using: &random)]
    case .manyVersions: return decimal("k", Int.random(in: 0..<4, using: &random))
    case .mixed:
      let shapes = KeyShape.allCases.filter { $0 != .mixed }
      return shapes[Int.random(in: 0..<shapes.count, using: &random)].key(index, &random)
    }
  }

  private func decimal(_ stem: String, _ number: Int) -> [UInt8] {
    let digits = String(number)
    return Array((stem + String(repeating: "0", count: max(0, 7 - digits.count)) + digits).utf8)
  }
}

/// One entry of the model.
struct MemtableEntry: Equatable, CustomStringConvertible {
  var key: [UInt8]
  var tag: UInt64
  var value: [UInt8]

  /// In internal key order.
  func precedes(_ other: MemtableEntry) -> Bool { precedes(other.key, other.tag) }

  func precedes(_ key: [UInt8], _ tag: UInt64) -> Bool {
    let order = self.key.withView { mine in key.withView { mine.compare($0) } }
    return order == 0 ? self.tag > tag : order < 0
  }

  var description: String { "\(key.prefix(24))#\(tag >> 8)" }
}

/// A sorted array that answers as a memtable must.
struct MemtableModel {
  private(set) var entries: [MemtableEntry] = []

  /// The index of the first entry at or after `(key, tag)`.
  func place(_ key: [UInt8], _ tag: UInt64) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].precedes(key, tag) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  mutating func insert(_ entry: MemtableEntry) -> Bool {
    let index = place(entry.key, entry.tag)
    if index < entries.count, entries[index].key == entry.key, entries[index].tag == entry.tag {
      return false
    }
    entries.insert(entry, at: index)
    return true
  }

  func find(_ key: [UInt8], at sequence: UInt64) -> MemtableEntry? {
    let index = place(key, sequence << 8 | 0xff)
    guard index < entries.count, entries[index].key == key else { return nil }
    return entries[index]
  }
}

extension Memtable {
  func insert(_ entry: MemtableEntry) throws(StoreError) -> Bool {
    try entry.key.withView { key throws(StoreError) in
      try entry.value.withView { value throws(StoreError) in
        try insert(key, Tag(rawValue: entry.tag), value)
      }
    }
  }

  func find(_ key: [UInt8], at sequence: UInt64) -> MemtableEntry? {
    key.withView { view in
      find(view, at: sequence).map { found in
        MemtableEntry(key: key, tag: found.tag.rawValue, value: found.value.bytes())
      }
    }
  }
}

extension EntryCursor {
  /// The entry at the cursor.
  var current: MemtableEntry? {
    isValid ? MemtableEntry(key: key.bytes(), tag: tag.rawValue, value: value.bytes()) : nil
  }
}
