// Comparison — the outcomes of all rounds, and what a row of them says.
//
// Room:    Benchmarks.

/// Ours against a peer: above 1 is better for us, whether the row is a rate or a cost.
struct Ratio: Sendable {
  var median: Double
  var least: Double
  var greatest: Double
}

struct RowResult: Sendable {
  var row: Row
  /// Our median.
  var ours: Double
  /// By the peer's name.
  var peers: [String: Ratio]
  /// Records in the store, by the name of each engine that had fewer than the row's title says.
  var shortfalls: [String: Int]
  /// Nil when the row has no goal, or nobody to measure it by.
  var isMet: Bool?
  var goal: String
}

struct Comparison {
  var outcomes: [Outcome]
  var recordCount: Int

  /// The rows that were measured with ours.
  var rows: [RowResult] { Row.all(recordCount: recordCount).compactMap(result) }

  /// The peers that were measured, in the order of the table.
  var peers: [PeerKind] {
    PeerKind.all.filter { kind in
      kind.name != PeerKind.ours && outcomes.contains { $0.engine == kind.name }
    }
  }

  private func values(
    _ engine: String, _ workloads: [String], _ quantity: Quantity
  ) -> [Int: Double] {
    var values: [Int: [Double]] = [:]
    for outcome in outcomes
    where outcome.engine == engine && workloads.contains(outcome.workload) {
      if let value = quantity.value(of: outcome) {
        values[outcome.round, default: []].append(value)
      }
    }
    return values.mapValues {
      workloads.count > 1 ? $0.max() ?? .nan : turbidite_bench.median($0)
    }
  }

  /// The median over the rounds.
  func median(_ engine: String, _ workload: String, _ quantity: Quantity) -> Double? {
    let values = values(engine, [workload], quantity)
    return values.isEmpty ? nil : turbidite_bench.median(Array(values.values))
  }

  private func result(_ row: Row) -> RowResult? {
    let ours = values(PeerKind.ours, row.workloads, row.quantity)
    if ours.isEmpty { return nil }
    let ourMedian = turbidite_bench.median(Array(ours.values))
    var ratios: [String: Ratio] = [:]
    for peer in peers {
      let theirs = values(
        peer.name, row.peerWorkload.map { [$0] } ?? row.workloads, row.quantity)
      if theirs.isEmpty { continue }
      let theirMedian = turbidite_bench.median(Array(theirs.values))
      func ratio(_ ours: Double, _ theirs: Double) -> Double {
        row.quantity.isRate ? ours / theirs : theirs / ours
      }
      let rounds = ours.compactMap { round, value in theirs[round].map { ratio(value, $0) } }
      ratios[peer.name] = Ratio(
        median: ratio(ourMedian, theirMedian), least: rounds.min() ?? .nan,
        greatest: rounds.max() ?? .nan)
    }
    let (goal, isMet) = judge(row, ourMedian, ratios)
    var shortfalls: [String: Int] = [:]
    for kind in PeerKind.all {
      shortfalls[kind.name] = GrowthCurve(self, engine: kind.name).shortfall(in: row.workloads)
    }
    return RowResult(
      row: row, ours: ourMedian, peers: ratios, shortfalls: shortfalls, isMet: isMet, goal: goal)
  }

  private func judge(
    _ row: Row, _ ours: Double, _ ratios: [String: Ratio]
  ) -> (String, Bool?) {
    switch row.goal {
    case .none: return ("", nil)
    case .timesBest(let times):
      let best = peers.filter { ratios[$0.name] != nil }.min {
        ratios[$0.name]!.median < ratios[$1.name]!.median
      }
      guard let best else { return ("\(rounded(times)) x the best", nil) }
      return (
        "\(rounded(times)) x the best, \(best.title)", ratios[best.name]!.median >= times
      )
    case .times(let times, let peer):
      let title = PeerKind.all.first { $0.name == peer }?.title ?? peer
      return ("\(rounded(times)) x \(title)", ratios[peer].map { $0.median >= times })
    case .number(let number):
      let sign = row.quantity.isRate ? ">=" : "<="
      let isMet = row.quantity.isRate ? ours >= number : ours <= number
      return ("\(sign) \(row.quantity.text(number))", isMet)
    case .timesOwn(let times, let workloads, let name):
      let best = workloads.compactMap { median(PeerKind.ours, $0, row.quantity) }.max()
      let digits = times < 1 ? 2 : 1
      return ("\(rounded(times, digits)) x ours \(name)", best.map { ours >= times * $0 })
    }
  }
}
