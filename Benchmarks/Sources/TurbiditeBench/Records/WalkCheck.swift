// WalkCheck — whether a scan yields every record there is, in order, and nothing else.
//
// Room:    Benchmarks.

/// Follows a scan through the ledger.
struct WalkCheck {
  private let ledger: Ledger
  private let isReversed: Bool
  private let isOfKeysOnly: Bool
  private var rank: Int
  private(set) var count = 0
  private(set) var failure: String?

  /// Expects the first present record from `rank` on, in the walk's direction.
  init(_ ledger: Ledger, from rank: Int? = nil, isReversed: Bool = false, keysOnly: Bool = false) {
    self.ledger = ledger
    self.isReversed = isReversed
    isOfKeysOnly = keysOnly
    self.rank = rank ?? (isReversed ? ledger.shape.capacity - 1 : 0)
    skipAbsent()
  }

  /// Whether the walk may go on.
  @inline(__always)
  mutating func accept(_ key: Lent, _ value: Lent) -> Bool {
    guard rank >= 0, rank < ledger.shape.capacity else {
      failure = "a scan gave more than the \(count) records that are left"
      return false
    }
    guard ledger.shape.isKey(key, of: rank) else {
      failure = "a scan gave another key than that of record \(rank), which comes next"
      return false
    }
    if !isOfKeysOnly, ledger.shape.version(of: value, rank: rank) != ledger[rank] {
      failure = "a scan gave a wrong value for record \(rank)"
      return false
    }
    count += 1
    rank += isReversed ? -1 : 1
    skipAbsent()
    return true
  }

  /// Throws unless all went well; `limit` is what was asked for.
  func finish(limit: Int = .max) throws {
    if let failure { throw Stop(failure) }
    if count < limit, rank >= 0, rank < ledger.shape.capacity {
      throw Stop("a scan ended after \(count) records, and record \(rank) is missing")
    }
  }

  @inline(__always)
  private mutating func skipAbsent() {
    while rank >= 0, rank < ledger.shape.capacity, ledger[rank] == Ledger.absent {
      rank += isReversed ? -1 : 1
    }
  }
}
