// RuleCases — the planted trees.

@testable import Tidy

extension RuleCase {
  static let all = layers + sizes + headers + words + unsafeCode + pages

  private static let bytes = "Sources/TurbiditeEngine/Bytes/Thing.swift"
  private static let shard = "Sources/TurbiditeEngine/Shard/Other.swift"
  private static let tree = header("Engine/Shard") + "struct Tree {}\n"

  static let layers: [RuleCase] = [
    RuleCase(
      .layering, "a type of a later room",
      broken: [bytes: header() + "let root: Tree? = nil\n", shard: tree],
      sound: [
        bytes: header() + "// A Tree is later.\nlet tree = \"Tree\"\nlet kind = Kind.Tree\n",
        shard: tree,
      ]),
    RuleCase(
      .layering, "an extension of a later room's type",
      broken: [bytes: header() + "extension Tree {}\n", shard: tree],
      sound: [
        bytes: header() + "struct Bark {}\n",
        shard: tree + "extension Bark {}\nextension Tree {}\n",
      ]),
    RuleCase(
      .layering, "code in the interpolation of a string",
      broken: [bytes: header() + "let text = \"root: \\(Tree()) \"\n", shard: tree],
      sound: [
        bytes: header() + "let text = #\"root: \\(Tree()) \"#\n",
        shard: tree,
      ]),
    RuleCase(
      .layering, "a name that a later file keeps to itself is nobody's",
      broken: [bytes: header() + "let leaf = Leaf()\n", shard: tree + "final class Leaf {}\n"],
      sound: [
        bytes: header() + "func grow<Leaf, Twig>(_ a: Leaf, _ b: Twig) {}\n",
        shard: tree + "private struct Leaf {}\nstruct Branch { struct Twig {} }\n",
      ]),
    RuleCase(
      .layering, "a folder that is no room",
      broken: ["Sources/TurbiditeEngine/Attic/Thing.swift": header("Engine/Attic")],
      sound: ["Sources/TurbiditeEngine/Manifest/Thing.swift": header("Engine/Manifest")]),
    RuleCase(
      .imports, "a library imports Foundation",
      broken: "import Foundation\n", sound: "import TurbiditeSystem\n// import Foundation\n"),
    RuleCase(
      .imports, "attributes, access levels and kinds are seen through",
      broken: "@_exported public import struct Turbidite.Store\n",
      sound: "internal import struct TurbiditeSystem.Clock\nimport Synchronization\n"),
    RuleCase(
      .imports, "a target without a row",
      broken: ["Sources/Annex/Thing.swift": header("Annex")],
      sound: ["Sources/TurbiditeSystem/Thing.swift": header("System")]),
    RuleCase(
      .systemCalls, "Glibc outside the system target",
      broken: "#if canImport(Glibc)\nimport Glibc\n#endif\n",
      sound: "#if canImport(Glibc)\n#endif\n"),
    RuleCase(
      .systemCalls, "Glibc in a file of the list",
      broken: ["Tools/TurbiditeCLI/Thing.swift": header("Command") + "import Glibc\n"],
      sound: [
        "Tools/TurbiditeCLI/Thing.swift": header("Command")
          + "import Glibc\n// Safe: no pointer.\nlet a = unsafe b()\n",
        "docs/unsafe.txt": "Tools/TurbiditeCLI/Thing.swift\n",
      ]),
  ]

  private static func body(_ lineCount: Int) -> String {
    String(repeating: "  step()\n", count: lineCount - 2)
  }

  static let sizes: [RuleCase] = [
    RuleCase(
      .length, "a file of 601 lines",
      broken: String(repeating: "//\n", count: 597), sound: String(repeating: "//\n", count: 596)),
    RuleCase(
      .length, "a function of 71 lines",
      broken: "func run() {\n" + body(71) + "}\n",
      sound: "func run() {\n" + body(70) + "}\nfunc other(_ a: () -> Void = {}) {\n}\n"),
    RuleCase(
      .length, "an initialiser of 71 lines",
      broken: "struct A {\ninit?(_ a: Int) {\n" + body(71) + "}\n}\n",
      sound: "struct A {\nvar a = B.init()\nvar b: Int\n" + body(72) + "}\n"),
    RuleCase(
      .length, "a computed property of 71 lines",
      broken: "var all: [Int] {\n" + body(71) + "}\n",
      sound: "var all: [Int] = {\n" + body(71) + "}()\n"),
    RuleCase(
      .length, "a requirement has no body",
      broken: "protocol A {\nfunc b()\nfunc c()\n}\nfunc d()\n{\n" + body(70) + "}\n",
      sound: "protocol A {\nfunc b()\n}\nenum C {\n" + body(72) + "}\n"),
    RuleCase(
      .length, "a line of 101 columns",
      broken: "// " + String(repeating: "é", count: 98) + "\n",
      sound: "// " + String(repeating: "é", count: 97) + "\n"),
  ]

