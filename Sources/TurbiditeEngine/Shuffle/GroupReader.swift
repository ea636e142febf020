// GroupReader — the groups of a range, merged from all runs, in the order of their keys.
//
// Room:    Engine/Shuffle.

/// Where groups lie among all, by partition and key.
struct GroupRange {
  /// Of nothing: all.
  var from: [UInt8] = []
  var to: [UInt8]?

  static let all = GroupRange()

  /// A partition.
  static func partition(_ number: Int) -> GroupRange {
    let end = number + 1
    return GroupRange(
      from: bytes(number), to: end < 1 << 16 ? bytes(end) : nil)
  }

  private static func bytes(_ number: Int) -> [UInt8] {
    [UInt8(number >> 8), UInt8(number & 0xff)]
  }
}

/// Walks the groups of a range.
///
/// One thread at a time uses it.
package final class GroupReader {
  private let cursor: EntryCursor?
  private let range: GroupRange
  private let holdsValues: Bool
  private let state: MergedState
  private var keyBuffer = ScratchBytes()
  private let isStopped: @Sendable () -> Bool
  private var ticks = 0
  private var hasBegun = false
  /// The groups that were come by, the current one included.
  package private(set) var groupCount = 0
  /// What is left of the piece of a group's values that is being read.
  private var piece = ByteReader(.empty)
  private var repeated: (value: ByteView, times: UInt32) = (.empty, 0)
  private var isPieceUsed = true

  init(
    _ fold: GroupFold, _ range: GroupRange, sources: [EntryCursor], pool: ChunkPool,
    isStopped: @escaping @Sendable () -> Bool
  ) throws(StoreError) {
    self.isStopped = isStopped
    if case .values = fold { holdsValues = true } else { holdsValues = false }
    cursor = sources.count > 1 ? try MergingCursor(sources) : sources.first
    self.range = range
    state = try MergedState(fold, pool: pool)
  }

  /// Moves to the next group.
  ///
  /// - Returns: false behind the last.
  package func next() throws(StoreError) -> Bool {
    guard let cursor else { return false }
    if !hasBegun {
      hasBegun = true
      try range.from.withView { start throws(StoreError) in
        try cursor.seek(start, Tag(rawValue: .max))
      }
    } else if holdsValues {
      // What nobody has asked for.
      while cursor.isValid, cursor.key.isEqual(to: keyBuffer.view) {
        try cursor.next()
        try stopIfAsked()
      }
    }
    try stopIfAsked()
    guard cursor.isValid else { return false }
    if let to = range.to, to.withView({ cursor.key.compare($0) >= 0 }) { return false }
    try keyBuffer.replace(with: cursor.key)
    groupCount += 1
    if holdsValues {
      repeated = (.empty, 0)
      piece = ByteReader(cursor.value)
      isPieceUsed = false
      return true
    }
    state.clear()
    while cursor.isValid, cursor.key.isEqual(to: keyBuffer.view) {
      try state.merge(cursor.value)
      try cursor.next()
      try stopIfAsked()
    }
    return true
  }

  /// The group's key and state; for ``GroupFold/values`` the state is empty.
  package func withGroup<Result>(
    _ body: (_ key: RawSpan, _ state: RawSpan) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    let skipped = GroupTable.partitionByteCount
    let key = keyBuffer.view.slice(skipped, keyBuffer.view.count - skipped)
    let view = holdsValues ? ByteView.empty : state.view
    return try body(key.span, view.span)
  }

  /// Moves to the next value of the group.
  ///
  /// - Returns: false behind the last.
  package func nextValue() throws(StoreError) -> Bool {
    guard holdsValues, let cursor else { return false }
    try stopIfAsked()
    if repeated.times > 1 {
      repeated.times -= 1
      return true
    }
    while piece.isAtEnd {
      guard !isPieceUsed || cursor.isValid else { return false }
      // The views of a piece die when the cursor moves.
      repeated = (.empty, 0)
      piece = ByteReader(.empty)
      if !isPieceUsed {
        isPieceUsed = true
        try cursor.next()
      }
      guard cursor.isValid, cursor.key.isEqual(to: keyBuffer.view) else { return false }
      piece = ByteReader(cursor.value)
      isPieceUsed = false
    }
    do throws(DecodingFailure) {
      let times = try piece.integer(UInt32.self)
      let value = try piece.lengthPrefixed()
      guard times > 0 else { throw .invalid("a value that comes 0 times", at: piece.offset) }
      repeated = (value, times)
    } catch {
      throw .corrupt(Damage(file: "run of a job", offset: 0, finding: error.finding))
    }
    return true
  }

  private func stopIfAsked() throws(StoreError) {
    ticks &+= 1
    if ticks & 0x3ff == 0, isStopped() { throw .cancelled }
  }

  /// How often the current value comes in a row, this time included.
  package var repeatCount: Int { Int(repeated.times) }

  /// Has all repetitions of the current value but this one passed over.
  package func skipRepetitions() { repeated.times = min(repeated.times, 1) }

  /// The current value.
  package func withValue<Result>(_ body: (RawSpan) -> Result) -> Result {
    let view = repeated.value
    return body(view.span)
  }
}
