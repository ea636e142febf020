// GrowthCurve — what a store of one engine cost at each size it has reached.
//
// Room:    Benchmarks.

struct GrowthCurve {
  struct Point {
    var multiple: Int
    /// Records in the store.
    var recordCount: Int
    /// Whether the time to fill was up before all records of this size were loaded.
    var isCut: Bool
    var putRate: Double?
    var getRate: Double?
  }

  /// The sizes that were tried; only the last may be cut.
  let points: [Point]

  init(_ comparison: Comparison, engine: String) {
    func outcome(_ workload: String) -> Outcome? {
      comparison.outcomes.first { $0.engine == engine && $0.workload == workload }
    }
    var loadedCount = 0
    var points: [Point] = []
    for multiple in Growth.multiples {
      guard let fill = outcome(Growth.fill(multiple)) else { break }
      loadedCount += fill.operations
      points.append(
        Point(
          multiple: multiple, recordCount: loadedCount,
          isCut: loadedCount < Growth.size(multiple, recordCount: comparison.recordCount),
          putRate: fill.operationsPerSecond,
          getRate: outcome(Growth.read(multiple))?.operationsPerSecond))
    }
    self.points = points
  }

  /// How many records the store had in those workloads, when they are fewer than the names say.
  func shortfall(in workloads: [String]) -> Int? {
    let point = points.last { point in
      workloads.contains { name in
        name == Growth.open || name == Growth.fill(point.multiple)
          || name == Growth.read(point.multiple)
      }
    }
    return point.flatMap { $0.isCut ? $0.recordCount : nil }
  }
}
