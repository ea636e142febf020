// Headers — what a file says of itself at its top, and whether its references lead anywhere.
//
// Room:    Tools/Tidy.

enum Headers {
  static func findings(in source: SwiftSource, headings: FormatHeadings) -> [Finding] {
    let header = source.file.lines.prefix { $0.hasPrefix("//") }
    var findings: [Finding] = []
    if !(header.first?.contains(" — ") ?? false) {
      findings.append(
        Finding(.header, source.path, 1, "the first line is to read `// Name — what it is for`"))
    }
    let rooms = header.filter { $0.hasPrefix("// Room:") }
    if let room = rooms.first?.dropFirst("// Room:".count).drop(while: { $0 == " " }) {
      if let expected = expectedRoom(of: source.path), !room.hasPrefix(expected) {
        findings.append(
          Finding(.header, source.path, 1, "the file stands in \(expected) and says `\(room)`"))
      }
    } else {
      findings.append(Finding(.header, source.path, 1, "the header has no line `// Room:`"))
    }
    let words = source.comments.flatMap { comment in
      comment.text.split(separator: " ").map { (text: $0, line: comment.line) }
    }
    return findings + headings.findings(file: source.path, words: words)
  }

  /// How a file names its room; nil where the house leaves it open.
  private static func expectedRoom(of path: String) -> String? {
    let parts = path.split(separator: "/")
    guard parts.count > 3, parts[0] == "Sources" else { return nil }
    switch parts[1] {
    case "TurbiditeEngine": return "Engine/\(parts[2])"
    case "Turbidite": return "Turbidite/\(parts[2])"
    default: return nil
    }
  }
}

/// The headings of FORMAT.md, and the references to them.
struct FormatHeadings {
  private var exists: Bool
  private var numbers: Set<String> = []
  private var titles: [Substring] = []

  init(_ tree: SourceTree) {
    let format = tree.text(at: "FORMAT.md")
    exists = format != nil
    for line in format?.lines ?? [] where line.hasPrefix("#") {
      let title = line.drop { $0 == "#" || $0 == " " || $0 == "§" }
      titles.append(title)
      guard let first = title.split(separator: " ").first, first.first?.isNumber == true else {
        continue
      }
      numbers.insert(FormatHeadings.number(first))
    }
  }

  /// Checks every reference: the file's name, then `section 2.3`, `§ 2.3` or `sections 2.3 and
  /// 2.4`.
  ///
  /// Comment signs between the words are passed over, so a reference may run on over two lines. A
  /// reference by title, `section "Tables"`, is looked for in the headings' text.
  func findings(file: String, words: [(text: Substring, line: Int)]) -> [Finding] {
    let words = words.filter { !["//", "///", ">", "*"].contains($0.text) }
    var findings: [Finding] = []
    for index in words.indices where words[index].text.hasSuffix("FORMAT.md") {
      guard index + 1 < words.count, ["section", "sections", "§"].contains(words[index + 1].text)
      else { continue }
      let line = words[index].line
      if !exists {
        findings.append(Finding(.formatReference, file, line, "there is no FORMAT.md"))
        continue
      }
      let references = words[(index + 2)...].prefix { word in
        ["and", "to"].contains(word.text) || FormatHeadings.isReference(word.text)
      }
      for reference in references where FormatHeadings.isReference(reference.text) {
        if leadsSomewhere(reference.text) { continue }
        findings.append(
          Finding(.formatReference, file, line, "FORMAT.md has no section \(reference.text)"))
      }
    }
    return findings
  }

  private func leadsSomewhere(_ reference: Substring) -> Bool {
    guard reference.first == "\"" else { return numbers.contains(FormatHeadings.number(reference)) }
    let word = reference.drop { $0 == "\"" }.prefix { $0 != "\"" }
    return titles.contains { $0.contains(word) }
  }

  private static func isReference(_ word: Substring) -> Bool {
    word.first?.isNumber == true || word.first == "\""
  }

  /// `2.3` of `2.3.`, `2.3,` or `2.3:`.
  private static func number(_ word: Substring) -> String {
    var digits = word.prefix { $0.isNumber || $0 == "." }
    while digits.last == "." { digits.removeLast() }
    return String(digits)
  }
}
