// GrowthChart — puts and gets of every engine over the size of its store, in SVG.
//
// Room:    Benchmarks.

struct GrowthChart {
  private let comparison: Comparison
  private let curves: [(engine: PeerKind, curve: GrowthCurve)]

  /// Nil when no store was grown.
  init?(_ comparison: Comparison) {
    self.comparison = comparison
    curves = PeerKind.all.map { ($0, GrowthCurve(comparison, engine: $0.name)) }
      .filter { !$0.curve.points.isEmpty }
    if curves.isEmpty { return nil }
  }

  var svg: String {
    Plot(
      title: "Operations a second while a store grows (hollow: the time to fill was up)",
      panels: [
        panel("fillrandom, up to so many records", \.putRate),
        panel("readrandom, of so many records", \.getRate),
      ]
    ).svg
  }

  private func panel(
    _ title: String, _ rate: KeyPath<GrowthCurve.Point, Double?>
  ) -> Plot.Panel {
    let lines = curves.map { engine, curve in
      Plot.Line(
        title: engine.title, color: engine.color,
        points: curve.points.compactMap { point in
          point[keyPath: rate].map {
            Plot.Point(x: Double(point.recordCount), y: $0, isCut: point.isCut)
          }
        })
    }
    let rates = lines.flatMap { $0.points.map(\.y) }
    return Plot.Panel(
      title: title, lines: lines,
      xTicks: Growth.multiples.map {
        Double(Growth.size($0, recordCount: comparison.recordCount))
      },
      xText: { recordsText(Int($0)) },
      yTicks: roundNumbers(from: rates.min() ?? 1, to: rates.max() ?? 1),
      yText: { Quantity.rate.text($0) })
  }
}

/// 1, 2 or 5 times a power of ten, from the last that is not above `least` to the first that is not
/// below `greatest`.
private func roundNumbers(from least: Double, to greatest: Double) -> [Double] {
  var numbers: [Double] = []
  var power = 1.0
  while true {
    for factor in [1.0, 2, 5] {
      let number = factor * power
      if number <= least { numbers = [number] } else { numbers.append(number) }
      if number >= greatest { return numbers }
    }
    power *= 10
  }
}