  static let headers: [RuleCase] = [
    RuleCase(
      .header, "no first line",
      broken: [bytes: "// Room:    Engine/Bytes.\n"], sound: [bytes: header()]),
    RuleCase(
      .header, "no room",
      broken: [bytes: "// Thing — something.\n\n// Room:    Engine/Bytes.\n"],
      sound: [bytes: "// Thing — something.\n// Room:    Engine/Bytes, and why.\n"]),
    RuleCase(
      .header, "another room than its folder",
      broken: [bytes: header("Engine/Log")], sound: [bytes: header("Engine/Bytes")]),
    RuleCase(
      .formatReference, "no FORMAT.md at all",
      broken: "// FORMAT.md section 2.\n", sound: "// FORMAT.md says every byte.\n"),
    RuleCase(
      .formatReference, "a section by number",
      broken: [bytes: header() + "// FORMAT.md section 2.4.\n", "FORMAT.md": "## 2.3 Tags\n"],
      sound: [
        bytes: header() + "// See FORMAT.md\n// sections 2.3 and 2.\n/// FORMAT.md § 2.3: tags.\n",
        "FORMAT.md": "# 2. Pieces\n\n## § 2.3 Tags\n",
      ]),
    RuleCase(
      .formatReference, "a section by title",
      broken: [bytes: header() + "// FORMAT.md section \"Fields\".\n", "FORMAT.md": "## Tags\n"],
      sound: [bytes: header() + "// FORMAT.md section \"Tags\".\n", "FORMAT.md": "## Tags\n"]),
    RuleCase(
      .formatReference, "a reference in a page",
      broken: ["docs/a.md": "See FORMAT.md section 3.\n", "FORMAT.md": "## 2 Tags\n"],
      sound: ["docs/a.md": "See FORMAT.md section 2.\n", "FORMAT.md": "## 2 Tags\n"]),
  ]

  static let words: [RuleCase] = [
    RuleCase(
      .unprovedSendable, "@unchecked Sendable",
      broken: "\(gap)struct A: @unchecked Sendable {}\n",
      sound: "\(gap)// Its lock guards it.\nstruct A: @unchecked Sendable {}\n"),
    RuleCase(
      .unprovedSendable, "nonisolated(unsafe)",
      broken: "\(gap)nonisolated(unsafe) var a = 0\n",
      sound: "\(gap)nonisolated(unsafe) var a = 0  // Written before threads start.\n"),
    RuleCase(
      .droppedError, "try?", broken: "let a = try? b()\n",
      sound: "let a = try b ? c : d\nlet e = \"try?\"  // not try? here\n"),
    RuleCase(.droppedError, "try!", broken: "let a = try! b()\n", sound: "let a = try b()\n"),
    RuleCase(
      .droppedError, "fatalError", broken: "fatalError(\"x\")\n",
      sound: "preconditionFailure(\"fatalError(\")\n"),
    RuleCase(
      .unfinished, "in a comment", broken: "// TODO: more.\n",
      sound: "// A todo, and a METHOD.\nlet marks = [\"TODO\"]\n"),
    RuleCase(
      .unfinished, "in a block comment", broken: "/* a /* nested */\n FIXME */\n",
      sound: "/* a /* nested */ one */ let FIXED = 1\n"),
    RuleCase(
      .emptyName, "a part of a name", broken: "struct CacheManager {}\n",
      sound: "let management = \"Manager\"  // No Manager.\nlet utilisation = LZ4_ctx()\n"),
    RuleCase(
      .emptyName, "a file's name",
      broken: ["Sources/TurbiditeSystem/FileUtils.swift": header("System")],
      sound: ["Tools/Tidy/FileUtils.swift": header("Tools/Tidy")]),
  ]

  /// More lines than a proof may stand above its promise.
  private static let gap = String(repeating: "struct B {}\n", count: 13)

  static let unsafeCode: [RuleCase] = [
    RuleCase(
      .unsafeCode, "a file that is not listed",
      broken: "// Safe: checked above.\nlet a = unsafe b()\n",
      sound: "// unsafe\n@unsafe struct A {}\nnonisolated(unsafe) var c = \"unsafe\"\n"),
    RuleCase(
      .unsafeCode, "no reason",
      broken: [bytes: header() + "let a = unsafe b()\n", "docs/unsafe.txt": bytes + "\n"],
      sound: [
        bytes: header() + "// Safe: checked above.\nlet a = unsafe b()\n",
        "docs/unsafe.txt": "# Files.\n\n" + bytes + "\n",
      ]),
    RuleCase(
      .unsafeCode, "a listed file that needs no listing",
      broken: [bytes: header(), "docs/unsafe.txt": bytes + "\n"],
      sound: [bytes: header(), "docs/unsafe.txt": "# " + bytes + "\n"]),
  ]

  static let pages: [RuleCase] = [
    RuleCase(
      .link, "a missing page",
      broken: ["docs/a.md": "See [b](b.md).\n"],
      sound: [
        "docs/a.md": """
        See [b](b.md#part), [up](../README.md "top"), [here](#here), [the web](https://a.b/c.md),
        [the folder](../docs/) and `[code](none.md)`.

        ```
        [fenced](none.md)
        ```

        [b]: ./b.md

        """,
        "docs/b.md": "# B\n", "README.md": "[a](/docs/a.md)\n",
      ]),
    RuleCase(
      .link, "a definition",
      broken: ["a.md": "[b]: docs/b.md\n"], sound: ["a.md": "[b]: a.md\n"]),
    RuleCase(
      .link, "a path that leaves the tree",
      broken: ["docs/a.md": "[b](../../docs)\n"], sound: ["docs/a.md": "[b](../docs)\n"]),
    RuleCase(
      .trailingBlank, "in Swift",
      broken: "let a = 1 \n", sound: "let a = 1\n"),
    RuleCase(
      .trailingBlank, "a carriage return in a script",
      broken: ["Tools/run": "true\r\n"], sound: ["Tools/run": "true\n", "Tools/a.bin": "a \n"]),
  ]
}
