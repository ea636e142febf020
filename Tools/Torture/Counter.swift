// Counter — the key by which a lane says how far it is, and what it had seen.
//
// Room:    Tools/Torture.

import Turbidite

/// The value of a lane's counter: its last batch, and those of all lanes when that was begun.
struct Counter: Sendable, Hashable {
  var batch: Int
  /// For each lane, the last batch that had been acknowledged before this one was built.
  var observed: [Int]

  static func key(_ lane: Int) -> Bytes { Bytes("\(lane)/n") }

  var value: Bytes { Bytes(([batch] + observed).map(String.init).joined(separator: " ")) }

  init(batch: Int, observed: [Int]) {
    self.batch = batch
    self.observed = observed
  }

  /// Reads a value; an absent one is a lane that has not begun.
  init(_ value: Bytes?) throws(StoreError) {
    guard let value else {
      self.init(batch: 0, observed: [Int](repeating: 0, count: Workload.laneCount))
      return
    }
    let numbers = value.text?.split(separator: " ").compactMap { Int($0) } ?? []
    guard numbers.count == Workload.laneCount + 1, Counter(numbers).value == value else {
      throw .invalidArgument("a counter reads \(value)")
    }
    self.init(numbers)
  }

  private init(_ numbers: [Int]) {
    self.init(batch: numbers[0], observed: Array(numbers.dropFirst()))
  }
}

/// The keys of a lane's own batches.
enum Key {
  static let partCount = 5

  static func own(_ lane: Int, _ batch: Int, _ part: Int) -> Bytes {
    Bytes("\(lane)/b/\(padded(batch))/\(part)")
  }

  /// Ten digits, so that keys stand in the order of their batches.
  static func padded(_ batch: Int) -> String {
    let digits = String(batch)
    return String(repeating: "0", count: max(0, 10 - digits.count)) + digits
  }

  static func filler(_ batch: Int, _ part: Int) -> Bytes {
    Bytes("\(batch)" + String(repeating: ".", count: (batch * 7 + part * 131) % 700))
  }
}
