// UnsafeCode — where `unsafe` may stand, and that it says why it is safe.
//
// Room:    Tools/Tidy.
// Limits:  One comment that begins "Safe:" is asked of a file; whether each use has its own is for
//          the reader. `@unsafe`, the attribute, marks a door and is no use of one.

enum UnsafeCode {
  /// The files that may be unsafe, one path a line; lines that begin with `#` are remarks.
  static let listPath = "docs/unsafe.txt"

  static func findings(in sources: [SwiftSource], list: TextFile?) -> [Finding] {
    var listed: [String: Int] = [:]
    for (index, line) in (list?.lines ?? []).enumerated() where !line.isEmpty {
      if !line.hasPrefix("#") { listed[String(line)] = index + 1 }
    }
    var findings: [Finding] = []
    var used: Set<String> = []
    for source in sources {
      let isListed = listed[source.path] != nil
      // The simulator speaks of the system's errors, and calls nothing.
      let rooms = ["Sources/TurbiditeSystem/", "Sources/TurbiditeSimulation/"]
      if !isListed && !rooms.contains(where: source.path.hasPrefix) {
        findings += Layers.systemImports(of: source).map { line in
          Finding(
            .systemCalls, source.path, line,
            "only TurbiditeSystem and the files of \(listPath) call the operating system")
        }
      }
      let uses = source.tokens.indices.filter { isUse(at: $0, in: source) }
      guard let first = uses.first else { continue }
      used.insert(source.path)
      let line = source.tokens[first].line
      if !isListed {
        findings.append(
          Finding(
            .unsafeCode, source.path, line, "`unsafe` in a file that \(listPath) does not list"))
      }
      if !source.comments.contains(where: { $0.text.contains("Safe:") }) {
        findings.append(
          Finding(.unsafeCode, source.path, line, "no comment begins \"Safe:\" and names the check")
        )
      }
    }
    for (path, line) in listed where !used.contains(path) {
      findings.append(
        Finding(.unsafeCode, listPath, line, "\(path) has no `unsafe`: strike it out"))
    }
    return findings
  }

  /// The keyword before an expression, not the attribute and not `nonisolated(unsafe)`.
  private static func isUse(at index: Int, in source: SwiftSource) -> Bool {
    guard source.tokens[index].text == "unsafe" else { return false }
    if source.token(index - 1)?.text == "@" { return false }
    return !(index >= 2 && source.matches(["nonisolated", "(", "unsafe", ")"], at: index - 2))
  }
}
