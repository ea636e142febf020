// RangeTombstones — which keys are deleted by range, as of which sequence numbers.
//
// Room:    Engine/Memory.
// Source:  Fragments that do not overlap, each with its sequence numbers: RocksDB's "DeleteRange"
//          (range_tombstone_fragmenter, 2018); the sweep over end points is the textbook one (de
//          Berg et al., Computational Geometry, chapter 2).

/// An immutable set of range tombstones, cut so that its ranges do not overlap.
///
/// Invariants:
/// 1. Fragments ascend and are disjoint: each ends at or before the start of the next.
/// 2. Each fragment has at least one sequence number; they descend strictly.
final class RangeTombstones: Sendable {
  struct Fragment: Sendable, Hashable {
    var start: [UInt8]
    var end: [UInt8]
    /// Newest first.
    var sequences: [UInt64]
  }

  static let none = RangeTombstones(fragments: [])

  let fragments: [Fragment]

  private init(fragments: [Fragment]) {
    self.fragments = fragments
    assert(isOrdered)
  }

  /// Cuts tombstones at each other's ends.
  ///
  /// Empty and inverted ranges delete nothing and are left out.
  init(tombstones: [(start: [UInt8], end: [UInt8], sequence: UInt64)]) {
    var edges: [Edge] = []
    edges.reserveCapacity(2 * tombstones.count)
    for (start, end, sequence) in tombstones where compare(start, end) < 0 {
      edges.append(Edge(key: start, sequence: sequence, isStart: true))
      edges.append(Edge(key: end, sequence: sequence, isStart: false))
    }
    edges.sort { compare($0.key, $1.key) < 0 }
    var fragments: [Fragment] = []
    // How many of the tombstones that are open here have each sequence number.
    var open: [UInt64: Int] = [:]
    var index = 0
    while index < edges.count {
      let key = edges[index].key
      while index < edges.count, compare(edges[index].key, key) == 0 {
        let edge = edges[index]
        let count = open[edge.sequence, default: 0] + (edge.isStart ? 1 : -1)
        open[edge.sequence] = count == 0 ? nil : count
        index += 1
      }
      guard index < edges.count, !open.isEmpty else { continue }
      RangeTombstones.append(
        Fragment(start: key, end: edges[index].key, sequences: open.keys.sorted(by: >)),
        to: &fragments)
    }
    self.fragments = fragments
    assert(isOrdered)
  }

  private struct Edge {
    var key: [UInt8]
    var sequence: UInt64
    var isStart: Bool
  }

  /// All tombstones of several sets; the same range deletion in several shards counts once.
  static func merged(_ sets: [RangeTombstones]) -> RangeTombstones {
    guard sets.count != 1 else { return sets[0] }
    var distinct: Set<Fragment> = []
    for set in sets { distinct.formUnion(set.fragments) }
    return RangeTombstones(
      tombstones: distinct.flatMap { fragment in
        fragment.sequences.map { (fragment.start, fragment.end, $0) }
      })
  }

  /// This set and one tombstone more.
  ///
  /// Copies the fragments.
  func inserting(start: [UInt8], end: [UInt8], sequence: UInt64) -> RangeTombstones {
    guard compare(start, end) < 0 else { return self }
    var result: [Fragment] = []
    result.reserveCapacity(fragments.count + 3)
    // From here on to `end` the new range is not yet covered by a fragment.
    var rest: [UInt8]? = start
    for fragment in fragments {
      guard let open = rest, compare(fragment.end, open) > 0 else {
        result.append(fragment)
        continue
      }
      guard compare(fragment.start, end) < 0 else {
        if compare(open, end) < 0 {
          result.append(Fragment(start: open, end: end, sequences: [sequence]))
        }
        rest = nil
        result.append(fragment)
        continue
      }
      if compare(fragment.start, open) < 0 {
        result.append(
          Fragment(start: fragment.start, end: open, sequences: fragment.sequences))
      } else if compare(open, fragment.start) < 0 {
        result.append(Fragment(start: open, end: fragment.start, sequences: [sequence]))
      }
      let sharedStart = maximum(fragment.start, open)
      let sharedEnd = minimum(fragment.end, end)
      result.append(
        Fragment(
          start: sharedStart, end: sharedEnd,
          sequences: RangeTombstones.adding(sequence, to: fragment.sequences)))
      if compare(end, fragment.end) < 0 {
        result.append(Fragment(start: end, end: fragment.end, sequences: fragment.sequences))
      }
      rest = compare(fragment.end, end) < 0 ? fragment.end : nil
    }
    if let open = rest, compare(open, end) < 0 {
      result.append(Fragment(start: open, end: end, sequences: [sequence]))
    }
    var joined: [Fragment] = []
    for fragment in result { RangeTombstones.append(fragment, to: &joined) }
    return joined == fragments ? self : RangeTombstones(fragments: joined)
  }

