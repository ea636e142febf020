// Row — a line of the table: what is compared, and what it is to reach.
//
// Room:    Benchmarks.

/// A number taken from an outcome.
enum Quantity: Sendable {
  case rate, seconds, diskMebibytes, writeAmplification, peakMebibytes, p999, longest

  func value(of outcome: Outcome) -> Double? {
    switch self {
    case .rate: outcome.operationsPerSecond
    case .seconds: outcome.seconds
    case .diskMebibytes: Double(outcome.diskByteCount) / 1_048_576
    case .writeAmplification: outcome.writeAmplification
    case .peakMebibytes: outcome.peakMebibytes
    case .p999: outcome.p999
    case .longest: outcome.longest
    }
  }

  /// Whether more is better.
  var isRate: Bool { self == .rate }

  func text(_ value: Double) -> String {
    switch self {
    case .rate:
      value >= 1_000_000
        ? rounded(value / 1_000_000, 2) + " M/s"
        : value >= 1000
          ? rounded(value / 1000, value >= 100_000 ? 0 : 1) + " k/s"
          : rounded(value, 0) + " /s"
    case .seconds: value >= 1 ? rounded(value, 2) + " s" : rounded(value * 1000, 1) + " ms"
    case .diskMebibytes, .peakMebibytes: rounded(value, 0) + " MiB"
    case .writeAmplification: rounded(value, 2)
    case .p999, .longest:
      value >= 1000 ? rounded(value / 1000, 1) + " ms" : rounded(value, 1) + " us"
    }
  }
}

/// What a row is to reach.
enum Goal: Sendable {
  case none
  /// So many times the best peer.
  case timesBest(Double)
  /// So many times one peer.
  case times(Double, peer: String)
  /// A number of our own, at least for a rate and at most for a cost.
  case number(Double)
  /// So many times the best rate that ours has in other workloads, which `name` sums up.
  case timesOwn(Double, workloads: [String], name: String)
}

struct Row: Sendable {
  /// Where there are several, the highest of them in a round counts.
  var workloads: [String]
  var title: String
  var quantity = Quantity.rate
  var goal = Goal.none
  /// What the peers are measured by, where they cannot do what we do.
  var peerWorkload: String?

  /// Whether a chart of its own shows it, or stores of different sizes are behind it.
  var isLeftOffChart = false

  /// Whether the row stands in the chart of ratios.
  var isCharted: Bool { (quantity == .rate || quantity == .seconds) && !isLeftOffChart }
}

extension Row {
  init(
    workload: String, title: String, quantity: Quantity = .rate, goal: Goal = .none,
    peerWorkload: String? = nil, isLeftOffChart: Bool = false
  ) {
    self.init(
      workloads: [workload], title: title, quantity: quantity, goal: goal,
      peerWorkload: peerWorkload, isLeftOffChart: isLeftOffChart)
  }
}

/// A number of records in a few letters.
func recordsText(_ count: Int) -> String {
  if count < 1_000_000 { return rounded(Double(count) / 1000, 0) + " k" }
  let millions = Double(count) / 1_000_000
  return rounded(millions, millions == millions.rounded() ? 0 : 1) + " M"
}
