// Routing — which shard holds each slot now, and what the shards hold that is not theirs.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md sections 5 and 6.4.

import TurbiditeSystem

/// Where keys are, at one moment; never changes.
///
/// Replaced under the manifest gate; where slots or the move change, by the leader as well. So the
/// leader need not ask twice; a reader takes it, then the versions of trees, and begins again where
/// another stands in its place afterwards.
final class Routing: Sendable {
  /// The shard of each slot.
  let slots: [UInt16]
  /// The trees of a keyspace, those of shards without slots included.
  let treeCount: Int
  let unsettled: UnsettledShards?
  /// The slots that are about to change their shard.
  let move: ShardMove?
  /// Of each tree, whether its shard holds slots: what others hold is nobody's.
  private let holdsSlots: [Bool]

  init(slots: [UInt16], treeCount: Int, unsettled: UnsettledShards?, move: ShardMove? = nil) {
    assert(slots.count == Limits.shardCount)
    self.slots = slots
    self.treeCount = treeCount
    self.unsettled = unsettled
    self.move = move
    var holdsSlots = [Bool](repeating: false, count: treeCount)
    for shard in slots { holdsSlots[Int(shard)] = true }
    self.holdsSlots = holdsSlots
  }

  /// Whether a tree holds anything that readers see.
  func isSeen(_ tree: Tree) -> Bool {
    let shard = Int(tree.id.shard)
    return shard < holdsSlots.count && holdsSlots[shard]
  }

  /// The shards that hold slots.
  var shardCount: Int { Set(slots).count }

  /// This, if slots have moved and tables of any number may hold what is not theirs.
  var unboundUnsettled: Routing? {
    move == nil && unsettled?.below == UnsettledShards.open ? self : nil
  }

  /// Whether the trees of `shard` may hold keys of slots that it does not own.
  func isUnsettled(_ shard: UInt32) -> Bool { unsettled?.shards.contains(shard) ?? false }

  /// What a reader of a tree must leave out, if anything.
  func ownership(of tree: Tree) -> KeyOwnership? {
    guard isUnsettled(tree.id.shard), !planted(.readForeignKeys) else { return nil }
    return KeyOwnership(routing: self, shard: tree.id.shard, partitioning: tree.partitioning)
  }

  /// What a flush or compaction of a tree must leave out, if anything.
  ///
  /// While slots move to a shard, their entries are on its way to be its own.
  func retention(of tree: Tree) -> KeyOwnership? { move == nil ? ownership(of: tree) : nil }
}

/// Slots on their way to other shards.
///
/// Each commit of such a slot goes to its shard and to the one it moves to.
struct ShardMove: Sendable {
  /// The shard that a slot moves to; `stays` for others.
  let targets: [UInt16]
  static let stays = UInt16.max

  init(from old: [UInt16], to new: [UInt16]) {
    targets = zip(old, new).map { $0 == $1 ? Self.stays : $1 }
  }

  /// Where the keys with this hash move to, if they do.
  @inline(__always)
  func target(ofHash hash: UInt64) -> Int? {
    let target = targets[Int(hash >> 52)]
    return target == Self.stays ? nil : Int(target)
  }

  var targetShards: Set<Int> { Set(targets.filter { $0 != Self.stays }.map(Int.init)) }

  /// The shards that lose slots.
  func sourceShards(_ slots: [UInt16]) -> Set<Int> {
    Set(zip(slots, targets).filter { $1 != Self.stays }.map { Int($0.0) })
  }
}

/// Which keys of a tree are its shard's.
struct KeyOwnership: Sendable {
  let routing: Routing
  let shard: UInt32
  let partitioning: Partitioning

  func owns(_ key: ByteView) -> Bool {
    let hash = partitioning.shardHash(of: key, hash: key.hash())
    return UInt32(routing.slots[Int(hash >> 52)]) == shard
  }

  /// A source without the keys that are another shard's; nil means that there are none.
  static func filter(_ source: EntryCursor, _ ownership: KeyOwnership?) -> EntryCursor {
    guard let ownership else { return source }
    return FilteredCursor(source) { key, _ in ownership.owns(key) }
  }
}
