// HashRingTests — slots move as little as they must, and are as even as they can be.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

/// Shards come and go, and the ring stays even.
@Suite("Hash ring")
struct HashRingTests {
  @Test("a shard that comes takes its share evenly, and nothing else moves")
  func adding() {
    for count in [1, 2, 3, 7, 8, 63, 64, 1000, 4095] {
      let old = HashRing(shardCount: count)
      var new = old
      new.addShard()
      let moved = zip(old.shards, new.shards).filter { $0 != $1 }
      #expect(moved.count <= (4096 + count) / (count + 1))
      #expect(moved.allSatisfy { Int($0.1) == count })
      #expect(new.slotCounts.max().map { $0 - (new.slotCounts.min() ?? 0) } ?? 0 <= 1)
      #expect(new.shardCount == count + 1)
    }
  }

  @Test("shards come and go in any order: even, no slot is lost, and numbers are used again")
  func comingAndGoing() {
    let random = SeededRandom(seed: 5)
    var ring = HashRing(shardCount: 3)
    for _ in 0..<400 {
      let old = ring
      let members = ring.slotCounts.indices.filter { ring.slotCounts[$0] > 0 }
      if members.count > 1 && random.next() % 2 == 0 {
        let leaver = members[Int(random.next() % UInt64(members.count))]
        ring.removeShard(leaver)
        #expect(ring.slotCounts[leaver] == 0)
        let moved = zip(old.shards, ring.shards).filter { $0 != $1 }
        #expect(moved.count == old.slotCounts[leaver])
      } else {
        ring.addShard()
      }
      let counts = ring.slotCounts.filter { $0 > 0 }
      #expect(counts.reduce(0, +) == 4096)
      #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 2)
    }
    #expect(ring.numberCount < 64)
  }

  @Test("balancing evens out what slots hold, as far as whole slots can")
  func balancing() {
    let random = SeededRandom(seed: 9)
    for round in 0..<20 {
      var ring = HashRing(shardCount: 2 + round % 7)
      var weights = [UInt64](repeating: 0, count: 4096)
      for _ in 0..<(1 << (round % 12)) {
        weights[Int(random.next() % 4096)] += random.next() % 1000
      }
      func spread() -> UInt64 {
        var loads = [UInt64](repeating: 0, count: ring.numberCount)
        for (slot, shard) in ring.shards.enumerated() { loads[Int(shard)] += weights[slot] }
        return (loads.max() ?? 0) - (loads.min() ?? 0)
      }
      let before = spread()
      ring.balance(weights)
      let mean = weights.reduce(0, +) / UInt64(ring.numberCount)
      #expect(spread() <= max(mean / 20, min(before, weights.max() ?? 0)))
      let balanced = ring
      ring.balance(weights)
      #expect(ring == balanced)
    }
  }
}
