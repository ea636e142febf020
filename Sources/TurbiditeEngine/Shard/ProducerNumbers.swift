// ProducerNumbers — how far producers have come, so that a repeated append is stored once.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 5.2.
// Source:  Sequence numbers of a producer, kept in the log: Kafka's idempotent producer (KIP-98).
//          There they number batches of one partition; here a producer's events in a stream.

import Synchronization

/// The next number of each producer that appended lately; the leader's.
///
/// Invariant: what `next` holds of a producer is what the store holds of it.
struct ProducerNumbers {
  private var next: [ProducerID: UInt64] = [:]

  /// Those that are not remembered are looked up.
  private static let largestCount = 4096

  /// Whether the events of a batch are new; not, where all of them are in the store.
  ///
  /// - Throws: `outOfSequence` where they begin elsewhere than at the producer's next number.
  mutating func admit(_ claim: ProducerClaim, _ engine: Engine) throws(StoreError) -> Bool {
    // What forgets the producer, or goes where a dropped stream went.
    guard !claim.events.isEmpty, let next = try number(of: claim.producer, engine) else {
      return true
    }
    if claim.events.upperBound <= next { return false }
    guard claim.events.lowerBound == next else {
      throw .outOfSequence(
        producer: String(decoding: claim.producer.name, as: UTF8.self),
        number: claim.events.lowerBound, expected: next)
    }
    return true
  }

  private mutating func number(
    of producer: ProducerID, _ engine: Engine
  ) throws(StoreError) -> UInt64? {
    if let known = next[producer] { return known }
    guard let stream = engine.keyspaces.withLock({ $0[producer.stream] }) else { return nil }
    let found = try engine.nextNumber(of: producer, in: stream, at: nil)
    remember(producer, found)
    return found
  }

  /// Says that a batch which was admitted is in the log.
  ///
  /// A producer that is not remembered may be of a stream that was dropped meanwhile.
  mutating func accept(_ claim: ProducerClaim) {
    if next[claim.producer] != nil { next[claim.producer] = claim.events.upperBound }
  }

  private mutating func remember(_ producer: ProducerID, _ number: UInt64) {
    if next.count >= Self.largestCount && next[producer] == nil { next.removeAll() }
    next[producer] = number
  }

  /// Forgets a stream that is dropped.
  mutating func forget(_ stream: UInt32) {
    next = next.filter { $0.key.stream != stream }
  }
}

extension Engine {
  /// The number that a producer's next event has: how many of its events were stored.
  ///
  /// - Parameter sequence: the moment; nil means now.
  package func nextNumber(
    of producer: ProducerID, in stream: KeyspaceState, at sequence: UInt64?
  ) throws(StoreError) -> UInt64 {
    let key = StreamKey.producer(producer.name)
    var number: UInt64? = 0
    _ = try read(key.span.rawBytes, in: stream, at: sequence, mode: .blocking) { value in
      number = value.withView { $0.count == 8 ? $0.load(0, as: UInt64.self) : nil }
    }
    guard let number else { throw .poisoned("what is kept of a producer is no number") }
    return number
  }
}
