// Sizes — how long a file, a function and a line may be.
//
// Room:    Tools/Tidy.
// Limits:  A function runs from its keyword to its closing brace, both lines counted. Computed
//          properties count as functions; closures count within the function they stand in.

enum Sizes {
  static let maximumFileLineCount = 600
  static let maximumFunctionLineCount = 70
  static let maximumColumnCount = 100

  static func findings(in source: SwiftSource) -> [Finding] {
    var findings: [Finding] = []
    let lines = source.file.lines
    if lines.count > maximumFileLineCount {
      findings.append(
        Finding(
          .length, source.path, maximumFileLineCount + 1,
          "\(lines.count) lines; a file has at most \(maximumFileLineCount)"))
    }
    for (index, line) in lines.enumerated() where line.utf8.count > maximumColumnCount {
      let count = line.count
      if count <= maximumColumnCount { continue }
      findings.append(
        Finding(
          .length, source.path, index + 1,
          "\(count) columns; a line has at most \(maximumColumnCount)"))
    }
    return findings + longFunctions(in: source)
  }

  private static func longFunctions(in source: SwiftSource) -> [Finding] {
    source.tokens.indices.compactMap { index in
      guard let open = body(ofFunctionAt: index, in: source),
        let close = closingBrace(of: open, in: source)
      else { return nil }
      let keyword = source.tokens[index]
      let count = source.tokens[close].line - keyword.line + 1
      if count <= maximumFunctionLineCount { return nil }
      let name =
        keyword.text == "func" || keyword.text == "var" ? source.tokens[index + 1] : keyword
      return Finding(
        .length, source.path, keyword.line,
        "\(name.text) has \(count) lines; a function has at most \(maximumFunctionLineCount)")
    }
  }

  /// The opening brace of the function that the token at `index` declares, if it declares one.
  private static func body(ofFunctionAt index: Int, in source: SwiftSource) -> Int? {
    let keyword = source.tokens[index]
    guard ["func", "init", "deinit", "subscript", "var"].contains(keyword.text),
      source.token(index - 1)?.text != "."
    else { return nil }
    var depth = 0
    for next in source.tokens.indices.dropFirst(index + 1) {
      let token = source.tokens[next]
      switch token.text {
      case "(", "[": depth += 1
      case ")", "]": depth -= 1
      case "{" where depth == 0: return next
      // A protocol's requirement ends where the next declaration or its brace stands.
      case "}" where depth == 0, "func" where depth == 0, "init" where depth == 0,
        "subscript" where depth == 0, "var" where depth == 0, "let" where depth == 0:
        return nil
      case "=" where depth == 0 && keyword.text == "var": return nil
      default: break
      }
      if depth < 0 { return nil }
      // A stored property ends with its line.
      if keyword.text == "var" && depth == 0 && token.line > keyword.line { return nil }
    }
    return nil
  }

  private static func closingBrace(of open: Int, in source: SwiftSource) -> Int? {
    var depth = 0
    for index in source.tokens.indices.dropFirst(open) {
      if source.tokens[index].text == "{" { depth += 1 }
      if source.tokens[index].text == "}" {
        depth -= 1
        if depth == 0 { return index }
      }
    }
    return nil
  }
}
