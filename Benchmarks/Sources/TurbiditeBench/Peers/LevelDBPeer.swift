// LevelDBPeer — LevelDB through its C interface.
//
// Room:    Benchmarks.

#if PEER_LEVELDB
import CLevelDB

/// Safe to share: LevelDB's handle may be used by any thread.
final class LevelDBPeer: Peer, @unchecked Sendable {
  private let database: OpaquePointer
  private let cache: OpaquePointer?
  private let filter: OpaquePointer?
  private let isSynced: Bool

  init(directory: String, terms: PeerTerms) throws {
    isSynced = terms.isSynced
    let options = leveldb_options_create()
    defer { leveldb_options_destroy(options) }
    leveldb_options_set_create_if_missing(options, 1)
    leveldb_options_set_compression(options, Int32(leveldb_snappy_compression))
    // Two memtables of a quarter each, and the rest for the cache.
    let memtable = terms.keepsLog ? 512 << 20 : terms.memoryByteCount / 4
    leveldb_options_set_write_buffer_size(options, memtable)
    cache = leveldb_cache_create_lru(terms.memoryByteCount / 2)
    leveldb_options_set_cache(options, cache)
    filter = leveldb_filterpolicy_create_bloom(Int32(terms.filterBitsPerKey))
    leveldb_options_set_filter_policy(options, filter)
    var failure: UnsafeMutablePointer<CChar>?
    guard let database = leveldb_open(options, directory, &failure) else {
      throw stop("open", failure)
    }
    self.database = database
  }

  func session() throws -> any PeerSession { LevelDBSession(database, isSynced: isSynced) }

  /// LevelDB has no call for it: a compaction of an empty range flushes the memtable.
  func flush() throws {
    let key: [CChar] = [0]
    leveldb_compact_range(database, key, 1, key, 1)
  }

  func compact() throws { leveldb_compact_range(database, nil, 0, nil, 0) }

  func close() throws {
    leveldb_close(database)
    leveldb_cache_destroy(cache)
    leveldb_filterpolicy_destroy(filter)
  }
}

private func stop(_ verb: String, _ failure: UnsafeMutablePointer<CChar>?) -> Stop {
  defer { leveldb_free(failure) }
  return Stop("LevelDB: \(verb): \(failure.map { String(cString: $0) } ?? "no reason given")")
}

private final class LevelDBSession: PeerSession {
  private let database: OpaquePointer
  private let writeOptions = leveldb_writeoptions_create()
  private let readOptions = leveldb_readoptions_create()
  private let batch = leveldb_writebatch_create()
  private var failure: UnsafeMutablePointer<CChar>?

  init(_ database: OpaquePointer, isSynced: Bool) {
    self.database = database
    leveldb_writeoptions_set_sync(writeOptions, isSynced ? 1 : 0)
  }

  private func check(_ verb: String) throws {
    if failure != nil { throw stop(verb, failure) }
  }

  func put(_ key: Lent, _ value: Lent) throws {
    leveldb_put(
      database, writeOptions, key.characters, key.count, value.characters, value.count, &failure)
    try check("put")
  }

  func delete(_ key: Lent) throws {
    leveldb_delete(database, writeOptions, key.characters, key.count, &failure)
    try check("delete")
  }

  func batchPut(_ key: Lent, _ value: Lent) throws {
    leveldb_writebatch_put(batch, key.characters, key.count, value.characters, value.count)
  }

  func commitBatch() throws {
    leveldb_write(database, writeOptions, batch, &failure)
    try check("write")
    leveldb_writebatch_clear(batch)
  }

  func get(_ key: Lent, _ body: (Lent) -> Bool) throws -> Bool? {
    var count = 0
    let value = leveldb_get(
      database, readOptions, key.characters, key.count, &count, &failure)
    try check("get")
    guard let value else { return nil }
    defer { leveldb_free(value) }
    return body(Lent(start: value, count: count))
  }

  func scan(_ walk: Walk, _ body: (Lent, Lent) -> Bool) throws {
    precondition(!walk.isReversed || walk.from == nil)
    let iterator = leveldb_create_iterator(database, readOptions)
    defer { leveldb_iter_destroy(iterator) }
    if let from = walk.from {
      leveldb_iter_seek(iterator, from.characters, from.count)
    } else if walk.isReversed {
      leveldb_iter_seek_to_last(iterator)
    } else {
      leveldb_iter_seek_to_first(iterator)
    }
    var remaining = walk.limit
    while remaining > 0, leveldb_iter_valid(iterator) != 0 {
      var (keyCount, valueCount) = (0, 0)
      let key = Lent(start: leveldb_iter_key(iterator, &keyCount), count: keyCount)
      var value = Lent(start: nil, count: 0)
      if !walk.isOfKeysOnly {
        value = Lent(start: leveldb_iter_value(iterator, &valueCount), count: valueCount)
      }
      if !body(key, value) { return }
      remaining -= 1
      if remaining == 0 { return }
      if walk.isReversed { leveldb_iter_prev(iterator) } else { leveldb_iter_next(iterator) }
    }
    leveldb_iter_get_error(iterator, &failure)
    try check("iterate")
  }

  func end() {
    leveldb_writeoptions_destroy(writeOptions)
    leveldb_readoptions_destroy(readOptions)
    leveldb_writebatch_destroy(batch)
  }
}
#endif
