// Tidy — reads the whole tree and says where it breaks a rule of the house.
//
// Room:    Tools/Tidy. Knows text, not meaning: no compiler is asked.
// Limits:  Names are compared as written, so a rule about types can be fooled by a local name that
//          equals a type's; rename the local one. Regex literals are not understood; we write none.

/// The checks that keep the rooms in order; `findings()` is empty for a tree that may be committed.
///
/// It runs as a test (`Tests/TidyTests`), so nobody has to remember to run it.
public struct Tidy {
  private let root: String

  /// A check of the tree whose top directory is `root`.
  public init(root: String) { self.root = root }

  /// Everything that breaks a rule, ordered by file and line.
  ///
  /// Reads each text file below the root once; takes about a second a megabyte in a debug build.
  public func findings() -> [Finding] {
    let tree = SourceTree(root: root)
    let headings = FormatHeadings(tree)
    let swift = tree.files.filter(\.isChecked).map(SwiftSource.init)

    var findings = tree.unreadable
    findings += Layers.findings(in: swift)
    for source in swift {
      findings += Sizes.findings(in: source)
      findings += Headers.findings(in: source, headings: headings)
      findings += Words.findings(in: source)
    }
    findings += UnsafeCode.findings(in: swift, list: tree.text(at: UnsafeCode.listPath))
    for file in tree.files {
      findings += TextHygiene.findings(in: file, tree: tree, headings: headings)
    }
    return findings.sorted()
  }
}
