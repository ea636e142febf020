// Loading — records into a store, and every record back out of it.
//
// Room:    Benchmarks.

import Glibc
import Turbidite

/// Writes the records numbered by `indices` in batches of 100.
func load(_ indices: some Sequence<Int>, version: Int = 0, into store: Store) throws {
  var key = [UInt8](repeating: 0, count: Record.keyByteCount)
  var value = [UInt8](repeating: 0, count: Record.valueByteCount)
  var iterator = indices.makeIterator()
  var isAtEnd = false
  var batch = Store.Batch()
  while !isAtEnd {
    while batch.count < 100 {
      guard let index = iterator.next() else {
        isAtEnd = true
        break
      }
      Record.writeKey(index, into: &key)
      Record.writeValue(index, version: version, into: &value)
      batch.put(key: key.span.bytes, value: value.span.bytes)
    }
    try store.blocking.commit(&batch)
  }
}

/// Scans the whole store; it must hold the first `count` records, in order, in this version.
func check(_ store: Store, holds count: Int, version: Int = 0) throws {
  var scratch = [UInt8](repeating: 0, count: Record.valueByteCount)
  var previous: (UInt64, Int)?
  var (seen, sum) = (0, 0)
  var failure: String?
  try store.blocking.scan().forEach { key, value in
    guard let index = Record.index(ofKey: key), index < count else {
      failure = "a key that nobody wrote"
      return false
    }
    let rank = (mix(UInt64(index)), index)
    if let previous, previous >= rank { failure = "record \(index) is out of order" }
    previous = rank
    if !Record.matches(value, index: index, version: version, scratch: &scratch) {
      failure = "record \(index) has another value than was written"
    }
    seen += 1
    sum &+= index
    return failure == nil
  }
  if let failure { throw Stop("scan: \(failure)") }
  // Distinct keys in order, as many as were written: none is missing.
  guard seen == count, sum == count * (count - 1) / 2 else {
    throw Stop("scan: \(seen) records, and \(count) were written")
  }
}

/// Waits until flushes and compactions have changed no table for `quietSeconds`.
func settle(_ store: Store, quietSeconds: Double = 3, limitSeconds: Double = 300) throws {
  let total = Stopwatch()
  var quiet = Stopwatch()
  var last: [LevelStatistics] = []
  while quiet.seconds < quietSeconds {
    guard total.seconds < limitSeconds else {
      throw Stop("background work has not come to rest in \(limitSeconds) s")
    }
    usleep(100_000)
    let statistics = try store.blocking.statistics()
    if let error = statistics.backgroundError { throw Stop("background work failed: \(error)") }
    if statistics.levels != last {
      last = statistics.levels
      quiet = Stopwatch()
    }
  }
}
