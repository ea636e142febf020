// Console — what goes to standard error: notes, errors, progress; and whether colours are wanted.
//
// Room:    Tools/TurbiditeCLI.
// Source:  NO_COLOR (no-color.org, 2017): a non-empty value turns colour off.

/// How much the command says beside its data.
enum Loudness: Int, Sendable, Comparable {
  case quiet
  case normal
  case verbose

  static func < (one: Loudness, other: Loudness) -> Bool { one.rawValue < other.rawValue }
}

/// Always, never, or as the terminal and the environment suggest.
enum Choice: String, Sendable, CaseIterable {
  case auto
  case always
  case never
}

/// Colours for one descriptor.
struct Style: Sendable, Hashable {
  /// Whether escape sequences are written at all.
  var isColoured: Bool

  /// `--color always` wins over everything; then NO_COLOR, a dumb terminal and no terminal say no.
  init(choice: Choice, isTerminal: Bool, environment: (String) -> String? = environmentValue) {
    isColoured =
      switch choice {
      case .always: true
      case .never: false
      case .auto:
        isTerminal && (environment("NO_COLOR") ?? "").isEmpty && environment("TERM") != "dumb"
      }
  }

  /// A heading.
  func strong(_ text: String) -> String { wrap(text, "1") }
  /// A failure.
  func alarming(_ text: String) -> String { wrap(text, "1;31") }
  /// What can be passed over.
  func faint(_ text: String) -> String { wrap(text, "2") }

  private func wrap(_ text: String, _ code: String) -> String {
    isColoured ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text
  }
}

/// Writes to standard error.
///
/// A failure to write there has nowhere to be told, and is ignored.
struct Console: Sendable {
  /// How much is said.
  var loudness: Loudness
  /// The colours.
  var style: Style

  /// Says a line unless quiet.
  func note(_ line: String) {
    if loudness > .quiet { emit(line) }
  }

  /// Says a line when verbose.
  func detail(_ line: String) {
    if loudness >= .verbose { emit(style.faint(line)) }
  }

  /// Says a line in any case.
  func emit(_ line: String) {
    Console.write(line + "\n")
  }

  /// Writes text to standard error as it is.
  static func write(_ text: String) {
    do throws(DescriptorFailure) {
      try Descriptor.error.write(Array(text.utf8))
    } catch {
      // Nobody is there to be told; the exit status still says what happened.
    }
  }
}
