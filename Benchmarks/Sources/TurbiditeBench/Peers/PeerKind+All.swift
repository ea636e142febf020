// PeerKind+All — the engines, and what each promises without a sync.
//
// Room:    Benchmarks.

extension PeerKind {
  static let all = [
    PeerKind(
      name: ours, title: "Turbidite",
      promise: """
        `.buffered`: when a write returns, the kernel has it. It survives a kill of the process; \
        after a power loss what is left is a prefix of the writes.
        """,
      aptPackage: "", open: { try TurbiditePeer(directory: $0, terms: $1) }),
    PeerKind(
      name: "rocksdb", title: "RocksDB",
      promise: """
        Log on, `sync = false`: the kernel has a write when it returns, so it survives a kill; \
        after a power loss a prefix is left. The same promise as ours.
        """,
      aptPackage: "librocksdb-dev", open: rocksDB),
    PeerKind(
      name: "leveldb", title: "LevelDB",
      promise: """
        Log on, `sync = false`: as RocksDB. The same promise as ours.
        """,
      aptPackage: "libleveldb-dev", open: levelDB),
    PeerKind(
      name: "lmdb", title: "LMDB",
      promise: """
        `MDB_NOSYNC | MDB_NOMETASYNC`: a write survives a kill, but a power loss may leave the \
        whole database damaged, not only without its last writes. Less than ours. It has no \
        compression, no filter and no cache of its own: it uses the kernel's page cache, beyond \
        the 256 MiB that the others keep to, and its peak of resident memory counts mapped pages.
        """,
      aptPackage: "liblmdb-dev", open: lmdb),
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
}
