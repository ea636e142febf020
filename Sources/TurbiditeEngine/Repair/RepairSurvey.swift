// RepairSurvey — what a repair knows of a store before it writes anything.
//
// Room:    Engine/Repair.

/// What is known of the store before anything is written.
struct RepairSurvey {
  var store: StoreID?
  /// Nil when the manifest could not be read whole.
  var state: ManifestState?
  /// The manifest ends in a record that is not whole.
  var isTorn = false
  var slots: SlotLayout?
  /// By the newest manifest that can be read; without one of the tables and the log as well.
  var keyspaces: [UInt32: KeyspaceDescription] = [0: .default]
  /// No keyspace from this number on was made before that manifest; nil when none can be read.
  var nextKeyspaceID: UInt32?
  /// The tables of each tree, newest layer first.
  var tables: [TreeID: [SalvagedTable]] = [:]
  /// Those that the log lost.
  var sequences = SequenceSet()
  /// What tables say of each other, should no manifest say it.
  var replacements = ReplacementSurvey()
  /// Trees of whose tables something is lost.
  var damagedTrees: Set<TreeID> = []
  /// Tables of which nothing tells the keyspace.
  var opaqueTables: [TableFile] = []
  /// The shards of those that may have counted.
  var opaqueShards: Set<UInt32> = []

  func isDropped(_ keyspace: UInt32) -> Bool {
    keyspaces[keyspace] == nil && keyspace < nextKeyspaceID ?? 0
  }

  /// Takes all shards for one.
  mutating func joinShards() {
    slots = SlotLayout(
      hashFunction: 1, shardCount: 1, shards: Array(repeating: 0, count: Limits.shardCount))
    var joined: [TreeID: [SalvagedTable]] = [:]
    for (tree, tables) in tables.sorted(by: { $0.key < $1.key }) {
      joined[TreeID(keyspace: tree.keyspace, shard: 0), default: []] += tables
    }
    tables = joined
    damagedTrees = Set(damagedTrees.map { TreeID(keyspace: $0.keyspace, shard: 0) })
    if !opaqueShards.isEmpty { opaqueShards = [0] }
  }
}