  /// Appends a fragment, joining it to the last one when they touch and say the same: pieces of one
  /// tombstone, cut by a compaction's tables, become one again.
  private static func append(_ fragment: Fragment, to fragments: inout [Fragment]) {
    if let last = fragments.last, last.end == fragment.start,
      last.sequences == fragment.sequences
    {
      fragments[fragments.count - 1].end = fragment.end
    } else {
      fragments.append(fragment)
    }
  }

  private static func adding(_ sequence: UInt64, to sequences: [UInt64]) -> [UInt64] {
    guard let index = sequences.firstIndex(where: { $0 <= sequence }) else {
      return sequences + [sequence]
    }
    if sequences[index] == sequence { return sequences }
    var result = sequences
    result.insert(sequence, at: index)
    return result
  }

  /// What of the set counts for a reader of `[from, to)` at `snapshot`: of each fragment the newest
  /// number.
  func visible(at snapshot: UInt64, from: [UInt8]?, to: [UInt8]?) -> RangeTombstones {
    var first = 0
    if let from { from.withView { first = firstFragment(endingAfter: $0) } }
    var visible: [Fragment] = []
    for fragment in fragments[first...] {
      if let to, compare(fragment.start, to) >= 0 { break }
      guard let newest = fragment.sequences.first(where: { $0 <= snapshot }) else { continue }
      visible.append(Fragment(start: fragment.start, end: fragment.end, sequences: [newest]))
    }
    return visible.isEmpty ? .none : RangeTombstones(fragments: visible)
  }

  /// The index of the first fragment with keys at or behind `key`.
  private func firstFragment(endingAfter key: ByteView) -> Int {
    var low = 0
    var high = fragments.count
    while low < high {
      let middle = (low + high) / 2
      let order = fragments[middle].end.withView { $0.compare(key) }
      if planted(.rangeEndIsInclusive) ? order < 0 : order <= 0 {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }

  var isEmpty: Bool { fragments.isEmpty }

  /// Memory, roughly.
  var approximateByteCount: Int {
    fragments.reduce(0) {
      $0 + 96 + $1.start.count + $1.end.count + 8 * $1.sequences.count
    }
  }

  /// The largest sequence number up to `snapshot` of a tombstone over `key`.
  ///
  /// A binary search.
  func newestCovering(_ key: ByteView, at snapshot: UInt64) -> UInt64? {
    if fragments.isEmpty { return nil }
    let index = firstFragment(endingAfter: key)
    guard index < fragments.count, fragments[index].start.withView({ $0.compare(key) <= 0 })
    else { return nil }
    return fragments[index].sequences.first { $0 <= snapshot }
  }

  /// Whether each key in `[first, last]` has a tombstone newer than `sequence`, and not newer than
  /// `snapshot`.
  func cover(
    from first: [UInt8], through last: [UInt8], at snapshot: UInt64, after sequence: UInt64
  ) -> Bool {
    var next = first
    for fragment in fragments where compare(fragment.end, next) > 0 {
      guard compare(fragment.start, next) <= 0,
        let newest = fragment.sequences.first(where: { $0 <= snapshot }), newest > sequence
      else { return false }
      if compare(fragment.end, last) > 0 { return true }
      next = fragment.end
    }
    return false
  }

  /// What of the set lies in `[from, to)`; nil is unbounded.
  func clipped(from: [UInt8]?, to: [UInt8]?) -> RangeTombstones {
    var result: [Fragment] = []
    for fragment in fragments {
      var fragment = fragment
      if let from { fragment.start = maximum(fragment.start, from) }
      if let to { fragment.end = minimum(fragment.end, to) }
      if compare(fragment.start, fragment.end) < 0 { result.append(fragment) }
    }
    return RangeTombstones(fragments: result)
  }

  /// Stops the program when a rule of the type is broken.
  func checkInvariants() { precondition(isOrdered, "fragments ascend and do not overlap") }

  private var isOrdered: Bool {
    for fragment in fragments {
      guard compare(fragment.start, fragment.end) < 0, !fragment.sequences.isEmpty,
        zip(fragment.sequences, fragment.sequences.dropFirst()).allSatisfy({ $0 > $1 })
      else { return false }
    }
    return zip(fragments, fragments.dropFirst()).allSatisfy { compare($0.end, $1.start) <= 0 }
  }
}

private func compare(_ one: [UInt8], _ other: [UInt8]) -> Int {
  one.withView { one in other.withView { one.compare($0) } }
}

private func maximum(_ one: [UInt8], _ other: [UInt8]) -> [UInt8] {
  compare(one, other) >= 0 ? one : other
}

private func minimum(_ one: [UInt8], _ other: [UInt8]) -> [UInt8] {
  compare(one, other) <= 0 ? one : other
}
