// RangeLocks — locks of byte ranges, as the system keeps them for open files.
//
// Room:    Simulation.
// Source:  fcntl(2), "Open file description locks".

import TurbiditeSystem

/// The locks on one file.
///
/// Invariant: two locks of one owner do not overlap; two of different owners overlap only if both
/// are shared.
struct RangeLocks: Sendable {
  private struct Lock {
    var owner: Int
    var start: UInt64
    var end: UInt64
    var kind: LockKind

    func overlaps(_ from: UInt64, _ to: UInt64) -> Bool { start < to && from < end }
  }

  private var locks: [Lock] = []

  /// Takes `[start, end)` for `owner`, instead of what it held there; false when others are in
  /// the way.
  mutating func tryLock(_ kind: LockKind, owner: Int, from start: UInt64, to end: UInt64) -> Bool {
    let isFree = locks.allSatisfy {
      $0.owner == owner || !$0.overlaps(start, end) || ($0.kind == .shared && kind == .shared)
    }
    guard isFree else { return false }
    unlock(owner: owner, from: start, to: end)
    locks.append(Lock(owner: owner, start: start, end: end, kind: kind))
    return true
  }

  /// Gives back what `owner` holds of `[start, end)`; a lock around it is split.
  mutating func unlock(owner: Int, from start: UInt64, to end: UInt64) {
    var kept: [Lock] = []
    for lock in locks {
      guard lock.owner == owner, lock.overlaps(start, end) else {
        kept.append(lock)
        continue
      }
      var part = lock
      if lock.start < start {
        part.end = start
        kept.append(part)
      }
      if lock.end > end {
        part = lock
        part.start = end
        kept.append(part)
      }
    }
    locks = kept
  }

  mutating func unlockAll(owner: Int) { locks.removeAll { $0.owner == owner } }

  /// Whether anyone but `owner` holds a part of `[start, end)`.
  func isLocked(byOthersThan owner: Int, from start: UInt64, to end: UInt64) -> Bool {
    locks.contains { $0.owner != owner && $0.overlaps(start, end) }
  }
}
