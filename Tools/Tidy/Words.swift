// Words — names that say nothing, errors that are dropped, work left undone, promises unproved.
//
// Room:    Tools/Tidy.
// Source:  STYLE in CONTRIBUTING.md: "Names", "Errors", "Concurrency".

enum Words {
  /// Parts of names that tell a reader nothing about the thing named.
  private static let emptyParts: Set = [
    "manager", "managers", "helper", "helpers", "util", "utils", "utility", "utilities", "mgr",
    "ctx", "tmp",
  ]

  /// Marks of unfinished work, in comments and in code.
  private static let unfinished: Set = ["TODO", "FIXME", "XXX", "HACK"]

  /// How far above a promise to the compiler its proof may begin.
  private static let proofLineCount = 12

  static func findings(in source: SwiftSource) -> [Finding] {
    droppedErrors(in: source) + unfinishedWork(in: source) + emptyNames(in: source)
      + unprovedPromises(in: source)
  }

  private static func droppedErrors(in source: SwiftSource) -> [Finding] {
    source.tokens.indices.compactMap { index in
      let token = source.tokens[index]
      if token.text == "try", let next = source.token(index + 1), token.touches(next),
        next.text == "?" || next.text == "!"
      {
        return Finding(
          .droppedError, source.path, token.line,
          "`try\(next.text)` loses the error: catch it and do what it asks for")
      }
      if token.text == "fatalError", source.token(index + 1)?.text == "(" {
        return Finding(
          .droppedError, source.path, token.line,
          "`fatalError`: throw for bad bytes, `precondition` for a caller's mistake")
      }
      return nil
    }
  }

  private static func unfinishedWork(in source: SwiftSource) -> [Finding] {
    let written = source.comments.flatMap { comment in
      comment.text.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
        .map { (word: String($0), line: comment.line) }
    }
    let coded = source.tokens.filter(\.isWord).map { (word: $0.text, line: $0.line) }
    return (written + coded).filter { unfinished.contains($0.word) }.map {
      Finding(.unfinished, source.path, $0.line, "`\($0.word)`: finish it, or write an issue")
    }
  }

  // MARK: - Names

  private static func emptyNames(in source: SwiftSource) -> [Finding] {
    guard source.path.hasPrefix("Sources/") else { return [] }
    let name = source.path.split(separator: "/").last?.prefix { $0 != "." } ?? ""
    var findings: [Finding] = []
    for part in parts(of: name) where emptyParts.contains(part) {
      findings.append(
        Finding(.emptyName, source.path, 1, "`\(part)` says nothing in a file's name"))
    }
    for token in source.tokens where token.isWord {
      // Names with underscores are C's, and C has its own customs.
      if token.text.contains("_") { continue }
      for part in parts(of: Substring(token.text)) where emptyParts.contains(part) {
        findings.append(
          Finding(.emptyName, source.path, token.line, "`\(part)` says nothing in `\(token.text)`"))
      }
    }
    return findings
  }

  /// The words of a name in lower case: `table`, `cache`, `ID` of `tableCacheID`.
  private static func parts(of name: Substring) -> [String] {
    var parts: [String] = []
    var wasUpper = false
    for character in name {
      if !character.isLetter {
        parts.append("")
      } else if parts.isEmpty || character.isUppercase && !wasUpper {
        parts.append(character.lowercased())
      } else {
        parts[parts.count - 1] += character.lowercased()
      }
      wasUpper = character.isUppercase
    }
    return parts
  }

  // MARK: - Promises

  private static func unprovedPromises(in source: SwiftSource) -> [Finding] {
    let promises = [
      ["@", "unchecked", "Sendable"], ["nonisolated", "(", "unsafe", ")"],
    ]
    return source.tokens.indices.compactMap { index in
      guard let promise = promises.first(where: { source.matches($0, at: index) }) else {
        return nil
      }
      let line = source.tokens[index].line
      let near = (line - proofLineCount)...line
      if source.comments.contains(where: { near.contains($0.line) }) { return nil }
      return Finding(
        .unprovedSendable, source.path, line,
        "`\(promise.joined())` without a comment that says why it holds")
    }
  }
}
