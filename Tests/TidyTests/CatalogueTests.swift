// CatalogueTests — docs/catalogue.md is whole, and names tests that exist.

import Testing

@testable import Tidy

@Suite("The catalogue of failures")
struct CatalogueTests {
  private static let tree = SourceTree(root: TreeTests.root)

  /// The cells of the table under `heading`.
  private func rows(under heading: String) throws -> [[String]] {
    let lines = try #require(Self.tree.text(at: "docs/catalogue.md")).lines
    let start = try #require(lines.firstIndex { $0 == heading })
    let section = lines[(start + 1)...].prefix { !$0.hasPrefix("## ") }
    let rows = section.filter { $0.hasPrefix("| ") && !$0.hasPrefix("| #") }
    return rows.map { row in row.split(separator: "|").map(Self.trimmed) }
  }

  private static func trimmed(_ cell: Substring) -> String {
    var cell = cell.drop { $0 == " " }
    while cell.last == " " { cell.removeLast() }
    return String(cell)
  }

  @Test(
    "every number is there once, in order",
    arguments: [("## Cases", 62), ("## What went wrong in other engines", 44)])
  func isWhole(_ heading: String, _ count: Int) throws {
    #expect(try rows(under: heading).map { $0.first ?? "" } == (1...count).map(String.init))
  }

  @Test(
    "every test it names exists, and what names none says why",
    arguments: ["## Cases", "## What went wrong in other engines"])
  func testsExist(_ heading: String) throws {
    var functions: [String: Set<String>] = [:]
    for file in Self.tree.files where file.path.hasPrefix("Tests/") {
      let name = file.path.split(separator: "/").last.map { $0.dropLast(".swift".count) } ?? ""
      for line in file.lines {
        let words = line.split { !$0.isLetter && !$0.isNumber }
        guard let index = words.firstIndex(of: "func"), index + 1 < words.count else { continue }
        functions[String(name), default: []].insert(String(words[index + 1]))
      }
    }
    for row in try rows(under: heading) {
      try #require(row.count == 4, "row \(row.first ?? "")")
      let named = row[3].split(separator: "`").filter { $0.contains(".") }
      if named.isEmpty { #expect(row[2].hasPrefix("not yet"), "row \(row[0]) names no test") }
      for name in named {
        let parts = name.split(separator: ".").map(String.init)
        #expect(
          parts.count == 2 && functions[parts[0]]?.contains(parts[1]) == true,
          "row \(row[0]): there is no \(name)")
      }
    }
  }
}
