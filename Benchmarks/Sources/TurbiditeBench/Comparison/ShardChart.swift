// ShardChart — what gets, puts and walks of ours cost over the number of shards, in SVG.
//
// Room:    Benchmarks.

struct ShardChart {
  /// One kind of operation.
  struct Curve {
    var title: String
    var color: String
    /// Operations a second by the number of shards.
    var rates: [(count: Int, rate: Double)]

    var best: (count: Int, rate: Double)? { rates.max { $0.rate < $1.rate } }
  }

  let curves: [Curve]

  /// Nil when shards were not compared.
  init?(_ comparison: Comparison) {
    func curve(_ title: String, _ color: String, _ workload: (Int) -> String) -> Curve {
      let rates = ShardCounts.all.compactMap { count in
        comparison.median(PeerKind.ours, workload(count), .rate).map { (count, $0) }
      }
      return Curve(title: title, color: color, rates: rates)
    }
    curves = [
      curve("gets", "#2f6f9f", ShardCounts.read), curve("puts", "#c7802f", ShardCounts.fill),
      curve("ordered scan", "#5a8f3c", ShardCounts.scan),
    ].filter { !$0.rates.isEmpty }
    if curves.isEmpty { return nil }
  }

  var svg: String {
    let lines = curves.map { curve in
      Plot.Line(
        title: curve.title, color: curve.color,
        points: curve.rates.map {
          Plot.Point(x: Double($0.count), y: (curve.best?.rate ?? .nan) / $0.rate)
        })
    }
    let panel = Plot.Panel(
      title: "times the cost at the best count of shards", lines: lines,
      xTicks: ShardCounts.all.map(Double.init), xText: { rounded($0, 0) },
      yTicks: [1, 1.1, 1.5, 2, 3, 5], yText: { rounded($0) })
    return Plot(title: "What an operation costs over the number of shards", panels: [panel]).svg
  }

  var markdown: String {
    let header = ["shards"] + curves.map { "\($0.title) a second" }
    let lines = ShardCounts.all.map { count in
      ["\(count)"]
        + curves.map { curve in
          let rate = curve.rates.first { $0.count == count }?.rate
          return rate.map { Quantity.rate.text($0) + (count == curve.best?.count ? ", best" : "") }
            ?? "-"
        }
    }
    return ([header, header.map { _ in "---" }] + lines)
      .map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }
}
