// Load — records from the text file into the store, and on from where an earlier run ended.
//
// Room:    Tools/Demo.

import Foundation
import Turbidite

/// How far a load has come: committed in the same batch as the records it speaks of.
let progressKey: Bytes = "progress"

/// Records a batch.
private let batchCount = 100

func openStore(_ path: String, mode: Store.Mode) throws -> Store {
  try Store.Blocking.open(at: path, mode: mode, options: Store.Options(shardCount: 4))
}

/// Loads what the store does not have yet.
///
/// With `diesHalfWay` the process kills itself between two batches, as soon as half of the records
/// have been acknowledged.
func load(_ sourcePath: String, _ storePath: String, diesHalfWay: Bool) throws {
  let source = try StanzaFile(path: sourcePath)
  let store = try openStore(storePath, mode: .openOrCreate)
  let start = try progress(of: store)
  if start > 0 {
    let found = try store.blocking.statistics().recovery
    say("The store says: \(grouped(start)) records were acknowledged before.")
    say("Opening it replayed \(grouped(found.replayedEntryCount)) log entries.")
    guard try countPackages(in: store) == start else {
      throw Disagreement("the store does not hold the \(start) records that it acknowledged")
    }
    say("A scan finds exactly that many. Going on from there.")
  }
  let beginning = ContinuousClock.now
  var index = start
  var announced = start
  while index < source.stanzas.count {
    let end = min(index + batchCount, source.stanzas.count)
    var batch = Store.Batch()
    for stanza in source.stanzas[index..<end] {
      batch.put(Bytes(stanza.key), Bytes(Array(source.bytes(of: stanza))))
    }
    batch.put(progressKey, Bytes(String(end)))
    try store.blocking.commit(batch)
    index = end
    if index - announced >= 10_000 || index == source.stanzas.count {
      say("  \(grouped(index)) of \(grouped(source.stanzas.count)) records acknowledged")
      announced = index
    }
    if diesHalfWay, index >= source.stanzas.count / 2 {
      say("  \(grouped(index)) acknowledged. Now the process kills itself.")
      kill(getpid(), SIGKILL)
    }
  }
  let seconds = (ContinuousClock.now - beginning) / .seconds(1)
  try store.blocking.close()
  let rate = Int(Double(index - start) / max(seconds, 0.001))
  say("Loaded \(grouped(index - start)) records at \(grouped(rate)) a second.")
}

/// The records that the store has acknowledged; 0 for a new store.
func progress(of store: Store) throws -> Int {
  guard let value = try store.blocking.get(progressKey) else { return 0 }
  guard let text = value.text, let count = Int(text) else {
    throw Disagreement("the store's progress is not a number: \(value)")
  }
  return count
}

/// Walks over the packages and counts them.
func countPackages(in store: Store) throws -> Int {
  try store.blocking.scan(.prefix("pkg/"), keysOnly: true).count()
}
