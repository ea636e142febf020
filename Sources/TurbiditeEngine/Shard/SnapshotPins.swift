// SnapshotPins — the sequence numbers that readers hold.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// A multiset of pinned sequence numbers, and the moment at which one is drawn.
///
/// A pin is taken under the same lock under which a flush or compaction asks for all pins. Whoever
/// asks first is right: versions that were invisible to everyone when the compaction asked stay
/// invisible to a reader who pins the newer present afterwards.
final class SnapshotPins: Sendable {
  private let pins = Mutex<[UInt64]>([])

  /// Pins what `current` returns.
  func pin(_ current: () -> UInt64) -> UInt64 {
    pins.withLock { pins in
      let sequence = current()
      // Later pins are at least as new, nearly always.
      var index = pins.count
      while index > 0, pins[index - 1] > sequence { index -= 1 }
      pins.insert(sequence, at: index)
      return sequence
    }
  }

  func unpin(_ sequence: UInt64) {
    pins.withLock { pins in
      guard let index = pins.firstIndex(of: sequence) else {
        preconditionFailure("a snapshot was released twice")
      }
      pins.remove(at: index)
    }
  }

  /// The distinct pinned numbers, ascending.
  var all: [UInt64] {
    pins.withLock { pins in
      var distinct: [UInt64] = []
      for pin in pins where pin != distinct.last { distinct.append(pin) }
      return distinct
    }
  }

  var oldest: UInt64? { pins.withLock { $0.first } }
}
