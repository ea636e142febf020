// Workloads — scripts that lead a store through what it does rarely.

import Turbidite

/// A script with the sizes that make it go where it wants.
struct Workload: Sendable {
  var name: String
  var options: Store.Options
  var steps: [Step]

  /// A store of two shards whose parts are small enough for a script.
  static var smallParts: Store.Options {
    var options = Store.Options(shardCount: 2)
    options.memtableByteCount = 4 << 10
    options.tableByteCount = 4 << 10
    options.logByteCount = 64 << 10
    options.memoryBudgetByteCount = 1 << 20
    options.blockByteCount = 512
    return options
  }

  private static func shards(_ count: Int) -> Store.Options {
    var options = smallParts
    options.shardCount = count
    return options
  }

  private static func repeated(_ count: Int, _ steps: (Int) -> [Step]) -> [Step] {
    (0..<count).flatMap(steps)
  }

  /// One for each thing that can be cut in two.
  static let all: [Workload] = [
    Workload(name: "create", options: smallParts, steps: [.sync]),
    Workload(name: "create and close", options: smallParts, steps: [.sync, .reopen, .put(1)]),
    Workload(name: "one shard", options: shards(1), steps: repeated(6) { [.put($0)] } + [.flush]),
    Workload(
      name: "buffered, then synced", options: smallParts,
      steps: repeated(4) { [.put($0), .put($0 + 10, byteCount: 700)] } + [.put(9, synced: true)]),
    Workload(
      name: "synced each", options: smallParts, steps: repeated(6) { [.put($0, synced: true)] }),
    Workload(
      name: "large values", options: smallParts,
      steps: repeated(3) { [.put($0, byteCount: 5000), .put($0, byteCount: 9, synced: true)] }),
    Workload(
      name: "overwrites", options: smallParts,
      steps: repeated(5) { [.put(1, byteCount: 100 + $0)] } + [.sync, .put(1)]),
    Workload(
      name: "deletions", options: smallParts,
      steps: repeated(4) { [.put($0)] } + [.flush] + repeated(4) { [.delete($0)] } + [.sync]),
    Workload(
      name: "range deletion over tables", options: smallParts,
      steps: [.batch(count: 20), .flush, .deleteRange(5, 15), .put(7), .sync, .flush]),
    Workload(
      name: "range deletion compacted", options: smallParts,
      steps: [
        .batch(count: 20), .flush, .deleteRange(0, 30), .flush, .compact, .put(4), .sync,
      ]),
    Workload(
      name: "range deletion lost with the log", options: smallParts,
      steps: [.batch(count: 30, synced: true), .deleteRange(3, 40), .put(5), .kill, .put(6)]),
    Workload(
      name: "batch across shards", options: shards(4),
      steps: repeated(3) { _ in [.batch(count: 16), .batch(count: 16, synced: true)] }),
    Workload(
      name: "batch across many shards", options: shards(16),
      steps: [.batch(count: 40), .flush, .batch(count: 40, synced: true)]),
    Workload(
      name: "large batch", options: smallParts,
      steps: [.batch(count: 30, byteCount: 400), .batch(count: 30, byteCount: 300, synced: true)]),
    Workload(
      name: "flush", options: smallParts,
      steps: [.batch(count: 12), .flush, .batch(count: 12), .flush]),
    Workload(
      name: "flush by itself", options: smallParts,
      steps: repeated(6) { [.batch(count: 10, byteCount: 200 + $0)] }),
    Workload(
      name: "compact", options: smallParts,
      steps: repeated(3) { [.batch(count: 12, byteCount: 60 + $0), .flush] } + [.compact, .sync]),
    Workload(
      name: "compact to the bottom", options: smallParts,
      steps: repeated(5) { [.batch(count: 25, byteCount: 150 + $0), .flush] } + [
        .compact, .batch(count: 10), .compact,
      ]),
    Workload(
      name: "compaction by itself", options: shards(1),
      steps: repeated(9) { [.batch(count: 14, byteCount: 260 + $0)] } + [.sync]),
    Workload(
      name: "snapshot over flush", options: smallParts,
      steps: [
        .batch(count: 10), .holdSnapshot, .batch(count: 10), .flush, .releaseSnapshot, .sync,
      ]),
    Workload(
      name: "snapshot over compaction", options: smallParts,
      steps: [
        .batch(count: 20), .flush, .holdSnapshot, .deleteRange(0, 60), .flush, .compact,
        .releaseSnapshot, .compact, .put(1),
      ]),
    Workload(
      name: "log rotation", options: smallParts,
      steps: repeated(10) { [.put($0, byteCount: 7000)] } + [.sync, .put(1)]),
    Workload(
      name: "log trimmed", options: smallParts,
      steps: repeated(8) { [.put($0, byteCount: 9000), .flush] } + [.put(1, synced: true)]),
    Workload(
      name: "reopen", options: smallParts,
      steps: [.batch(count: 10), .reopen, .batch(count: 10), .reopen, .put(1)]),
    Workload(
      name: "reopen after a kill", options: smallParts,
      steps: [.batch(count: 10), .kill, .batch(count: 10, synced: true), .kill, .put(1)]),
    Workload(
      name: "killed again and again", options: smallParts,
      steps: repeated(5) { [.put($0), .kill] } + [.sync]),
    Workload(
      name: "kill with tables and log", options: smallParts,
      steps: [.batch(count: 20), .flush, .batch(count: 20), .kill, .compact, .put(3), .sync]),
    Workload(
      name: "read beside the writer", options: smallParts,
      steps: [
        .batch(count: 12), .readBeside, .flush, .deleteRange(0, 30), .readBeside, .compact, .kill,
        .put(1, synced: true), .readBeside,
      ]),
    Workload(
      name: "keyspaces", options: smallParts,
      steps: [
        .createKeyspace("one"), .putInKeyspace("one", 1), .put(1), .createKeyspace("two"),
        .putInKeyspace("two", 2), .sync, .dropKeyspace("one"), .put(2),
      ]),
    Workload(
      name: "keyspace dropped with tables", options: smallParts,
      steps: [.createKeyspace("one")] + repeated(4) { [.putInKeyspace("one", $0)] } + [
        .flush, .dropKeyspace("one"), .put(1), .reopen, .put(2),
      ]),
    Workload(
      name: "keyspace over a kill", options: smallParts,
      steps: [
        .put(1), .createKeyspace("one"), .putInKeyspace("one", 1), .kill,
        .putInKeyspace("one", 2), .flush, .put(4, synced: true),
      ]),
    Workload(
      name: "stream", options: smallParts,
      steps: [
        .append(count: 5), .append(count: 3, synced: true), .flush, .append(count: 4), .trim(4),
        .appendAgain, .kill, .append(count: 7), .appendAgain, .sync,
      ]),
    Workload(
      name: "stream trimmed, compacted and opened again", options: shards(3),
      steps: [
        .append(count: 12), .flush, .compactKeys, .append(count: 3), .trim(100), .flush, .compact,
        .reopen, .append(count: 2), .trim(2), .compactKeys, .appendAgain, .sync,
      ]),
    Workload(
      name: "shard added", options: smallParts,
      steps: [
        .batch(count: 20),
        .addShard([
          .put(1), .batch(count: 4), .delete(3), .deleteRange(30, 40), .put(35), .batch(count: 4),
          .put(36), .flush, .batch(count: 5, synced: true),
        ]), .put(2),
        .compact, .kill, .put(3, synced: true),
      ]),
    Workload(
      name: "shard removed", options: shards(3),
      steps: [
        .append(count: 6), .batch(count: 12), .flush, .batch(count: 12),
        .removeShard(
          1, [.append(count: 2), .append(count: 2), .delete(3), .trim(3), .flush, .put(4)]),
        .put(2),
        .reopen, .compact, .appendAgain, .sync,
      ]),
    Workload(
      name: "shards come and go", options: shards(1),
      steps: [
        .createKeyspace("one"), .putInKeyspace("one", 1), .batch(count: 16),
        .addShard([.putInKeyspace("one", 2), .flush]), .holdSnapshot,
        .addShard([.dropKeyspace("one"), .batch(count: 8)]), .batch(count: 8),
        .removeShard(
          0,
          [
            .createKeyspace("two"), .putInKeyspace("two", 3), .put(5), .putInKeyspace("two", 4),
            .flush,
          ]),
        .releaseSnapshot, .kill, .removeShard(1, []), .put(1), .compact, .put(2, synced: true),
      ]),
    Workload(
      name: "everything", options: shards(3),
      steps: repeated(4) {
        [
          .batch(count: 15, byteCount: 120 + $0), .put($0, byteCount: 2000, synced: true),
          .deleteRange($0 * 10, $0 * 10 + 9), .flush, .kill, .compact, .reopen,
        ]
      }),
  ]
}
