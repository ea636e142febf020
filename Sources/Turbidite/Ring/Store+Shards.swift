// Store+Shards — shards that come and go while the store is used.
//
// Room:    Turbidite/Ring.
// Format:  FORMAT.md section 6.4.

package import TurbiditeEngine

/// A change of which shard holds what.
public enum ShardChange: Sendable, Hashable {
  /// One shard more: it takes an even share of the slots from the others, and none moves between
  /// those.
  case add
  /// The shard with this number gives its slots to the others.
  case remove(Int)
  /// Slots move from the shards that hold the most bytes to those that hold the least.
  case rebalance
}

/// What a change moves, or has moved.
public struct ShardPlan: Sendable, Hashable {
  /// One shard.
  public struct Share: Sendable, Hashable {
    /// The shard's number.
    public var shard: Int
    /// How many of the 4,096 slots it holds before the change.
    public var slotsBefore: Int
    /// How many it holds afterwards.
    public var slotsAfter: Int
  }

  /// Every shard that holds slots before or after the change.
  public var shares: [Share]
  /// Slots that have another shard afterwards.
  public var movedSlotCount: Int

  init(from old: HashRing, to new: HashRing) {
    let (before, after) = (old.slotCounts, new.slotCounts)
    shares = after.indices.compactMap { shard in
      let share = Share(
        shard: shard, slotsBefore: shard < before.count ? before[shard] : 0,
        slotsAfter: after[shard])
      return share.slotsBefore + share.slotsAfter > 0 ? share : nil
    }
    movedSlotCount = zip(old.shards, new.shards).count { $0 != $1 }
  }
}

extension Store.Blocking {
  /// What `change` would move.
  ///
  /// - Throws: as ``reshard(_:)`` does for a change that cannot be.
  public func plan(_ change: ShardChange) throws(StoreError) -> ShardPlan {
    let old = HashRing(store.engine.layout)
    return ShardPlan(from: old, to: try ring(after: change, old))
  }

  /// Moves slots between shards, durably, beside readers, writers and tails.
  ///
  /// Returns when the slots are their new shards'. The keys that move are written once, and for
  /// each shard that gains slots all of those that lose some are read; commits of keys that move go
  /// to both shards meanwhile. Commits wait while the change is begun and ended. The room that the
  /// old shards need for what moved is free when compactions have come by, and the next change
  /// waits for that; ``compact()`` does so, too.
  ///
  /// After a crash at any moment the slots are where they were, or where they were to go.
  ///
  /// - Returns: what has moved.
  /// - Throws: `notFound` when the shard is not there, `invalidArgument` for the only one or for
  ///   more than 4,096, `corrupt` when what is to move is damaged, `outOfSpace`. Nothing has moved
  ///   then, unless the error says that durability was lost.
  @discardableResult
  public func reshard(_ change: ShardChange) throws(StoreError) -> ShardPlan {
    try reshard(change, between: { _ in })
  }

  /// - Parameter between: called after each stage.
  @discardableResult
  package func reshard(
    _ change: ShardChange, between: (ReshardingStage) throws(StoreError) -> Void
  ) throws(StoreError) -> ShardPlan {
    var plan: ShardPlan?
    if case .rebalance = change { try store.engine.flush() }
    try store.engine.reshard(
      { layout throws(StoreError) in
        let old = HashRing(layout)
        let new = try ring(after: change, old)
        plan = ShardPlan(from: old, to: new)
        return ShardLayout(shards: new.shards, shardCount: new.numberCount)
      }, between: between)
    guard let plan else { throw .closed }
    return plan
  }

  /// Has what moved to other shards compacted out of those that held it; returns when it is gone.
  ///
  /// This goes on in the background by itself; a change of shards waits for the one before.
  ///
  /// - Throws: `corrupt` where a damaged table is not compacted.
  public func settle() throws(StoreError) { try store.engine.settle() }

  private func ring(after change: ShardChange, _ old: HashRing) throws(StoreError) -> HashRing {
    var ring = old
    switch change {
    case .add:
      guard ring.shardCount < HashRing.slotCount else {
        throw .invalidArgument("a store has at most \(HashRing.slotCount) shards")
      }
      ring.addShard()
    case .remove(let shard):
      let counts = ring.slotCounts
      guard counts.indices.contains(shard), counts[shard] > 0 else {
        throw .notFound("shard \(shard)")
      }
      guard ring.shardCount > 1 else {
        throw .invalidArgument("shard \(shard) is the only one")
      }
      ring.removeShard(shard)
    case .rebalance: ring.balance(try store.engine.slotByteCounts())
    }
    return ring
  }
}

extension Store {
  /// What `change` would move; see ``Blocking/plan(_:)``.
  public func plan(_ change: ShardChange) async throws(StoreError) -> ShardPlan {
    try await run { blocking throws(StoreError) in try blocking.plan(change) }
  }

  /// Moves slots between shards while the store is used; see ``Blocking/reshard(_:)``.
  @discardableResult
  public func reshard(_ change: ShardChange) async throws(StoreError) -> ShardPlan {
    try await run { blocking throws(StoreError) in try blocking.reshard(change) }
  }

  /// Waits until old shards hold nothing of what moved; see ``Blocking/settle()``.
  public func settle() async throws(StoreError) {
    try await run { blocking throws(StoreError) in try blocking.settle() }
  }
}

extension HashRing {
  fileprivate init(_ layout: ShardLayout) {
    self.init(shards: layout.shards, numberCount: layout.shardCount)
  }
}
