// TurbiditePeer — our own store, through its public blocking verbs.
//
// Room:    Benchmarks.

import Turbidite

final class TurbiditePeer: Peer {
  /// For what only we have: the verbs for tasks.
  let store: Store
  private let durability: Durability

  init(directory: String, terms: PeerTerms) throws {
    var options = Store.Options()
    options.memoryBudgetByteCount = terms.memoryByteCount
    options.filterBitsPerKey = terms.filterBitsPerKey
    options.shardCount = terms.shardCount
    if terms.keepsLog {
      options.memoryBudgetByteCount = 2 << 30
      options.memtableByteCount = 512 << 20
    }
    store = try Store.Blocking.open(at: directory, options: options)
    durability = terms.isSynced ? .synced : .buffered
  }

  func session() throws -> any PeerSession {
    TurbiditeSession(store: store, durability: durability)
  }

  func flush() throws { try store.blocking.flush() }
  func compact() throws { try store.blocking.compact() }
  func close() throws { try store.blocking.close() }
}

private final class TurbiditeSession: PeerSession {
  private let blocking: Store.Blocking
  private let durability: Durability
  private var batch = Store.Batch()

  init(store: Store, durability: Durability) {
    blocking = store.blocking
    self.durability = durability
  }

  func put(_ key: Lent, _ value: Lent) throws {
    try blocking.put(key: key.bytes, value: value.bytes, durability: durability)
  }

  func delete(_ key: Lent) throws {
    try blocking.delete(Bytes(copying: key.bytes), durability: durability)
  }

  func batchPut(_ key: Lent, _ value: Lent) throws {
    batch.put(key: key.bytes, value: value.bytes)
  }

  func commitBatch() throws {
    try blocking.commit(&batch, durability: durability)
  }

  func get(_ key: Lent, _ body: (Lent) -> Bool) throws -> Bool? {
    try blocking.withValue(forKey: key.bytes) { $0.withUnsafeBytes(body) }
  }

  func scan(_ walk: Walk, _ body: (Lent, Lent) -> Bool) throws {
    precondition(!walk.isReversed || walk.from == nil)
    let range = KeyRange(from: walk.from.map { Bytes(copying: $0.bytes) })
    let scan = try blocking.scan(
      range, reverse: walk.isReversed, limit: walk.limit == .max ? nil : walk.limit,
      keysOnly: walk.isOfKeysOnly)
    try scan.forEach { key, value in
      key.withUnsafeBytes { key in value.withUnsafeBytes { body(key, $0) } }
    }
  }

  func end() {}
}
