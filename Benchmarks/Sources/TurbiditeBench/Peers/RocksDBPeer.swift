// RocksDBPeer — RocksDB through its C interface.
//
// Room:    Benchmarks.

#if PEER_ROCKSDB
import CRocksDB
import Glibc

/// Safe to share: RocksDB's handle may be used by any thread.
final class RocksDBPeer: Peer, @unchecked Sendable {
  private let database: OpaquePointer
  private let isSynced: Bool

  init(directory: String, terms: PeerTerms) throws {
    isSynced = terms.isSynced
    let options = rocksdb_options_create()
    defer { rocksdb_options_destroy(options) }
    rocksdb_options_set_create_if_missing(options, 1)
    rocksdb_options_increase_parallelism(options, Int32(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    rocksdb_options_set_compression(options, Int32(rocksdb_lz4_compression))
    // Two memtables of a quarter each, and the rest for the cache.
    let memtable = terms.keepsLog ? 512 << 20 : terms.memoryByteCount / 4
    rocksdb_options_set_write_buffer_size(options, memtable)
    rocksdb_options_set_max_write_buffer_number(options, 2)
    rocksdb_options_set_keep_log_file_num(options, 1)
    let table = rocksdb_block_based_options_create()
    defer { rocksdb_block_based_options_destroy(table) }
    let cache = rocksdb_cache_create_lru(terms.memoryByteCount / 2)
    defer { rocksdb_cache_destroy(cache) }
    rocksdb_block_based_options_set_block_cache(table, cache)
    rocksdb_block_based_options_set_filter_policy(
      table, rocksdb_filterpolicy_create_bloom_full(Double(terms.filterBitsPerKey)))
    rocksdb_options_set_block_based_table_factory(options, table)
    var failure: UnsafeMutablePointer<CChar>?
    guard let database = rocksdb_open(options, directory, &failure) else {
      throw stop("open", failure)
    }
    self.database = database
  }

  func session() throws -> any PeerSession { RocksDBSession(database, isSynced: isSynced) }

  func flush() throws {
    let options = rocksdb_flushoptions_create()
    defer { rocksdb_flushoptions_destroy(options) }
    var failure: UnsafeMutablePointer<CChar>?
    rocksdb_flush(database, options, &failure)
    if failure != nil { throw stop("flush", failure) }
  }

  func compact() throws {
    try flush()
    rocksdb_compact_range(database, nil, 0, nil, 0)
  }

  func close() throws { rocksdb_close(database) }
}

private func stop(_ verb: String, _ failure: UnsafeMutablePointer<CChar>?) -> Stop {
  defer { rocksdb_free(failure) }
  return Stop("RocksDB: \(verb): \(failure.map { String(cString: $0) } ?? "no reason given")")
}

private final class RocksDBSession: PeerSession {
  private let database: OpaquePointer
  private let writeOptions = rocksdb_writeoptions_create()
  private let readOptions = rocksdb_readoptions_create()
  private let batch = rocksdb_writebatch_create()
  private var failure: UnsafeMutablePointer<CChar>?

  init(_ database: OpaquePointer, isSynced: Bool) {
    self.database = database
    rocksdb_writeoptions_set_sync(writeOptions, isSynced ? 1 : 0)
  }

  private func check(_ verb: String) throws {
    if failure != nil { throw stop(verb, failure) }
  }

  func put(_ key: Lent, _ value: Lent) throws {
    rocksdb_put(
      database, writeOptions, key.characters, key.count, value.characters, value.count, &failure)
    try check("put")
  }

  func delete(_ key: Lent) throws {
    rocksdb_delete(database, writeOptions, key.characters, key.count, &failure)
    try check("delete")
  }

  func batchPut(_ key: Lent, _ value: Lent) throws {
    rocksdb_writebatch_put(batch, key.characters, key.count, value.characters, value.count)
  }

  func commitBatch() throws {
    rocksdb_write(database, writeOptions, batch, &failure)
    try check("write")
    rocksdb_writebatch_clear(batch)
  }

  func get(_ key: Lent, _ body: (Lent) -> Bool) throws -> Bool? {
    let slice = rocksdb_get_pinned(database, readOptions, key.characters, key.count, &failure)
    try check("get")
    guard let slice else { return nil }
    defer { rocksdb_pinnableslice_destroy(slice) }
    var count = 0
    let value = rocksdb_pinnableslice_value(slice, &count)
    return body(Lent(start: value, count: count))
  }

  func scan(_ walk: Walk, _ body: (Lent, Lent) -> Bool) throws {
    precondition(!walk.isReversed || walk.from == nil)
    let iterator = rocksdb_create_iterator(database, readOptions)
    defer { rocksdb_iter_destroy(iterator) }
    if let from = walk.from {
      rocksdb_iter_seek(iterator, from.characters, from.count)
    } else if walk.isReversed {
      rocksdb_iter_seek_to_last(iterator)
    } else {
      rocksdb_iter_seek_to_first(iterator)
    }
    var remaining = walk.limit
    while remaining > 0, rocksdb_iter_valid(iterator) != 0 {
      var (keyCount, valueCount) = (0, 0)
      let key = Lent(start: rocksdb_iter_key(iterator, &keyCount), count: keyCount)
      var value = Lent(start: nil, count: 0)
      if !walk.isOfKeysOnly {
        value = Lent(start: rocksdb_iter_value(iterator, &valueCount), count: valueCount)
      }
      if !body(key, value) { return }
      remaining -= 1
      if remaining == 0 { return }
      if walk.isReversed { rocksdb_iter_prev(iterator) } else { rocksdb_iter_next(iterator) }
    }
    rocksdb_iter_get_error(iterator, &failure)
    try check("iterate")
  }

  func end() {
    rocksdb_writeoptions_destroy(writeOptions)
    rocksdb_readoptions_destroy(readOptions)
    rocksdb_writebatch_destroy(batch)
  }
}
#endif
