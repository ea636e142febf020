// Info — the shape of the store, from its own counts.
//
// Room:    Tools/Demo.

import Turbidite

/// Flushes and compacts, then shows how records lie over the shards and how far they were packed.
func showInfo(_ storePath: String) throws {
  let store = try openStore(storePath, mode: .existing)
  try store.blocking.compact()
  let statistics = try store.blocking.statistics()
  try store.blocking.close()
  if let error = statistics.backgroundError {
    throw Disagreement("background work failed: \(error)")
  }
  let total = statistics.shards.reduce(0) { $0 + $1.entryCount }
  let mean = Double(total) / Double(max(1, statistics.shardCount))
  say("Store \(statistics.storeID), format \(statistics.formatVersion), after a compaction:")
  for shard in statistics.shards {
    say(
      "  shard \(shard.shard): " + padLeft(grouped(Int(shard.entryCount)), 8) + " records, "
        + padLeft(mebibytes(shard.byteCount), 6) + " MiB in \(shard.tableCount) tables")
  }
  let largest = Double(statistics.shards.map(\.entryCount).max() ?? 0)
  say("The fullest shard holds \(percent(largest, of: mean)) of an even share.")
  say(
    "\(mebibytes(statistics.rawByteCount)) MiB of keys and values take "
      + "\(mebibytes(statistics.tableByteCount)) MiB of tables: "
      + "\(percent(Double(statistics.tableByteCount), of: Double(statistics.rawByteCount))).")
}

private func percent(_ part: Double, of whole: Double) -> String {
  whole > 0 ? "\(oneDecimal(part / whole * 100)) %" : "nothing"
}

private func mebibytes(_ byteCount: UInt64) -> String { oneDecimal(Double(byteCount) / 1_048_576) }
