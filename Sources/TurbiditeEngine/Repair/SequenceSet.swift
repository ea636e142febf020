// SequenceSet — which of the sequence numbers that a log lost stand in tables.
//
// Room:    Engine/Repair.

/// Some ranges of sequence numbers, and which numbers in them were seen.
struct SequenceSet {
  /// A bit for each number; what a log may ask for beyond this stays unknown.
  private static let largestCount: UInt64 = 1 << 26

  private var ranges: [Range<UInt64>] = []
  private var seen: [[Bool]] = []
  private var count: UInt64 = 0

  /// Watches for the numbers of a range, unless there are too many.
  mutating func watch(_ range: Range<UInt64>) {
    let size = range.upperBound - range.lowerBound
    guard size > 0, size <= Self.largestCount - count else { return }
    count += size
    ranges.append(range)
    seen.append([Bool](repeating: false, count: Int(size)))
  }

  mutating func insert(_ sequence: UInt64) {
    for (index, range) in ranges.enumerated() where range.contains(sequence) {
      seen[index][Int(sequence - range.lowerBound)] = true
    }
  }

  /// Whether every number of a watched range was seen.
  func holdsAll(_ range: Range<UInt64>) -> Bool {
    guard let index = ranges.firstIndex(of: range) else { return false }
    return seen[index].allSatisfy { $0 }
  }
}
