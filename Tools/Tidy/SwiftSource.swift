// SwiftSource — a Swift file taken apart: tokens without comments and strings, and the comments.
//
// Room:    Tools/Tidy.
// Source:  The lexical structure of The Swift Programming Language (6.2), as far as we use it:
//          nested comments, raw and multi-line strings, interpolation.
// Limits:  No regex literals. Operators are single characters.

/// One word or sign of the code.
struct Token {
  /// A word (also a keyword or number), a sign of one character, or empty for a string literal.
  var text: String
  var line: Int
  /// Its place in the file, counted in Unicode scalars, to tell `try?` from `try ?`.
  var offset: Int
  var isWord: Bool

  func touches(_ next: Token) -> Bool { next.offset == offset + text.unicodeScalars.count }
}

/// One line of a comment.
struct CommentLine {
  var text: String
  var line: Int
}

/// A Swift file and what it is made of.
struct SwiftSource {
  var file: TextFile
  private(set) var tokens: [Token]
  private(set) var comments: [CommentLine]

  init(_ file: TextFile) {
    self.file = file
    var lexer = SwiftLexer(file.text)
    lexer.scan(isInterpolation: false)
    tokens = lexer.tokens
    comments = lexer.comments
  }

  var path: String { file.path }

  /// The token at `index`, or nil outside.
  func token(_ index: Int) -> Token? { tokens.indices.contains(index) ? tokens[index] : nil }

  /// Whether the tokens from `index` on are `words`, whatever stands between them.
  func matches(_ words: [String], at index: Int) -> Bool {
    guard index + words.count <= tokens.count else { return false }
    return zip(tokens[index...], words).allSatisfy { $0.text == $1 }
  }
}

/// Walks through the characters of a file once.
private struct SwiftLexer {
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private(set) var tokens: [Token] = []
  private(set) var comments: [CommentLine] = []

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  private func peek(_ distance: Int = 0) -> Unicode.Scalar {
    position + distance < scalars.count ? scalars[position + distance] : "\0"
  }

  private func text(_ range: Range<Int>) -> String {
    String(String.UnicodeScalarView(scalars[range]))
  }

  /// Scans code up to the end, or within an interpolation up to its closing parenthesis.
  mutating func scan(isInterpolation: Bool) {
    var depth = 0
    while position < scalars.count {
      switch peek() {
      case "\n":
        line += 1
        position += 1
      case "/" where peek(1) == "/": lineComment()
      case "/" where peek(1) == "*": blockComment()
      case "\"": string(hashes: 0)
      case "#" where startsRawString: rawString()
      case let scalar where scalar.isWord: word()
      case let scalar:
        if scalar == "(" { depth += 1 }
        if scalar == ")" {
          if isInterpolation && depth == 0 { return }
          depth -= 1
        }
        if scalar > " " { sign() }
        position += 1
      }
    }
  }

  private mutating func sign() {
    let text = text(position..<position + 1)
    tokens.append(Token(text: text, line: line, offset: position, isWord: false))
  }

  private mutating func word() {
    let start = position
    while peek().isWord { position += 1 }
    tokens.append(Token(text: text(start..<position), line: line, offset: start, isWord: true))
  }

  // MARK: - Comments

  private mutating func lineComment() {
    let start = position
    while position < scalars.count && peek() != "\n" { position += 1 }
    comment(start..<position)
  }

  private mutating func blockComment() {
    var depth = 0
    var start = position
    while position < scalars.count {
      if peek() == "/" && peek(1) == "*" {
        depth += 1
        position += 2
      } else if peek() == "*" && peek(1) == "/" {
        depth -= 1
        position += 2
        if depth == 0 { break }
      } else if peek() == "\n" {
        comment(start..<position)
        position += 1
        line += 1
        start = position
      } else {
        position += 1
      }
    }
    comment(start..<min(position, scalars.count))
  }

  private mutating func comment(_ range: Range<Int>) {
    comments.append(CommentLine(text: text(range), line: line))
  }

  // MARK: - Strings

  private var startsRawString: Bool {
    var distance = 0
    while peek(distance) == "#" { distance += 1 }
    return peek(distance) == "\""
  }

  private mutating func rawString() {
    var hashes = 0
    while peek() == "#" {
      hashes += 1
      position += 1
    }
    string(hashes: hashes)
  }

  /// Passes over a string literal; the code in its interpolations counts as code.
  private mutating func string(hashes: Int) {
    tokens.append(Token(text: "", line: line, offset: position, isWord: false))
    let quotes = peek(1) == "\"" && peek(2) == "\"" ? 3 : 1
    position += quotes
    while position < scalars.count {
      if peek() == "\n" {
        if quotes == 1 { return }  // The compiler will say what is wrong here.
        line += 1
        position += 1
      } else if peek() == "\\" && run(of: "#", at: 1) >= hashes {
        position += 1 + hashes
        if peek() == "(" {
          position += 1
          scan(isInterpolation: true)
        }
        if peek() != "\n" { position += 1 }
      } else if run(of: "\"", at: 0) >= quotes && run(of: "#", at: quotes) >= hashes {
        position += quotes + hashes
        return
      } else {
        position += 1
      }
    }
  }

  private func run(of scalar: Unicode.Scalar, at distance: Int) -> Int {
    var count = 0
    while peek(distance + count) == scalar { count += 1 }
    return count
  }
}

extension Unicode.Scalar {
  /// A letter, a digit, an underscore, or anything beyond ASCII.
  fileprivate var isWord: Bool {
    switch self {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: !isASCII
    }
  }
}
