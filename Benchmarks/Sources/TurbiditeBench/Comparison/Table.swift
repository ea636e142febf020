// Table — the comparison as lines of text, and as Markdown.
//
// Room:    Benchmarks.

struct Table {
  private let header: [String]
  private let lines: [[String]]

  init(_ comparison: Comparison) {
    let peers = comparison.peers
    header =
      ["workload", "ours"] + peers.map { "x " + $0.title } + ["goal", "met"]
    lines = comparison.rows.map { result in
      func size(_ engine: String) -> String {
        result.shortfalls[engine].map { ", at \(recordsText($0))" } ?? ""
      }
      let ours = result.row.quantity.text(result.ours) + size(PeerKind.ours)
      let ratios = peers.map { peer in
        result.peers[peer.name].map { Table.text($0) + size(peer.name) } ?? "-"
      }
      let met = result.isMet.map { $0 ? "yes" : "NO" } ?? ""
      return [result.row.title, ours] + ratios + [result.goal, met]
    }
  }

  private static func text(_ ratio: Ratio) -> String {
    func short(_ number: Double) -> String {
      if number < 0.01 { return "1/" + rounded(1 / number, 0) }
      return rounded(number, number < 10 ? 2 : 0)
    }
    return "\(short(ratio.median)) (\(short(ratio.least))..\(short(ratio.greatest)))"
  }

  var text: String {
    let rows = [header] + lines
    let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { cells in
      var line = ""
      for (cell, width) in zip(cells, widths) {
        line += cell + String(repeating: " ", count: width - cell.count + 2)
      }
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }

  var markdown: String {
    let rule = "|" + header.map { _ in "---|" }.joined()
    let rows = [header] + lines
    var text = rows.map { "| " + $0.joined(separator: " | ") + " |" }
    text.insert(rule, at: 1)
    return text.joined(separator: "\n")
  }
}
