// Progress — one line on the terminal that says how far a long verb is.
//
// Room:    Tools/TurbiditeCLI.
// Limits:  At most ten times a second, and only when standard error is a terminal, unless asked;
//          without a terminal a line a second.

/// Counts records and bytes, and shows them now and then.
struct Progress {
  /// When the line is shown.
  enum Wish: String, Sendable, CaseIterable {
    case auto
    case on
    case off
  }

  /// Whether anything is shown.
  let isShown: Bool
  private let isTerminal: Bool
  private let title: String
  /// What `position` will be at the end, when known.
  var total: UInt64?
  /// What is counted: one of them.
  var noun = "record"
  private let interval: Duration
  private let write: (String) -> Void
  private let now: () -> Duration
  private let began: Duration
  private var shown: Duration?

  /// - Parameters:
  ///   - total: The last position, for the percentage and the time left; nil when unknown.
  ///   - now: A clock that never goes back.
  init(
    title: String, total: UInt64?, wish: Wish, isTerminal: Bool, loudness: Loudness,
    write: @escaping (String) -> Void = Console.write,
    now: @escaping () -> Duration = Progress.clock()
  ) {
    self.title = title
    self.total = total
    self.isTerminal = isTerminal
    self.write = write
    self.now = now
    isShown =
      switch wish {
      case .on: true
      case .off: false
      case .auto: isTerminal && loudness > .quiet
      }
    interval = isTerminal ? .milliseconds(100) : .seconds(1)
    began = now()
  }

  /// The time since this was made, by the machine's monotonic clock.
  static func clock() -> () -> Duration {
    let start = ContinuousClock.now
    return { start.duration(to: .now) }
  }

  /// The time since the start.
  var elapsed: Duration { now() - began }

  /// Shows the state when it is time to.
  mutating func update(records: UInt64, bytes: UInt64, position: UInt64) {
    guard isShown else { return }
    let time = now()
    if let shown, time - shown < interval { return }
    // Nothing is shown for what ends at once.
    if shown == nil, time - began < interval { return }
    shown = time
    let line = text(records: records, bytes: bytes, position: position, elapsed: time - began)
    write(isTerminal ? "\r\u{1b}[K\(line)" : line + "\n")
  }

  /// Takes the line away.
  mutating func clear() {
    if isShown, isTerminal, shown != nil { write("\r\u{1b}[K") }
    shown = nil
  }

  /// The line: `load  [#####     ] 46 %  1,204 records  212.0 MB/s  eta 0:03`.
  func text(records: UInt64, bytes: UInt64, position: UInt64, elapsed: Duration) -> String {
    var parts = [title]
    let seconds = Numbers.seconds(elapsed)
    if let total, total > 0 {
      let share = min(1, Double(position) / Double(total))
      let filled = Int(share * 20)
      let bar = String(repeating: "#", count: filled) + String(repeating: " ", count: 20 - filled)
      parts.append("[\(bar)] \(Int(share * 100)) %")
      parts.append(Numbers.counted(records, noun))
      parts.append(Numbers.rate(bytes, over: seconds))
      if share > 0 { parts.append("eta \(Numbers.time(seconds / share - seconds))") }
    } else {
      parts.append(Numbers.counted(records, noun))
      parts.append(Numbers.byteText(bytes))
      parts.append(Numbers.rate(bytes, over: seconds))
    }
    return parts.joined(separator: "  ")
  }
}
