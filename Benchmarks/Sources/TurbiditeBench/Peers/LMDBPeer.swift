// LMDBPeer — LMDB, by its documented interface.
//
// Room:    Benchmarks.
// Limits:  A map of 64 GiB; 1,100 readers, instead of LMDB's own 126.

#if PEER_LMDB
import CLMDB
import Glibc

private func check(_ code: Int32, _ verb: String) throws {
  guard code == MDB_SUCCESS else {
    throw Stop("LMDB: \(verb): \(String(cString: mdb_strerror(code)))")
  }
}

/// Safe to share: an environment may be used by any thread; `environment` changes only in `compact`,
/// when nothing else runs.
final class LMDBPeer: Peer, @unchecked Sendable {
  private let directory: String
  private let isSynced: Bool
  private var environment: OpaquePointer?
  private var database = MDB_dbi()

  init(directory: String, terms: PeerTerms) throws {
    self.directory = directory
    isSynced = terms.isSynced
    if mkdir(directory, 0o755) != 0 && errno != EEXIST {
      throw Stop("LMDB: mkdir \(directory): errno \(errno)")
    }
    try open()
  }

  private func open() throws {
    try check(mdb_env_create(&environment), "env_create")
    try check(mdb_env_set_mapsize(environment, 64 << 30), "set_mapsize")
    try check(mdb_env_set_maxreaders(environment, 1100), "set_maxreaders")
    // A reader's slot belongs to its transaction, so that a session may move between threads.
    var flags = UInt32(MDB_NOTLS)
    if !isSynced { flags |= UInt32(MDB_NOSYNC | MDB_NOMETASYNC) }
    try check(mdb_env_open(environment, directory, flags, 0o644), "env_open")
    var transaction: OpaquePointer?
    try check(mdb_txn_begin(environment, nil, 0, &transaction), "txn_begin")
    try check(mdb_dbi_open(transaction, nil, 0, &database), "dbi_open")
    try check(mdb_txn_commit(transaction), "txn_commit")
  }

  func session() throws -> any PeerSession { try LMDBSession(environment, database) }

  /// There is nothing between memory and file.
  func flush() throws {}

  /// Copies the pages in use to a new file, in order, and goes on with that.
  func compact() throws {
    let copy = directory + ".compact"
    guard mkdir(copy, 0o755) == 0 else { throw Stop("LMDB: mkdir \(copy): errno \(errno)") }
    try check(mdb_env_copy2(environment, copy, UInt32(MDB_CP_COMPACT)), "env_copy2")
    try close()
    guard rename(copy + "/data.mdb", directory + "/data.mdb") == 0, rmdir(copy) == 0 else {
      throw Stop("LMDB: rename: errno \(errno)")
    }
    try open()
  }

  func close() throws { mdb_env_close(environment) }
}

private final class LMDBSession: PeerSession {
  private let environment: OpaquePointer?
  private let database: MDB_dbi
  /// Reused by every read; reset between them, so that it pins no pages.
  private var reading: OpaquePointer?
  private var cursor: OpaquePointer?
  private var batch: OpaquePointer?

  init(_ environment: OpaquePointer?, _ database: MDB_dbi) throws {
    self.environment = environment
    self.database = database
    try check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &reading), "txn_begin")
    try check(mdb_cursor_open(reading, database, &cursor), "cursor_open")
    mdb_txn_reset(reading)
  }

  func put(_ key: Lent, _ value: Lent) throws {
    try batchPut(key, value)
    try commitBatch()
  }

  func delete(_ key: Lent) throws {
    var transaction: OpaquePointer?
    try check(mdb_txn_begin(environment, nil, 0, &transaction), "txn_begin")
    var key = value(of: key)
    let code = mdb_del(transaction, database, &key, nil)
    if code != MDB_NOTFOUND { try check(code, "del") }
    try check(mdb_txn_commit(transaction), "txn_commit")
  }

  func batchPut(_ key: Lent, _ value: Lent) throws {
    if batch == nil { try check(mdb_txn_begin(environment, nil, 0, &batch), "txn_begin") }
    var (key, value) = (self.value(of: key), self.value(of: value))
    try check(mdb_put(batch, database, &key, &value, 0), "put")
  }

  func commitBatch() throws {
    try check(mdb_txn_commit(batch), "txn_commit")
    batch = nil
  }

  func get(_ key: Lent, _ body: (Lent) -> Bool) throws -> Bool? {
    try check(mdb_txn_renew(reading), "txn_renew")
    defer { mdb_txn_reset(reading) }
    var (key, found) = (value(of: key), MDB_val())
    let code = mdb_get(reading, database, &key, &found)
    if code == MDB_NOTFOUND { return nil }
    try check(code, "get")
    return body(Lent(start: found.mv_data, count: found.mv_size))
  }

  func scan(_ walk: Walk, _ body: (Lent, Lent) -> Bool) throws {
    precondition(!walk.isReversed || walk.from == nil)
    try check(mdb_txn_renew(reading), "txn_renew")
    defer { mdb_txn_reset(reading) }
    try check(mdb_cursor_renew(reading, cursor), "cursor_renew")
    var (key, found) = (MDB_val(), MDB_val())
    var verb = walk.isReversed ? MDB_LAST : MDB_FIRST
    if let from = walk.from {
      key = value(of: from)
      verb = MDB_SET_RANGE
    }
    var remaining = walk.limit
    while remaining > 0 {
      let code = mdb_cursor_get(cursor, &key, &found, verb)
      if code == MDB_NOTFOUND { return }
      try check(code, "cursor_get")
      let bytes = Lent(start: key.mv_data, count: key.mv_size)
      let value = Lent(start: found.mv_data, count: walk.isOfKeysOnly ? 0 : found.mv_size)
      if !body(bytes, value) { return }
      remaining -= 1
      verb = walk.isReversed ? MDB_PREV : MDB_NEXT
    }
  }

  func end() {
    mdb_cursor_close(cursor)
    mdb_txn_abort(reading)
  }

  private func value(of bytes: Lent) -> MDB_val {
    MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
  }
}
#endif
