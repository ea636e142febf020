// BatchAppends — the events in a batch that await their offsets.
//
// Room:    Engine/Log.

import Synchronization

/// Who appends to a stream and numbers what it appends.
package struct ProducerID: Hashable, Sendable {
  var stream: UInt32
  var name: [UInt8]

  package init(stream: UInt32, name: [UInt8]) {
    self.stream = stream
    self.name = name
  }
}

/// Which of a producer's events a batch holds, by the producer's own numbers.
struct ProducerClaim: Sendable {
  var producer: ProducerID
  /// Empty where the batch makes the store forget the producer.
  var events: Range<UInt64>
  /// Where the eight bytes of the producer's next number begin in the batch's bytes.
  var position: Int
}

/// What becomes of a batch's events when it is committed.
///
/// Safe to share: one thread builds a batch and gives it away; from then on the claim stays as it
/// is, and a lock guards the outcome, which the leader of the commit queue gives.
package final class BatchAppends: @unchecked Sendable {
  struct Place: Hashable {
    var stream: UInt32
    var partition: UInt32
    /// Where the offset's eight bytes begin in the batch's bytes.
    var position: Int
    /// How far behind that the eight bytes of the timestamp begin; 0 where it was given.
    var timestampDistance: UInt8
    /// Whether who commits is told; not of what records a change.
    var isReported: Bool
  }

  private enum Outcome {
    case pending
    /// The offsets, in the order of the places.
    case stored([UInt64])
    /// The producer's events were there already.
    case repeated
  }

  /// Nil where no producer numbers the events.
  private(set) var claim: ProducerClaim?
  private let outcome = Mutex(Outcome.pending)

  func setClaim(_ claim: ProducerClaim) { self.claim = claim }

  /// Where the events at `places` lie, none where all were stored before; only after their commit.
  func positions(of places: [Place]) -> [(partition: UInt32, offset: UInt64)] {
    switch outcome.withLock({ $0 }) {
    case .pending: preconditionFailure("the batch is not committed")
    case .repeated: return []
    case .stored(let offsets):
      var positions: [(partition: UInt32, offset: UInt64)] = []
      positions.reserveCapacity(places.count)
      for (place, offset) in zip(places, offsets) where place.isReported {
        positions.append((place.partition, offset))
      }
      return positions
    }
  }

  func record(_ offsets: [UInt64]) {
    outcome.withLock { $0 = .stored(offsets) }
  }

  func recordRepeat() { outcome.withLock { $0 = .repeated } }
}
