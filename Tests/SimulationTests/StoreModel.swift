// StoreModel — what a store must hold after a crash: the contents after some commit.

import Turbidite

/// The history of a store as its client saw it.
///
/// Commits are in one order, the changes of keyspaces in another: a crash keeps a prefix of each.
struct StoreModel: Sendable {
  typealias Contents = [String: [Bytes: Bytes]]

  /// The contents after each commit that was tried; the first are those of an empty store.
  private(set) var states: [Contents] = [["": [:]]]
  /// The keyspaces after each change of them that was tried.
  private(set) var keyspaces: [Set<String>] = [[""]]
  /// The first state that a kill may leave: the last commit that was acknowledged.
  private(set) var acknowledged = 0
  /// The first state that a power loss may leave: the last commit that was known to be durable.
  private(set) var durable = 0
  private(set) var acknowledgedKeyspaces = 0

  /// The store's first opening returned: from then on there is a store whatever happens.
  var wasCreated = false

  var last: Contents { states[states.count - 1] }

  /// A commit is tried: `change` makes the next contents.
  mutating func begin(_ change: (inout Contents) -> Void) {
    var next = last
    change(&next)
    states.append(next)
  }

  /// The last commit returned.
  mutating func acknowledge(synced: Bool) {
    acknowledged = states.count - 1
    if synced { durable = acknowledged }
  }

  /// A call returned after which everything acknowledged is durable.
  mutating func everythingIsDurable() { durable = acknowledged }

  /// A commit failed, and is certainly not there.
  mutating func retract() { states.removeLast() }

  mutating func beginKeyspaces(_ change: (inout Set<String>) -> Void) {
    var next = keyspaces[keyspaces.count - 1]
    change(&next)
    keyspaces.append(next)
  }

  mutating func acknowledgeKeyspaces() { acknowledgedKeyspaces = keyspaces.count - 1 }

  /// From now on only what was found counts: the client read it after a recovery.
  mutating func settle(on found: Contents) {
    states = [found]
    keyspaces = [Set(found.keys)]
    acknowledged = 0
    durable = 0
    acknowledgedKeyspaces = 0
  }

  /// What is wrong with the contents found after a crash; nil when nothing is.
  func objection(to found: Contents, powerFailed: Bool) -> String? {
    let names = Set(found.keys)
    guard keyspaces[acknowledgedKeyspaces...].contains(names) else {
      return "the keyspaces \(names.sorted()) were never these"
    }
    let floor = powerFailed ? durable : acknowledged
    // Newest first: that is what is found most often.
    for state in states[floor...].reversed() where matches(state, found) { return nil }
    if let earlier = states[..<floor].lastIndex(where: { matches($0, found) }) {
      return "commit \(earlier) is found, but \(floor) of \(states.count - 1) was promised"
    }
    let nearest = states[states.count - 1]
    return "no commit from \(floor) to \(states.count - 1) left these contents; beside the last:"
      + " \(Self.difference(nearest, found))"
  }

  /// What is wrong with the contents of an open store: they are those after the last commit that
  /// was acknowledged.
  func objection(toVisible found: Contents) -> String? {
    guard keyspaces[acknowledgedKeyspaces...].contains(Set(found.keys)) else {
      return "the keyspaces are \(found.keys.sorted())"
    }
    let state = states[acknowledged]
    return matches(state, found) ? nil : Self.difference(state, found)
  }

  private func matches(_ state: Contents, _ found: Contents) -> Bool {
    found.allSatisfy { name, entries in (state[name] ?? [:]) == entries }
  }

  private static func difference(_ expected: Contents, _ found: Contents) -> String {
    var lines: [String] = []
    for (name, entries) in found.sorted(by: { $0.key < $1.key }) {
      let wanted = expected[name] ?? [:]
      for key in Set(entries.keys).union(wanted.keys).sorted() where entries[key] != wanted[key] {
        let found = entries[key].map { "\($0.count) bytes" } ?? "absent"
        let want = wanted[key].map { "\($0.count) bytes" } ?? "absent"
        lines.append("\(name)/\(key) is \(found), not \(want)")
      }
    }
    return lines.prefix(4).joined(separator: "; ")
  }
}
