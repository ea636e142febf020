// turbidite-kill-writer — writes to a store until somebody kills it, and says what was
// acknowledged.
//
// For Tests/TurbiditeTests/KillTests.swift, which states the same contents a second time and
// compares. Usage: turbidite-kill-writer STORE SEED LANES
//
// Room:    Tools/KillWriter.
//
// Each lane is a writer of its own with a counter of its own, which it reads from the store. Batch
// `n` of a lane puts the counter, five keys of its own and one shared key, and deletes what batch
// `n - window` put: what the store holds follows from the last batch of each lane alone.

import Foundation
import Turbidite

@main
enum KillWriter {
  static let window = 300
  static let sharedKeyCount = 40

  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count == 4, let seed = UInt64(arguments[2]), let lanes = Int(arguments[3])
    else { fail("usage: turbidite-kill-writer STORE SEED LANES") }
    var options = Store.Options(shardCount: 3)
    options.memtableByteCount = 16 << 10
    options.tableByteCount = 16 << 10
    options.blockByteCount = 512
    options.logByteCount = 256 << 10
    options.memoryBudgetByteCount = 4 << 20
    do throws(StoreError) {
      let store = try Store.Blocking.open(at: arguments[1], options: options)
      for lane in 1..<max(lanes, 1) {
        Task.detached { await Lane(store, lane, seed).runSuspending() }
      }
      try Lane(store, 0, seed).runBlocking()
    } catch {
      fail("\(error)")
    }
  }

  static func fail(_ message: String) -> Never {
    let line = Array((message + "\n").utf8)
    _ = write(2, line, line.count)
    exit(70)
  }
}

/// One writer.
struct Lane: Sendable {
  let store: Store
  let number: Int
  let seed: UInt64

  init(_ store: Store, _ number: Int, _ seed: UInt64) {
    self.store = store
    self.number = number
    self.seed = seed
  }

  /// Commits batches on the calling thread, and flushes and compacts now and then.
  func runBlocking() throws(StoreError) -> Never {
    var batch = try last(store.blocking.get(counterKey))
    while true {
      batch += 1
      let chance = draw(batch)
      try store.blocking.commit(
        changes(of: batch), durability: chance % 16 == 0 ? .synced : .buffered)
      acknowledge(batch)
      if chance >> 8 % 97 == 0 { try store.blocking.flush() }
      if chance >> 16 % 211 == 0 { try store.blocking.compact() }
    }
  }

  /// Commits batches as a task.
  func runSuspending() async {
    do throws(StoreError) {
      var batch = try last(await store.get(counterKey))
      while true {
        batch += 1
        try await store.commit(
          changes(of: batch), durability: draw(batch) % 4 == 0 ? .synced : .buffered)
        acknowledge(batch)
      }
    } catch {
      KillWriter.fail("lane \(number): \(error)")
    }
  }

  private var counterKey: Bytes { Bytes("\(number)/n") }

  private func last(_ value: Bytes?) -> Int { value?.text.flatMap { Int($0) } ?? 0 }

  /// Chance that need not be the same at the next run: it decides how a batch is written, not what.
  private func draw(_ batch: Int) -> UInt64 {
    var bits = (seed &+ UInt64(batch) &* 0x9e37_79b9_7f4a_7c15) ^ UInt64(number) << 32
    bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
    bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
    return bits ^ bits >> 31
  }

  private func changes(of batch: Int) -> Store.Batch {
    var changes = Store.Batch()
    changes.put(counterKey, Bytes("\(batch)"))
    for part in 0..<5 {
      let filler = String(repeating: ".", count: (batch * 7 + part * 131) % 700)
      changes.put(Bytes("\(number)/b/\(batch)/\(part)"), Bytes("\(batch)\(filler)"))
      if batch > KillWriter.window {
        changes.delete(Bytes("\(number)/b/\(batch - KillWriter.window)/\(part)"))
      }
    }
    let shared = batch * batch % KillWriter.sharedKeyCount
    changes.put(Bytes("\(number)/k/\(shared)"), Bytes("\(batch)"))
    return changes
  }

  /// Sixteen bytes: a mark, the lane and the batch.
  ///
  /// A pipe takes so few in one piece.
  private func acknowledge(_ batch: Int) {
    var record: [UInt8] = Array("ACKN".utf8)
    for shift in stride(from: 0, to: 32, by: 8) {
      record.append(UInt8(truncatingIfNeeded: number >> shift))
    }
    for shift in stride(from: 0, to: 64, by: 8) {
      record.append(UInt8(truncatingIfNeeded: batch >> shift))
    }
    guard write(1, record, record.count) == record.count else { exit(74) }
  }
}
