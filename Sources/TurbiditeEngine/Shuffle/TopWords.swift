// TopWords — the largest few of many numbers.
//
// Room:    Engine/Shuffle.
// Limits:  A group costs 8 bytes for each that is kept.

/// Keeps the `limit` largest words, the largest first; equal ones count as often as they come.
package struct TopWords: BlobFold {
  package var isOrderFree: Bool { true }
  private let limit: Int
  private let order: WordOrder

  package init(limit: Int, order: WordOrder) {
    precondition(limit > 0, "a list of the largest has a place")
    self.limit = limit
    self.order = order
  }

  package func add(_ word: UInt64, to state: inout BlobState) throws(StoreError) {
    let count = state.byteCount / 8
    let rank = order.rank(word)
    var place = count
    while place > 0, order.rank(state.load(8 * (place - 1), as: UInt64.self)) < rank {
      place -= 1
    }
    if place == limit { return }
    if count < limit { try state.resize(to: 8 * (count + 1)) }
    var index = state.byteCount / 8 - 1
    while index > place {
      state.store(state.load(8 * (index - 1), as: UInt64.self), at: 8 * index)
      index -= 1
    }
    state.store(order.canonical(word), at: 8 * place)
  }

  package func add(_ value: RawSpan, to state: inout BlobState) throws(StoreError) {
    preconditionFailure("the largest are words")
  }

  package func merge(_ piece: RawSpan, into state: inout BlobState) throws(StoreError) {
    for word in TopWords.words(piece) { try add(word, to: &state) }
  }

  /// The words of a state.
  package static func words(_ state: RawSpan) -> [UInt64] {
    state.withView { view in (0..<view.count / 8).map { view.load(8 * $0, as: UInt64.self) } }
  }
}
