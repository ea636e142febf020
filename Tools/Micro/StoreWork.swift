// StoreWork — whole operations of what a user holds, on a store in a directory of its own.
//
// Room:    Tools/Micro.
// Limits:  One thread, through `blocking`, on a store with one shard and one background thread,
//          which has nothing to do.

import Turbidite
import TurbiditeEngine

enum StoreWork {
  static let all = [
    MicroBenchmark("put", count: 4_000, run: put),
    MicroBenchmark("batch-put", count: 4_000, run: batchPut),
    MicroBenchmark("append", count: 4_000) { try append($0, $1, flushes: false) },
    MicroBenchmark("append-flush", count: 4_000) { try append($0, $1, flushes: true) },
    MicroBenchmark("get", count: 4_000, run: get),
    MicroBenchmark("get-absent", count: 4_000, run: getAbsent),
    MicroBenchmark("scan", count: 4_000, run: scan),
    MicroBenchmark("seek", count: 4_000, run: seek),
  ]

  private static let batchRecordCount = 1_000
  private static let batchEventCount = 100
  private static let value = Bytes(Records.valueBytes)

  private static func keys(from first: Int) -> [Bytes] {
    (first..<first + Records.count).map { Bytes(Records.keyBytes($0)) }
  }

  /// A store that holds the first records, in memtables.
  ///
  /// It is never closed: that would cost by what was written.
  private static func openStore(_ directory: String) throws -> Store {
    var options = Store.Options()
    options.backgroundThreadCount = 1
    let store = try Store.Blocking.open(at: directory, mode: .create, options: options)
    try store.blocking.write { batch in
      for key in keys(from: 0) { batch.put(key, value) }
    }
    return store
  }

  /// The same, in one table a shard of which every block is in the cache.
  ///
  /// Compacted, so that nothing is left to do behind the readers: a table that moved to another
  /// level in one run and not in the next would show in what they take.
  private static func openCompactedStore(_ directory: String) throws -> Store {
    let store = try openStore(directory)
    try store.blocking.compact()
    store.blocking.waitUntilIdle()
    for key in keys(from: 0) {
      let found = try store.blocking.get(key)
      precondition(found == value)
    }
    return store
  }

  // MARK: - Writing

  /// A commit of one new key an operation.
  private static func put(_ count: Int, _ directory: String) throws {
    let store = try openStore(directory)
    let keys = keys(from: Records.count)
    for index in 0..<count { try store.blocking.put(keys[index], value) }
    withExtendedLifetime(store) {}
  }

  /// A new key an operation, in commits of a thousand.
  private static func batchPut(_ count: Int, _ directory: String) throws {
    let store = try openStore(directory)
    let keys = keys(from: Records.count)
    for first in stride(from: 0, to: count, by: batchRecordCount) {
      try store.blocking.write { batch in
        for index in first..<min(first + batchRecordCount, count) { batch.put(keys[index], value) }
      }
    }
    withExtendedLifetime(store) {}
  }

  /// An event an operation, in commits of a hundred, from spans; then all in a table, if `flushes`.
  private static func append(_ count: Int, _ directory: String, flushes: Bool) throws {
    let store = try openStore(directory)
    let stream = try store.blocking.createStream("events", partitionCount: 1)
    let event = Records.valueBytes
    var batch = Store.Batch()
    for first in stride(from: 0, to: count, by: batchEventCount) {
      for _ in first..<min(first + batchEventCount, count) {
        batch.append(value: event.span.bytes, to: stream)
      }
      try store.blocking.commit(&batch)
    }
    if flushes { try store.blocking.flush() }
    withExtendedLifetime(store) {}
  }

  // MARK: - Reading

  /// A key that is there an operation, with a copy of its value.
  private static func get(_ count: Int, _ directory: String) throws {
    let store = try openCompactedStore(directory)
    let keys = keys(from: 0)
    var sum = 0
    for index in 0..<count {
      sum &+= try store.blocking.get(keys[index & Records.mask])?.count ?? 0
    }
    keep(sum)
  }

  /// A key that is not there an operation.
  private static func getAbsent(_ count: Int, _ directory: String) throws {
    let store = try openCompactedStore(directory)
    let keys = keys(from: Records.count)
    for index in 0..<count {
      let found = try store.blocking.get(keys[index & Records.mask])
      precondition(found == nil)
    }
  }

  /// An entry an operation, lent and not copied.
  private static func scan(_ count: Int, _ directory: String) throws {
    let store = try openCompactedStore(directory)
    var (left, sum) = (count, 0)
    try store.blocking.scan().forEach { key, value in
      sum &+= key.byteCount &+ value.byteCount
      left &-= 1
      return left > 0
    }
    precondition(left == 0)
    keep(sum)
  }

  /// A scan an operation, from a key that is there, for that one entry.
  private static func seek(_ count: Int, _ directory: String) throws {
    let store = try openCompactedStore(directory)
    let keys = keys(from: 0)
    for index in 0..<count {
      let key = keys[index & Records.mask]
      let entry = try store.blocking.scan(KeyRange(from: key), limit: 1).next()
      // A wrong answer would make what is counted worthless.
      precondition(entry?.key == key)
    }
  }
}
