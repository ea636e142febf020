// TreeTests — the repository keeps its own rules.

import Testing

@testable import Tidy

@Suite("The tree")
struct TreeTests {
  /// The top of the repository: this file stands in Tests/TidyTests.
  static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    .dropLast(3).joined(separator: "/")

  @Test("nothing in the repository breaks a rule of the house")
  func isTidy() {
    let findings = Tidy(root: Self.root).findings()
    let report = findings.map(\.description).joined(separator: "\n")
    #expect(findings.isEmpty, "\(findings.count) findings:\n\(report)")
  }

  @Test("the tree that is read is the repository")
  func isRead() {
    let tree = SourceTree(root: Self.root)
    #expect(tree.unreadable.isEmpty)
    #expect(tree.text(at: "Tests/TidyTests/TreeTests.swift") != nil)
    #expect(tree.text(at: "Sources/TurbiditeEngine/Bytes/Tag.swift") != nil)
    #expect(tree.files.filter(\.isChecked).count > 50)
    #expect(!tree.files.contains { $0.path.hasPrefix(".build") })
  }
}
