// Layers — which target may import what, and which room of the engine may name what.
//
// Room:    Tools/Tidy.
// Source:  docs/design.md, "Walls and rooms", written down as tables.

enum Layers {
  /// The rooms of the engine, first to last: a room names only rooms before it.
  static let rooms = [
    "Bytes", "Log", "Memory", "Table", "Manifest", "Compaction", "Shuffle", "Shard", "Verify",
    "Repair", "Micro",
  ]

  /// Modules of the toolchain that every target may use.
  private static let everywhere: Set = ["Swift", "Synchronization", "_Concurrency"]

  /// The operating system's module: governed by its own rule below.
  private static let system: Set = ["Glibc", "Musl", "Darwin"]

  /// What each target may import beside `everywhere`: neither Foundation nor a package below Tools.
  private static let imports: [String: Set<String>] = [
    "TurbiditeSystem": ["CTurbiditeShims"],
    "TurbiditeEngine": ["TurbiditeSystem", "CTurbiditeShims", "CLZ4", "CXXHash"],
    "Turbidite": ["TurbiditeEngine", "TurbiditeSystem"],
    "TurbiditeSimulation": ["Turbidite", "TurbiditeEngine", "TurbiditeSystem"],
    "TurbiditeCLI": [
      "Turbidite", "TurbiditeTorture", "TurbiditePrograms", "TurbiditeProgramJobs",
      "ArgumentParser",
    ],
    "Torture": ["Turbidite", "TurbiditeSimulation", "Foundation"],
    "TortureRunner": ["TurbiditeTorture", "Foundation"],
    "Demo": ["Turbidite", "Foundation", "Glibc"],
    "Programs": ["Subprocess", "SystemPackage"],
    "ProgramJobs": ["Turbidite", "TurbiditeEngine", "TurbiditeSystem", "TurbiditePrograms"],
    "Micro": ["Turbidite", "TurbiditeEngine"],
    "Tidy": ["Foundation"],
  ]

  static func findings(in sources: [SwiftSource]) -> [Finding] {
    layering(sources) + sources.flatMap(importing)
  }

  // MARK: - Rooms

  /// The room of a file of the engine; nil for other files, empty for a file in no room.
  private static func room(of path: String) -> Substring? {
    let parts = path.split(separator: "/")
    guard parts.count > 2, parts[0] == "Sources", parts[1] == "TurbiditeEngine" else { return nil }
    return parts.count > 3 ? parts[2] : ""
  }

  private static func layering(_ sources: [SwiftSource]) -> [Finding] {
    var findings: [Finding] = []
    var placed: [(source: SwiftSource, room: Int)] = []
    for source in sources {
      guard let name = room(of: source.path) else { continue }
      if let index = rooms.firstIndex(of: String(name)) {
        placed.append((source, index))
      } else {
        findings.append(
          Finding(.layering, source.path, 1, "stands in no room: \(rooms.joined(separator: ", "))"))
      }
    }
    var owners: [String: Int] = [:]
    for (source, room) in placed {
      // A name declared in two rooms belongs to the first: a later room may use what it sees.
      for name in topLevelTypes(of: source) { owners[name] = min(owners[name] ?? room, room) }
    }
    for (source, room) in placed {
      for (index, token) in source.tokens.enumerated() where token.isWord {
        guard let owner = owners[token.text], owner > room else { continue }
        if source.token(index - 1)?.text == "." { continue }  // A member of something else.
        findings.append(
          Finding(
            .layering, source.path, token.line,
            "\(rooms[room]) names \(token.text), which is declared in \(rooms[owner])"))
      }
    }
    return findings
  }

  /// The types that a file declares for others: outside braces, and not private to it.
  private static func topLevelTypes(of source: SwiftSource) -> [String] {
    let keywords: Set = ["struct", "class", "enum", "protocol", "actor", "typealias"]
    var names: [String] = []
    var depth = 0
    for (index, token) in source.tokens.enumerated() {
      if token.text == "{" { depth += 1 }
      if token.text == "}" { depth -= 1 }
      guard depth == 0, keywords.contains(token.text),
        let name = source.token(index + 1), name.isWord, source.token(index - 1)?.text != "."
      else { continue }
      let before = source.tokens[max(0, index - 3)..<index].filter { $0.line == token.line }
      if before.contains(where: { $0.text == "private" || $0.text == "fileprivate" }) { continue }
      names.append(name.text)
    }
    return names
  }

  // MARK: - Imports

  private static func importing(_ source: SwiftSource) -> [Finding] {
    let target = String(source.path.split(separator: "/")[1])
    guard let allowed = imports[target] else {
      return [Finding(.imports, source.path, 1, "target \(target) has no row in Tidy's Layers")]
    }
    return importedModules(of: source).compactMap { module in
      let name = module.text
      if everywhere.contains(name) || system.contains(name) || allowed.contains(name) { return nil }
      return Finding(.imports, source.path, module.line, "\(target) may not import \(name)")
    }
  }

  /// Lines that import the operating system's module.
  static func systemImports(of source: SwiftSource) -> [Int] {
    importedModules(of: source).filter { system.contains($0.text) }.map(\.line)
  }

  private static func importedModules(of source: SwiftSource) -> [Token] {
    let kinds: Set = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
    return source.tokens.indices.compactMap { index in
      guard source.tokens[index].text == "import", var module = source.token(index + 1) else {
        return nil
      }
      if kinds.contains(module.text), let next = source.token(index + 2) { module = next }
      return module
    }
  }
}
