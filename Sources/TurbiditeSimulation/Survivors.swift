// Survivors — which of the changes that were not synced reached the disk before a crash.
//
// Room:    Simulation.

/// The changes that survive a crash: of names, of contents, and of the last write a part.
public struct Survivors: Sendable, Hashable, CustomStringConvertible {
  /// A choice among changes, each named by its moment.
  public enum Choice: Sendable, Hashable {
    case none
    case all
    /// Those up to and with this moment.
    case through(Int)
    /// All but one.
    case allBut(Int)
    case only(Int)
    case these(Set<Int>)
    /// Each with even odds, drawn from a seed.
    case drawn(UInt64)

    func keeps(_ order: Int) -> Bool {
      switch self {
      case .none: false
      case .all: true
      case .through(let last): order <= last
      case .allBut(let lost): order != lost
      case .only(let kept): order == kept
      case .these(let kept): kept.contains(order)
      case .drawn(let seed): coin(seed, order, 0)
      }
    }
  }

  /// What of a write of several sectors arrived.
  public enum Tear: Sendable, Hashable {
    /// The sectors before this one of the write of this moment, and the others not.
    case before(sector: Int, of: Int)
    /// This sector and those after it.
    case from(sector: Int, of: Int)
    /// Each sector of each write with even odds, drawn from a seed.
    case drawn(UInt64)
  }

  /// The changes of names: what was created, renamed or removed.
  public var names: Choice
  /// The writes and the changes of size.
  public var content: Choice
  /// What becomes of writes of several sectors; nil when they survive whole.
  public var tear: Tear?
  /// Whether space that a file grew by, and that no data reached, shows old bytes of the disk
  /// instead of zeros.
  public var showsStaleBytes = false

  /// A choice for names and one for contents.
  public init(names: Choice, content: Choice, tear: Tear? = nil, showsStaleBytes: Bool = false) {
    self.names = names
    self.content = content
    self.tear = tear
    self.showsStaleBytes = showsStaleBytes
  }

  /// Names and contents alike.
  public init(_ choice: Choice) { self.init(names: choice, content: choice) }

  static let everything = Survivors(.all)

  /// Whether a sector of a surviving write survives, counted from the write's first.
  func keeps(sector: Int, _ order: Int) -> Bool {
    switch tear {
    case nil: true
    case .before(let first, let torn): order != torn || sector < first
    case .from(let first, let torn): order != torn || sector >= first
    case .drawn(let seed): coin(seed, order, sector + 1)
    }
  }

  /// The choices in words.
  public var description: String {
    "names \(names), content \(content)"
      + (tear.map { ", torn \($0)" } ?? "") + (showsStaleBytes ? ", stale bytes" : "")
  }
}

/// The same answer for the same question, at even odds.
private func coin(_ seed: UInt64, _ order: Int, _ part: Int) -> Bool {
  SplitMix64.mixed(seed ^ SplitMix64.mixed(UInt64(order) << 20 ^ UInt64(part))) & 1 == 0
}
