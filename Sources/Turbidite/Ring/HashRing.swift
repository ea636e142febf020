// HashRing — which shard holds which of the 4096 slots.
//
// Room:    Turbidite/Ring.
// Format:  FORMAT.md section 5.
// Source:  Consistent hashing: Karger et al., STOC 1997. Fixed slots with an explicit owner,
//          instead of random tokens, as in Dynamo's "strategy 3" (DeCandia et al., SOSP 2007,
//          section 6.2).

/// An assignment of slots to shards that changes little when shards come or go.
///
/// Every shard holds the same number of slots, give or take one, until slots are balanced by what
/// they hold; a new shard takes its share from the others evenly, and nothing else moves. A shard
/// that was removed keeps its number and holds none, until the next one that is added takes it.
struct HashRing: Hashable, Sendable {
  static let slotCount = 4096

  /// The shard of each slot.
  private(set) var shards: [UInt16]
  /// The numbers that shards have, those of removed ones included.
  private(set) var numberCount: Int

  /// A ring of `shardCount` shards, 1 to 4096; the same count always gives the same ring.
  init(shardCount: Int) {
    precondition(shardCount >= 1)
    precondition(shardCount <= HashRing.slotCount)
    shards = [UInt16](repeating: 0, count: HashRing.slotCount)
    numberCount = 1
    while numberCount < shardCount { addShard() }
  }

  init(shards: [UInt16], numberCount: Int) {
    precondition(shards.count == HashRing.slotCount)
    self.shards = shards
    self.numberCount = numberCount
  }

  /// The slots that each number holds.
  var slotCounts: [Int] {
    var counts = [Int](repeating: 0, count: numberCount)
    for shard in shards { counts[Int(shard)] += 1 }
    return counts
  }

  /// The shards that hold slots.
  var shardCount: Int { slotCounts.count { $0 > 0 } }

  /// Adds a shard: with the smallest number that holds nothing, or else the next.
  mutating func addShard() {
    let counts = slotCounts
    let newcomer = counts.firstIndex(of: 0) ?? numberCount
    numberCount = max(numberCount, newcomer + 1)
    var slots = [[Int]](repeating: [], count: numberCount)
    for (slot, shard) in shards.enumerated() { slots[Int(shard)].append(slot) }
    for _ in 0..<(HashRing.slotCount / (shardCount + 1)) {
      // From the shard with the most; of several, from the first. Its last slot goes.
      var richest = 0
      for shard in slots.indices where shard != newcomer {
        if slots[shard].count > slots[richest].count || richest == newcomer { richest = shard }
      }
      guard let slot = slots[richest].popLast() else { break }
      shards[slot] = UInt16(newcomer)
    }
  }

  /// Gives the slots of a shard to the others, each to the one with the fewest; of several, to the
  /// first.
  ///
  /// Precondition: another shard holds slots.
  mutating func removeShard(_ leaver: Int) {
    var counts = slotCounts
    precondition(counts.indices.contains { $0 != leaver && counts[$0] > 0 })
    for slot in shards.indices where Int(shards[slot]) == leaver {
      var poorest: Int?
      for shard in counts.indices where shard != leaver && counts[shard] > 0 {
        if poorest.map({ counts[shard] < counts[$0] }) ?? true { poorest = shard }
      }
      guard let poorest else { break }
      counts[poorest] += 1
      shards[slot] = UInt16(poorest)
    }
  }

  /// Moves slots from the shard that holds the most to the one that holds the least, until moving
  /// another would not bring the two closer, or they are within a twentieth of the mean.
  ///
  /// Each time the slot goes that comes closest to half of what lies between them.
  ///
  /// - Parameter weights: what each slot holds.
  mutating func balance(_ weights: [UInt64]) {
    precondition(weights.count == HashRing.slotCount)
    let members = slotCounts.indices.filter { slotCounts[$0] > 0 }
    var loads = [UInt64](repeating: 0, count: numberCount)
    for (slot, shard) in shards.enumerated() { loads[Int(shard)] += weights[slot] }
    let mean = loads.reduce(0, +) / UInt64(members.count)
    while true {
      guard let richest = members.max(by: { (loads[$0], $1) < (loads[$1], $0) }),
        let poorest = members.min(by: { (loads[$0], $0) < (loads[$1], $1) })
      else { return }
      let between = loads[richest] - loads[poorest]
      guard between > mean / 20 else { return }
      var best: (slot: Int, distance: UInt64)?
      for slot in shards.indices where Int(shards[slot]) == richest && weights[slot] > 0 {
        let weight = weights[slot]
        guard weight < between else { continue }
        let distance = weight > between / 2 ? weight - between / 2 : between / 2 - weight
        if best.map({ distance < $0.distance }) ?? true { best = (slot, distance) }
      }
      guard let best else { return }
      shards[best.slot] = UInt16(poorest)
      loads[richest] -= weights[best.slot]
      loads[poorest] += weights[best.slot]
    }
  }
}
