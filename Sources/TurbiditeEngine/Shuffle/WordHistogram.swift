// WordHistogram — how numbers are spread, in buckets an eighth of a power of two wide.
//
// Room:    Engine/Shuffle.
// Source:  Buckets of a fixed relative width, as in HdrHistogram (Tene, 2012); ours are cut from
//          the bits of a double, so that they need no range to be given.
// Limits:  A bucket's ends differ by at most an eighth. A group costs 10 bytes a bucket in use.

/// Counts numbers by bucket.
///
/// The state is, for each bucket in use and in ascending order, its number (2 bytes) and how many
/// fell in it (8).
package struct WordHistogram: BlobFold {
  package var isOrderFree: Bool { true }
  private let order: WordOrder

  package init(_ order: WordOrder) { self.order = order }

  private static let entryByteCount = 10
  /// Of a double's 64 bits: the sign, the exponent, and three bits of the mantissa.
  private static let droppedBitCount: UInt64 = 49

  package func add(_ word: UInt64, to state: inout BlobState) throws(StoreError) {
    let number: UInt64
    switch order {
    case .integer: number = Double(Int64(bitPattern: word)).bitPattern
    case .double: number = word
    }
    let rank = WordOrder.double.rank(number)
    try add(UInt16(rank >> WordHistogram.droppedBitCount), 1, to: &state)
  }

  package func add(_ value: RawSpan, to state: inout BlobState) throws(StoreError) {
    preconditionFailure("a histogram is of words")
  }

  package func merge(_ piece: RawSpan, into state: inout BlobState) throws(StoreError) {
    for (bucket, count) in WordHistogram.buckets(piece) { try add(bucket, count, to: &state) }
  }

  private func add(
    _ bucket: UInt16, _ count: UInt64, to state: inout BlobState
  ) throws(StoreError) {
    let size = WordHistogram.entryByteCount
    let used = state.byteCount / size
    var (low, high) = (0, used)
    while low < high {
      let middle = (low + high) / 2
      if state.load(size * middle, as: UInt16.self) < bucket {
        low = middle + 1
      } else {
        high = middle
      }
    }
    if low < used, state.load(size * low, as: UInt16.self) == bucket {
      let old = state.load(size * low + 2, as: UInt64.self)
      return state.store(old &+ count, at: size * low + 2)
    }
    try state.resize(to: size * (used + 1))
    var index = used
    while index > low {
      state.store(state.load(size * (index - 1), as: UInt16.self), at: size * index)
      state.store(state.load(size * (index - 1) + 2, as: UInt64.self), at: size * index + 2)
      index -= 1
    }
    state.store(bucket, at: size * low)
    state.store(count, at: size * low + 2)
  }

  /// The buckets in use, ascending, and how many fell in each.
  package static func buckets(_ state: RawSpan) -> [(number: UInt16, count: UInt64)] {
    state.withView { view in
      (0..<view.count / entryByteCount).map {
        (
          view.load(entryByteCount * $0, as: UInt16.self),
          view.load(entryByteCount * $0 + 2, as: UInt64.self)
        )
      }
    }
  }

  /// The smallest number of a bucket; NaN for that of NaN.
  package static func lowerBound(_ bucket: UInt16) -> Double {
    let rank = UInt64(bucket) << droppedBitCount
    if rank >> 63 == 1 { return Double(bitPattern: rank ^ (1 << 63)) }
    // The first bucket in use is that of -infinity, which is less than its other bits.
    let bound = Double(bitPattern: ~rank)
    return bound.isNaN ? -.infinity : bound
  }
}
