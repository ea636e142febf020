// RuleTests — every rule fires on what it forbids, and on nothing beside it.

import Testing

@testable import Tidy

/// A rule, a tree that breaks it and nothing else, and one that comes close and breaks none.
struct RuleCase: CustomTestStringConvertible, Sendable {
  var rule: Rule
  var what: String
  var broken: Planting
  var sound: Planting

  init(_ rule: Rule, _ what: String, broken: Planting, sound: Planting) {
    self.rule = rule
    self.what = what
    self.broken = broken
    self.sound = sound
  }

  /// Both trees hold one file, in the engine's first room, with its header.
  init(_ rule: Rule, _ what: String, broken: String, sound: String) {
    let path = "Sources/TurbiditeEngine/Bytes/Thing.swift"
    self.init(
      rule, what, broken: [path: header() + broken], sound: [path: header() + sound])
  }

  var testDescription: String { "\(rule.rawValue): \(what)" }
}

@Suite("Rules")
struct RuleTests {
  @Test("a rule fires once on what breaks it", arguments: RuleCase.all)
  func fires(_ planted: RuleCase) throws {
    let found = try findings(in: planted.broken)
    #expect(found.map(\.rule) == [planted.rule], "\(found)")
  }

  @Test("no rule fires on what comes close", arguments: RuleCase.all)
  func keepsQuiet(_ planted: RuleCase) throws {
    let found = try findings(in: planted.sound)
    #expect(found.isEmpty, "\(found)")
  }

  @Test("every rule but the next test's has a tree that breaks it")
  func isComplete() {
    #expect(Set(RuleCase.all.map(\.rule)) == Set(Rule.allCases).subtracting([.unreadable]))
  }

  @Test("a page that is no text is a finding, not silence")
  func unreadable() throws {
    let found = try findings(in: ["a.md": "# A\n"], bytes: ["b.md": [0x23, 0xff, 0x0a]])
    #expect(found.map(\.rule) == [.unreadable])
    #expect(found.map(\.file) == ["b.md"])
  }

  @Test("a finding names its file and line as compilers do")
  func description() {
    let finding = Finding(.length, "Sources/A/B.swift", 7, "too long")
    #expect(finding.description == "Sources/A/B.swift:7: length: too long")
  }

  @Test("a finding stands at the line that is wrong")
  func line() throws {
    let path = "Sources/TurbiditeEngine/Bytes/Thing.swift"
    let text =
      header() + "/* one\n two */\nlet text = \"\"\"\n  lines\n  \"\"\"\nlet a = try? b()\n"
    let found = try findings(in: [path: text])
    #expect(found.map(\.line) == [10])
  }
}
