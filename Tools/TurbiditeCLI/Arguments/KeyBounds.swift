// KeyBounds — where a range of keys begins and ends.
//
// Room:    Tools/TurbiditeCLI.

import Turbidite

/// The keys `[from, to)`; nil is open.
struct KeyBounds: Sendable, Hashable {
  var from: [UInt8]?
  var to: [UInt8]?

  /// Whether no key can be inside.
  var isEmpty: Bool {
    guard let to else { return false }
    return !(from ?? []).lexicographicallyPrecedes(to)
  }

  /// Keeps only the keys that begin with `prefix`.
  mutating func narrow(toPrefix prefix: [UInt8]) {
    if (from ?? []).lexicographicallyPrecedes(prefix) { from = prefix }
    guard let after = KeyBounds.successor(ofPrefix: prefix) else { return }
    if to.map({ after.lexicographicallyPrecedes($0) }) ?? true { to = after }
  }

  /// The first key after all that begin with `prefix`; nil when there is none (all bytes 0xff).
  static func successor(ofPrefix prefix: [UInt8]) -> [UInt8]? {
    var bytes = prefix
    while let last = bytes.popLast() {
      if last < 0xff { return bytes + [last + 1] }
    }
    return nil
  }

  /// The range for the library.
  ///
  /// - Precondition: not empty.
  var range: KeyRange {
    precondition(!isEmpty)
    return KeyRange(from: from.map { Bytes($0) }, to: to.map { Bytes($0) })
  }
}
