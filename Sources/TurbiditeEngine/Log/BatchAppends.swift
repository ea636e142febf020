// BatchAppends — the events in a batch that await their offsets.
//
// Room:    Engine/Log.

import Synchronization

/// Where the offsets of a batch's events belong, and, once it is committed, what they are.
///
/// Safe to share: one thread builds a batch and gives it away; from then on the places stay as they
/// are, and a lock guards the numbers, which the leader of the commit queue gives.
package final class BatchAppends: @unchecked Sendable {
  struct Place: Hashable {
    var stream: UInt32
    var partition: UInt32
    /// Where the offset's eight bytes begin in the batch's bytes.
    var position: Int
  }

  private(set) var places: [Place] = []
  /// The offsets, in the order of the places; none before the commit.
  private let offsets = Mutex<[UInt64]>([])

  func add(_ place: Place) { places.append(place) }

  /// Where each event of the batch lies; only after its commit.
  package var positions: [(partition: UInt32, offset: UInt64)] {
    let offsets = offsets.withLock { $0 }
    precondition(offsets.count == places.count, "the batch is not committed")
    return zip(places, offsets).map { ($0.partition, $1) }
  }

  func record(_ offsets: [UInt64]) {
    assert(offsets.count == places.count)
    self.offsets.withLock { $0 = offsets }
  }
}
