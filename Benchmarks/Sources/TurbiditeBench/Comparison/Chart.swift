// Chart — ratios as horizontal bars on a logarithmic scale, in SVG.
//
// Room:    Benchmarks.
// Limits:  A ratio beyond 1/100 or 100 is drawn at the edge.

import Glibc

struct Chart {
  private static let labelWidth = 300.0
  private static let plotWidth = 560.0
  private static let barHeight = 7.0
  private static let top = 56.0

  private let rows: [RowResult]
  private let peers: [PeerKind]

  init(_ comparison: Comparison) {
    rows = comparison.rows.filter { $0.row.isCharted && !$0.peers.isEmpty }
    peers = comparison.peers
  }

  var svg: String {
    let rowHeight = Self.barHeight * Double(peers.count) + 6
    let height = Self.top + rowHeight * Double(rows.count) + 16
    let width = Self.labelWidth + Self.plotWidth + 60
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(whole(width))" height="\(whole(height))" \
      font-family="sans-serif" font-size="11">
      <rect width="100%" height="100%" fill="white"/>
      <text x="8" y="16" font-size="13">Turbidite against each peer: how many times as fast \
      (right of 1 is faster)</text>

      """
    for (index, peer) in peers.enumerated() {
      let x = Self.labelWidth + Double(index) * 90
      text += """
        <rect x="\(whole(x))" y="24" width="10" height="10" fill="\(peer.color)"/>
        <text x="\(whole(x + 14))" y="33">\(peer.title)</text>

        """
    }
    for ratio in [0.01, 0.1, 0.5, 1, 2, 10, 100] { text += gridLine(ratio, height) }
    for (index, row) in rows.enumerated() {
      text += bars(row, y: Self.top + rowHeight * Double(index))
    }
    return text + "</svg>\n"
  }

  private func gridLine(_ ratio: Double, _ height: Double) -> String {
    let x = whole(position(ratio))
    let color = ratio == 1 ? "#333" : "#ccc"
    let label = ratio < 1 ? "1/\(whole(1 / ratio))" : whole(ratio)
    return """
      <line x1="\(x)" y1="\(whole(Self.top - 6))" x2="\(x)" y2="\(whole(height - 8))" \
      stroke="\(color)"/>
      <text x="\(x)" y="\(whole(Self.top - 9))" text-anchor="middle" fill="#555">\(label)</text>

      """
  }

  private func bars(_ result: RowResult, y: Double) -> String {
    let middle = y + Self.barHeight * Double(peers.count) / 2 + 4
    var text = """
      <text x="\(whole(Self.labelWidth - 8))" y="\(whole(middle))" text-anchor="end">\
      \(result.row.title)</text>

      """
    for (index, peer) in peers.enumerated() {
      guard let ratio = result.peers[peer.name] else { continue }
      let (one, end) = (position(1), position(ratio.median))
      let barY = whole(y + Self.barHeight * Double(index))
      text += """
        <rect x="\(rounded(min(one, end)))" y="\(barY)" width="\(rounded(abs(end - one)))" \
        height="\(whole(Self.barHeight - 1))" fill="\(peer.color)">\
        <title>\(peer.title): \(rounded(ratio.median, 2))</title></rect>

        """
    }
    return text
  }

  private func position(_ ratio: Double) -> Double {
    let share = (log10(min(100, max(0.01, ratio))) + 2) / 4
    return Self.labelWidth + share * Self.plotWidth
  }

  private func whole(_ number: Double) -> String { rounded(number, 0) }
}
