// ErrorLines — standard error of a program, sorted: the mark, reports, and the rest.
//
// Room:    Programs.
// Limits:  A report has at most 64 KiB and ends with a newline; what is longer, or was cut off by
//          the program's death, is no report: half a number is another number.

/// The lines of standard error.
struct ErrorLines {
  private static let reportPrefix = Array("reporter:".utf8)
  private static let maximumReportByteCount = 64 << 10
  private static let tailByteCount = 4096
  private static let newline = UInt8(ascii: "\n")

  private let mark: [UInt8]
  private let report: @Sendable (String) -> Void
  /// The line that is not complete, while it may be the mark or a report.
  private var line: [UInt8] = []
  /// Whether the line that is not complete can be neither, and has gone to the tail.
  private var isPlain = false
  private var tail: [UInt8] = []

  /// Whether the mark has come: what follows is the program's.
  private(set) var isMarked = false

  init(mark: String, report: @escaping @Sendable (String) -> Void) {
    self.mark = Array(mark.utf8)
    self.report = report
  }

  /// Takes what was read.
  mutating func append(_ bytes: ArraySlice<UInt8>) {
    var rest = bytes
    while let end = rest.firstIndex(of: Self.newline) {
      extend(rest[..<end])
      endLine()
      rest = rest[(end + 1)...]
    }
    extend(rest)
  }

  /// The last of what was for nobody else, as text; to be asked once, at the end.
  mutating func finish() -> String {
    appendToTail(line[...])
    let last = tail.suffix(Self.tailByteCount)
    // The cut may have gone through a character: what is left of it says nothing.
    let whole = last.drop { last.count < tail.count && $0 & 0xC0 == 0x80 }
    var text = String.UnicodeScalarView()
    for scalar in String(decoding: whole, as: UTF8.self).unicodeScalars {
      text.append(Self.isPrintable(scalar) ? scalar : "\u{FFFD}")
    }
    // A replacement may be longer than what it replaces.
    var byteCount = text.reduce(0) { $0 + UTF8.width($1) }
    let kept = text.drop { scalar in
      guard byteCount > Self.tailByteCount else { return false }
      byteCount -= UTF8.width(scalar)
      return true
    }
    return String(kept)
  }

  /// Adds to the line that is not complete.
  private mutating func extend(_ bytes: ArraySlice<UInt8>) {
    if isPlain { return appendToTail(bytes) }
    line += bytes
    if line.count > Self.maximumReportByteCount || !mayBeSpecial {
      isPlain = true
      appendToTail(line[...])
      line = []
    }
  }

  /// Whether the line is, or may become, the mark or a report.
  private var mayBeSpecial: Bool {
    if !isMarked, mark.starts(with: line) { return true }
    return line.prefix(Self.reportPrefix.count).elementsEqual(Self.reportPrefix.prefix(line.count))
  }

  private mutating func endLine() {
    if !isPlain, !isMarked, line == mark {
      isMarked = true
    } else if !isPlain, line.starts(with: Self.reportPrefix) {
      report(String(decoding: line, as: UTF8.self))
    } else {
      appendToTail(line[...])
      appendToTail([Self.newline])
    }
    line = []
    isPlain = false
  }

  private mutating func appendToTail(_ bytes: ArraySlice<UInt8>) {
    tail += bytes.suffix(Self.tailByteCount + 1)
    // One byte more than is told shows that there was more.
    if tail.count > 4 * Self.tailByteCount { tail = Array(tail.suffix(Self.tailByteCount + 1)) }
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control: scalar == "\n" || scalar == "\t"
    // Marks that turn the direction of what follows would change lines that are not theirs.
    case .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: false
    default: true
    }
  }
}
