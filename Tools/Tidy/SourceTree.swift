// SourceTree — the text files of the repository, read once.
//
// Room:    Tools/Tidy. The only file that touches the disk.
// Limits:  Names that begin with a dot are passed over, `.build` among them but not `.ci`; so are
//          golden files, whose bytes are nobody's to tidy. Links to directories are not followed.

import Foundation

/// One text file: its path below the root, and its lines without their ends.
struct TextFile {
  var path: String
  var text: String
  var lines: [Substring]

  init(path: String, text: String) {
    self.path = path
    self.text = text
    // By scalars: to Character, "\r\n" is one, and the "\r" would be lost.
    lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
      .map(Substring.init)
    if lines.last == "" { lines.removeLast() }
  }

  /// Whether the rules for our own Swift apply; tests are held to the rules for plain text only.
  var isChecked: Bool {
    path.hasSuffix(".swift") && (path.hasPrefix("Sources/") || path.hasPrefix("Tools/"))
  }
}

/// What lies below a directory.
struct SourceTree {
  private(set) var files: [TextFile] = []
  /// Every file and directory, also those that are not text.
  private(set) var paths: Set<String> = []
  private(set) var unreadable: [Finding] = []

  init(root: String) {
    walk(root: root, below: "")
    files.sort { $0.path < $1.path }
  }

  func text(at path: String) -> TextFile? { files.first { $0.path == path } }

  private mutating func walk(root: String, below directory: String) {
    let full = directory.isEmpty ? root : "\(root)/\(directory)"
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: full)
    } catch {
      unreadable.append(Finding(.unreadable, directory, 0, "cannot be listed: \(error)"))
      return
    }
    for name in names {
      let path = directory.isEmpty ? name : "\(directory)/\(name)"
      paths.insert(path)
      if name.hasPrefix(".") && path != ".ci" || path.hasPrefix("Tests/Golden/") { continue }
      if isDirectory("\(root)/\(path)") {
        walk(root: root, below: path)
      } else if Self.isText(path) {
        read(path, from: "\(root)/\(path)")
      }
    }
  }

  private func isDirectory(_ path: String) -> Bool {
    let url = URL(fileURLWithPath: path)
    do {
      // Describes the link itself, so that a loop of links cannot hold us.
      return try url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory ?? false
    } catch {
      return false  // Then reading it fails too, and that is reported.
    }
  }

  private mutating func read(_ path: String, from full: String) {
    do {
      files.append(TextFile(path: path, text: try String(contentsOfFile: full, encoding: .utf8)))
    } catch {
      unreadable.append(Finding(.unreadable, path, 0, "is no UTF-8 text: \(error)"))
    }
  }

  /// By the end of its name; a file under Tools or .ci without one is a script.
  private static func isText(_ path: String) -> Bool {
    let name = path.split(separator: "/").last ?? ""
    guard let dot = name.lastIndex(of: ".") else {
      return path.hasPrefix("Tools/") || path.hasPrefix(".ci/")
    }
    return ["swift", "md", "txt", "h", "c", "modulemap", "py", "sh"]
      .contains(String(name[name.index(after: dot)...]))
  }
}
