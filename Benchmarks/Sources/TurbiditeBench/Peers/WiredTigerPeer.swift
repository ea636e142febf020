// WiredTigerPeer — WiredTiger's B-tree, by its documented interface.
//
// Room:    Benchmarks.
// Limits:  1,100 sessions, instead of its own 100.

#if PEER_WIREDTIGER
import CWiredTiger
import Glibc

private func check(_ code: Int32, _ verb: String) throws {
  guard code == 0 else {
    throw Stop("WiredTiger: \(verb): \(String(cString: wiredtiger_strerror(code)))")
  }
}

private let table = "table:records"

/// Comes with Debian's package of the library; LZ4 does not.
private let compressor = "libwiredtiger_snappy.so"

/// Safe to share: a connection may be used by any thread.
final class WiredTigerPeer: Peer, @unchecked Sendable {
  private let connection: UnsafeMutablePointer<WT_CONNECTION>

  init(directory: String, terms: PeerTerms) throws {
    if mkdir(directory, 0o755) != 0 && errno != EEXIST {
      throw Stop("WiredTiger: mkdir \(directory): errno \(errno)")
    }
    let options = [
      "create", "cache_size=\(terms.memoryByteCount)", "session_max=1100",
      "extensions=[\(compressor)]",
      // Half of it may be changed pages, as half of the others' memory is memtables. With its own
      // limit of a fifth it fills at half the speed.
      "eviction_dirty_target=40,eviction_dirty_trigger=50",
      // Its own are of 100 MB, made ahead: they would be most of what a store takes on disk, and of
      // the time to open it.
      "log=(enabled=true,file_max=16MB)",
      "transaction_sync=(enabled=\(terms.isSynced),method=fsync)",
      // A checkpoint a minute, as MongoDB has it; without any the log would grow for ever.
      "checkpoint=(wait=\(terms.keepsLog ? 0 : 60))",
    ]
    var opened: UnsafeMutablePointer<WT_CONNECTION>?
    try check(
      wiredtiger_open(directory, nil, options.joined(separator: ","), &opened), "open")
    connection = opened!
    try inSession { session in
      try check(
        session.pointee.create(
          session, table, "key_format=u,value_format=u,block_compressor=snappy"), "create")
    }
  }

  private func inSession(_ body: (UnsafeMutablePointer<WT_SESSION>) throws -> Void) throws {
    var session: UnsafeMutablePointer<WT_SESSION>?
    try check(connection.pointee.open_session(connection, nil, nil, &session), "open_session")
    defer { _ = session!.pointee.close(session, nil) }
    try body(session!)
  }

  func session() throws -> any PeerSession { try WiredTigerSession(connection) }

  func flush() throws {
    try inSession { try check($0.pointee.checkpoint($0, nil), "checkpoint") }
  }

  func compact() throws {
    try flush()
    try inSession { try check($0.pointee.compact($0, table, nil), "compact") }
  }

  func close() throws { try check(connection.pointee.close(connection, nil), "close") }
}

private final class WiredTigerSession: PeerSession {
  private let session: UnsafeMutablePointer<WT_SESSION>
  private let cursor: UnsafeMutablePointer<WT_CURSOR>
  private var isInBatch = false

  init(_ connection: UnsafeMutablePointer<WT_CONNECTION>) throws {
    var session: UnsafeMutablePointer<WT_SESSION>?
    try check(connection.pointee.open_session(connection, nil, nil, &session), "open_session")
    self.session = session!
    var cursor: UnsafeMutablePointer<WT_CURSOR>?
    try check(
      session!.pointee.open_cursor(session, table, nil, nil, &cursor), "open_cursor")
    self.cursor = cursor!
  }

  func put(_ key: Lent, _ value: Lent) throws {
    wiredtiger_set_key(cursor, key.baseAddress, key.count)
    wiredtiger_set_value(cursor, value.baseAddress, value.count)
    try check(cursor.pointee.insert(cursor), "insert")
  }

  func delete(_ key: Lent) throws {
    wiredtiger_set_key(cursor, key.baseAddress, key.count)
    try check(cursor.pointee.remove(cursor), "remove")
    try reset()
  }

  func batchPut(_ key: Lent, _ value: Lent) throws {
    if !isInBatch { try check(session.pointee.begin_transaction(session, nil), "begin") }
    isInBatch = true
    try put(key, value)
  }

  func commitBatch() throws {
    try check(session.pointee.commit_transaction(session, nil), "commit")
    isInBatch = false
  }

  func get(_ key: Lent, _ body: (Lent) -> Bool) throws -> Bool? {
    wiredtiger_set_key(cursor, key.baseAddress, key.count)
    let code = cursor.pointee.search(cursor)
    if code == WT_NOTFOUND { return nil }
    try check(code, "search")
    let isRight = body(try value())
    try reset()
    return isRight
  }

  func scan(_ walk: Walk, _ body: (Lent, Lent) -> Bool) throws {
    precondition(!walk.isReversed || walk.from == nil)
    var remaining = walk.limit
    var code = try position(walk)
    while code == 0, remaining > 0 {
      let value = walk.isOfKeysOnly ? Lent(start: nil, count: 0) : try value()
      if !body(try key(), value) { break }
      remaining -= 1
      if remaining == 0 { break }
      code = step(walk)
    }
    if code != WT_NOTFOUND { try check(code, "step") }
    try reset()
  }

  func end() { _ = session.pointee.close(session, nil) }

  /// To the first entry of `walk`.
  private func position(_ walk: Walk) throws -> Int32 {
    guard let from = walk.from else { return step(walk) }
    wiredtiger_set_key(cursor, from.baseAddress, from.count)
    var order: Int32 = 0
    let code = cursor.pointee.search_near(cursor, &order)
    return code == 0 && order < 0 ? step(walk) : code
  }

  private func step(_ walk: Walk) -> Int32 {
    walk.isReversed ? cursor.pointee.prev(cursor) : cursor.pointee.next(cursor)
  }

  /// A cursor that stands somewhere keeps pages in memory.
  private func reset() throws { try check(cursor.pointee.reset(cursor), "reset") }

  private func key() throws -> Lent {
    var item = WT_ITEM()
    try check(wiredtiger_get_key(cursor, &item), "get_key")
    return Lent(start: item.data, count: item.size)
  }

  private func value() throws -> Lent {
    var item = WT_ITEM()
    try check(wiredtiger_get_value(cursor, &item), "get_value")
    return Lent(start: item.data, count: item.size)
  }
}
#endif
