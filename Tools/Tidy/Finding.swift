// Finding — one place where the tree breaks one rule.
//
// Room:    Tools/Tidy.

/// What is checked; the raw value is how a finding names it.
public enum Rule: String, Sendable, CaseIterable {
  /// A room of the engine names a type of a later room, or there is a room without a place.
  case layering
  /// A target imports a module that its layer may not know.
  case imports
  /// `import Glibc` outside the system target and the files listed as unsafe.
  case systemCalls = "system-calls"
  /// A file, function or line is longer than the house allows.
  case length
  /// A file does not say what it is or where it belongs.
  case header
  /// A reference to FORMAT.md leads nowhere.
  case formatReference = "format-reference"
  /// `unsafe` outside the listed files, or without its reason.
  case unsafeCode = "unsafe-code"
  /// A promise to the compiler about concurrency without a comment that proves it.
  case unprovedSendable = "unproved-sendable"
  /// An error dropped or turned into a trap.
  case droppedError = "dropped-error"
  /// A note about work left undone.
  case unfinished
  /// A name that says nothing, such as Manager.
  case emptyName = "empty-name"
  /// A link in a page leads to a file that does not exist.
  case link
  /// Blanks at the end of a line.
  case trailingBlank = "trailing-blank"
  /// A file or directory that could not be read.
  case unreadable
}

/// One place where the tree breaks one rule.
public struct Finding: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// The file's path below the root.
  public var file: String
  /// The line, from 1.
  public var line: Int
  /// The rule that is broken.
  public var rule: Rule
  /// What is wrong, and where it helps, what to do.
  public var message: String

  /// A finding in `file` at `line`.
  public init(_ rule: Rule, _ file: String, _ line: Int, _ message: String) {
    self.rule = rule
    self.file = file
    self.line = line
    self.message = message
  }

  /// As compilers write it, so that editors find the place.
  public var description: String { "\(file):\(line): \(rule.rawValue): \(message)" }

  /// By file, then line, then rule and message.
  public static func < (left: Finding, right: Finding) -> Bool {
    (left.file, left.line, left.rule.rawValue, left.message)
      < (right.file, right.line, right.rule.rawValue, right.message)
  }
}
