// HashRing — which shard holds which of the 4096 slots.
//
// Room:    Turbidite/Ring.
// Format:  FORMAT.md section 5.
// Source:  Consistent hashing: Karger et al., STOC 1997. Fixed slots with an explicit owner,
//          instead of random tokens, as in Dynamo's "strategy 3" (DeCandia et al., SOSP 2007,
//          section 6.2).

/// An assignment of slots to shards that changes little when shards come or go.
///
/// Every shard holds the same number of slots, give or take one; a new shard takes its share from
/// the others evenly, and nothing else moves.
struct HashRing: Hashable, Sendable {
  static let slotCount = 4096

  /// The shard of each slot.
  private(set) var shards: [UInt16]
  private(set) var shardCount: Int

  /// A ring of `shardCount` shards, 1 to 4096; the same count always gives the same ring.
  init(shardCount: Int) {
    precondition(shardCount >= 1)
    precondition(shardCount <= HashRing.slotCount)
    shards = [UInt16](repeating: 0, count: HashRing.slotCount)
    self.shardCount = 1
    while self.shardCount < shardCount { addShard() }
  }

  /// Adds a shard with the next number.
  mutating func addShard() {
    let newcomer = UInt16(shardCount)
    var slots = [[Int]](repeating: [], count: shardCount)
    for (slot, shard) in shards.enumerated() { slots[Int(shard)].append(slot) }
    shardCount += 1
    for _ in 0..<(HashRing.slotCount / shardCount) {
      // From the shard with the most; of several, from the first. Its last slot goes.
      var richest = 0
      for shard in slots.indices where slots[shard].count > slots[richest].count {
        richest = shard
      }
      guard let slot = slots[richest].popLast() else { break }
      shards[slot] = newcomer
    }
  }
}
