// Plot — lines over logarithmic scales in panels side by side, in SVG.
//
// Room:    Benchmarks.
// Limits:  Numbers are positive; each panel has a line with a point.

import Glibc

struct Plot {
  struct Point {
    var x: Double
    var y: Double
    /// Drawn hollow: not all of what `x` stands for was done.
    var isCut = false
  }

  struct Line {
    var title: String
    var color: String
    var points: [Point]
  }

  struct Panel {
    var title: String
    var lines: [Line]
    var xTicks: [Double]
    var xText: @Sendable (Double) -> String
    var yTicks: [Double]
    var yText: @Sendable (Double) -> String
  }

  private static let panelWidth = 460.0
  private static let height = 380.0
  private static let left = 64.0
  private static let right = 24.0
  private static let top = 72.0
  private static let bottom = 32.0

  var title: String
  var panels: [Panel]

  var svg: String {
    let width = whole(Self.panelWidth * Double(panels.count))
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(whole(Self.height))" \
      font-family="sans-serif" font-size="11">
      <rect width="100%" height="100%" fill="white"/>
      <text x="8" y="16" font-size="13">\(title)</text>

      """
    for (index, line) in (panels.first?.lines ?? []).enumerated() {
      let x = 8 + Double(index) * 90
      text += """
        <rect x="\(whole(x))" y="26" width="10" height="10" fill="\(line.color)"/>
        <text x="\(whole(x + 14))" y="35">\(line.title)</text>

        """
    }
    for (index, panel) in panels.enumerated() {
      text += "<g transform=\"translate(\(whole(Self.panelWidth * Double(index))) 0)\">\n"
      text += drawn(panel) + "</g>\n"
    }
    return text + "</svg>\n"
  }

  private func drawn(_ panel: Panel) -> String {
    let x = Scale(
      panel.xTicks + panel.lines.flatMap { $0.points.map(\.x) }, from: Self.left,
      to: Self.panelWidth - Self.right)
    let y = Scale(
      panel.yTicks + panel.lines.flatMap { $0.points.map(\.y) }, from: Self.height - Self.bottom,
      to: Self.top)
    var text = """
      <text x="\(whole(Self.left))" y="\(whole(Self.top - 12))">\(panel.title)</text>

      """
    for tick in panel.yTicks {
      let place = rounded(y[tick])
      text += """
        <line x1="\(whole(x.from))" y1="\(place)" x2="\(whole(x.to))" y2="\(place)" stroke="#ddd"/>
        <text x="\(whole(x.from - 6))" y="\(rounded(y[tick] + 4))" text-anchor="end" \
        fill="#555">\(panel.yText(tick))</text>

        """
    }
    for tick in panel.xTicks {
      let place = rounded(x[tick])
      text += """
        <line x1="\(place)" y1="\(whole(y.from))" x2="\(place)" y2="\(whole(y.to))" stroke="#eee"/>
        <text x="\(place)" y="\(whole(y.from + 16))" text-anchor="middle" \
        fill="#555">\(panel.xText(tick))</text>

        """
    }
    return text + panel.lines.map { drawn($0, x, y) }.joined()
  }

  private func drawn(_ line: Line, _ x: Scale, _ y: Scale) -> String {
    let path = line.points.map { "\(rounded(x[$0.x])),\(rounded(y[$0.y]))" }
    var text = """
      <polyline points="\(path.joined(separator: " "))" fill="none" stroke="\(line.color)" \
      stroke-width="2"/>

      """
    for point in line.points {
      text += """
        <circle cx="\(rounded(x[point.x]))" cy="\(rounded(y[point.y]))" r="4" \
        fill="\(point.isCut ? "white" : line.color)" stroke="\(line.color)" stroke-width="2"/>

        """
    }
    return text
  }

  private func whole(_ number: Double) -> String { rounded(number, 0) }
}

/// Where a number stands between two places, by its logarithm.
private struct Scale {
  let from: Double
  let to: Double
  private let least: Double
  private let greatest: Double

  init(_ numbers: [Double], from: Double, to: Double) {
    (self.from, self.to) = (from, to)
    least = log2(numbers.min() ?? 1)
    greatest = log2(numbers.max() ?? 1)
  }

  subscript(number: Double) -> Double {
    greatest == least
      ? (from + to) / 2 : from + (to - from) * (log2(number) - least) / (greatest - least)
  }
}
