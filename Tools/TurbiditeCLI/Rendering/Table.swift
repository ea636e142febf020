// Table — rows under headings, for people and for cut(1).
//
// Room:    Tools/TurbiditeCLI.

/// A table of texts.
///
/// Invariant: each row has as many cells as there are columns.
struct Table {
  /// One heading, and which side its cells lean to.
  struct Column {
    var title: String
    var isNumber: Bool

    /// A column of words.
    static func words(_ title: String) -> Column { Column(title: title, isNumber: false) }
    /// A column of numbers, leaning right.
    static func number(_ title: String) -> Column { Column(title: title, isNumber: true) }
  }

  /// The headings.
  let columns: [Column]
  private(set) var rows: [[String]] = []

  init(_ columns: [Column]) { self.columns = columns }

  /// Adds a row.
  ///
  /// - Precondition: a cell for each column.
  mutating func add(_ cells: [String]) {
    precondition(cells.count == columns.count)
    rows.append(cells)
  }

  /// Lines of aligned columns, two spaces apart, with the headings first and no trailing spaces.
  func lines(style: Style) -> [String] {
    let shown = rows.map { $0.map(Escapes.visible) }
    let widths = columns.indices.map { column in
      shown.reduce(columns[column].title.unicodeScalars.count) { width, row in
        max(width, row[column].unicodeScalars.count)
      }
    }
    func line(_ cells: [String]) -> String {
      var text = ""
      for (index, cell) in cells.enumerated() {
        let padding = String(
          repeating: " ", count: widths[index] - cell.unicodeScalars.count)
        if index > 0 { text += "  " }
        text += columns[index].isNumber ? padding + cell : cell + padding
      }
      while text.last == " " { text.removeLast() }
      return text
    }
    return [style.strong(line(columns.map(\.title)))] + shown.map(line)
  }

  /// The same as TSV: a header, then a line a row, with C's escapes.
  func tabSeparated() -> [String] {
    ([columns.map(\.title)] + rows).map { row in
      row.map { Escapes.text(Array($0.utf8), alphabet: .utf8) }.joined(separator: "\t")
    }
  }
}
