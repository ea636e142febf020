// PeerKind+All — the engines, and what each promises without a sync.
//
// Room:    Benchmarks.

import Turbidite

#if PEER_LEVELDB
import CLevelDB
#endif
#if PEER_LMDB
import CLMDB
#endif
#if PEER_WIREDTIGER
import CWiredTiger
#endif

extension PeerKind {
  static let all = [
    PeerKind(
      name: ours, title: "Turbidite", color: "#b0302e",
      promise: """
        `.buffered`: when a write returns, the kernel has it. It survives a kill of the process; \
        after a power loss what is left is a prefix of the writes.
        """,
      aptPackage: "", version: { libraryVersion },
      open: { try TurbiditePeer(directory: $0, terms: $1) }),
    PeerKind(
      name: "rocksdb", title: "RocksDB", color: "#2f6f9f",
      promise: """
        Log on, `sync = false`: the kernel has a write when it returns, so it survives a kill; \
        after a power loss a prefix is left. The same promise as ours.
        """,
      aptPackage: "librocksdb-dev", version: { rocksDBVersion },
      open: rocksDB),
    PeerKind(
      name: "leveldb", title: "LevelDB", color: "#c7802f",
      promise: """
        Log on, `sync = false`: as RocksDB. The same promise as ours.
        """,
      aptPackage: "libleveldb-dev", version: { levelDBVersion },
      open: levelDB),
    PeerKind(
      name: "lmdb", title: "LMDB", color: "#5a8f3c",
      promise: """
        `MDB_NOSYNC | MDB_NOMETASYNC`: a write survives a kill, but a power loss may leave the \
        whole database damaged, not only without its last writes. Less than ours. It has no \
        compression, no filter and no cache of its own: it uses the kernel's page cache, beyond \
        the 256 MiB that the others keep to.
        """,
      aptPackage: "liblmdb-dev", version: { lmdbVersion },
      open: lmdb),
    PeerKind(
      name: "wiredtiger", title: "WiredTiger", color: "#8a5aa8",
      promise: """
        Log on, `transaction_sync` off: its log is gathered in the memory of the process, so a kill \
        loses writes that were acknowledged, and so does a power loss; a prefix is left. Less than \
        ours. It is its B-tree that is measured: a Bloom filter it has only for its LSM trees, and \
        the 256 MiB are all for its cache.
        """,
      aptPackage: "libwiredtiger-dev", version: { wiredTigerVersion },
      open: wiredTiger),
  ]

  private typealias Opening = @Sendable (String, PeerTerms) throws -> any Peer

  private static var rocksDB: Opening? {
    #if PEER_ROCKSDB
    { try RocksDBPeer(directory: $0, terms: $1) }
    #else
    nil
    #endif
  }

  private static var levelDB: Opening? {
    #if PEER_LEVELDB
    { try LevelDBPeer(directory: $0, terms: $1) }
    #else
    nil
    #endif
  }

  private static var lmdb: Opening? {
    #if PEER_LMDB
    { try LMDBPeer(directory: $0, terms: $1) }
    #else
    nil
    #endif
  }

  private static var wiredTiger: Opening? {
    #if PEER_WIREDTIGER
    { try WiredTigerPeer(directory: $0, terms: $1) }
    #else
    nil
    #endif
  }

  // MARK: - Versions

  /// Its C interface does not say; the header beside it does.
  private static var rocksDBVersion: String {
    for root in ["/usr/local/include", "/usr/include"] {
      let lines = contents(ofFile: root + "/rocksdb/version.h").split(separator: "\n")
      let numbers = ["MAJOR", "MINOR", "PATCH"].compactMap { part in
        lines.first { $0.hasPrefix("#define ROCKSDB_\(part) ") }?.split(separator: " ").last
      }
      if !numbers.isEmpty { return numbers.joined(separator: ".") }
    }
    return "of unknown version"
  }

  private static var levelDBVersion: String {
    #if PEER_LEVELDB
    "\(leveldb_major_version()).\(leveldb_minor_version())"
    #else
    ""
    #endif
  }

  private static var lmdbVersion: String {
    #if PEER_LMDB
    var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
    _ = mdb_version(&major, &minor, &patch)
    return "\(major).\(minor).\(patch)"
    #else
    return ""
    #endif
  }

  private static var wiredTigerVersion: String {
    #if PEER_WIREDTIGER
    var (major, minor, patch): (Int32, Int32, Int32) = (0, 0, 0)
    _ = wiredtiger_version(&major, &minor, &patch)
    return "\(major).\(minor).\(patch)"
    #else
    return ""
    #endif
  }
}
