// TextHygiene — what holds for every text: no trailing blanks, and links that lead somewhere.
//
// Room:    Tools/Tidy.
// Source:  Links as in CommonMark 0.31, section 6.3 (inline) and 4.7 (definitions), as far as we
//          write them.
// Limits:  Only paths are followed: neither addresses nor the part behind `#`.

enum TextHygiene {
  static func findings(in file: TextFile, tree: SourceTree, headings: FormatHeadings) -> [Finding] {
    var findings: [Finding] = []
    for (index, line) in file.lines.enumerated() where line.last.map(isBlank) ?? false {
      findings.append(
        Finding(.trailingBlank, file.path, index + 1, "the line ends in blanks"))
    }
    guard file.path.hasSuffix(".md") else { return findings }

    var prose: [(text: Substring, line: Int)] = []
    var isFenced = false
    for (index, line) in file.lines.enumerated() {
      if line.drop(while: isBlank).hasPrefix("```") {
        isFenced.toggle()
      } else if !isFenced {
        prose.append((line, index + 1))
      }
    }
    for (text, line) in prose {
      for target in targets(in: text) where !exists(target, from: file.path, in: tree) {
        findings.append(Finding(.link, file.path, line, "`\(target)` does not exist"))
      }
    }
    let words = prose.flatMap { part in
      part.text.split(separator: " ").map { (text: $0, line: part.line) }
    }
    return findings + headings.findings(file: file.path, words: words)
  }

  private static func isBlank(_ character: Character) -> Bool {
    character == " " || character == "\t" || character == "\r"
  }

  /// The paths that a line links to: `[text](path)` and `[name]: path`.
  private static func targets(in line: Substring) -> [Substring] {
    var targets: [Substring] = []
    // Within `code` nothing links: odd parts between backticks are dropped.
    let parts = line.split(separator: "`", omittingEmptySubsequences: false)
    let text = parts.enumerated().map { $0.offset.isMultiple(of: 2) ? $0.element : "`" }.joined()
    var rest = Substring(text)
    if rest.hasPrefix("["), let end = rest.firstRange(of: "]: ") {
      targets.append(rest[end.upperBound...])
    }
    while let start = rest.firstRange(of: "](") {
      rest = rest[start.upperBound...]
      targets.append(rest.prefix { $0 != ")" })
    }
    return targets.compactMap { target in
      let path = target.drop(while: isBlank).prefix { !isBlank($0) && $0 != "#" }
      return path.isEmpty || path.contains(":") ? nil : path
    }
  }

  private static func exists(_ target: Substring, from page: String, in tree: SourceTree) -> Bool {
    var parts = target.hasPrefix("/") ? [] : page.split(separator: "/").dropLast()
    for part in target.split(separator: "/") where part != "." {
      if part == ".." {
        if parts.popLast() == nil { return false }
      } else {
        parts.append(part)
      }
    }
    return parts.isEmpty || tree.paths.contains(parts.joined(separator: "/"))
  }
}
