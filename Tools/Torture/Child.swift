// Child — the process that dies: it writes to a store and says what was acknowledged.
//
// Room:    Tools/Torture. Started by ChildProcess.swift; the executables that offer it as a verb
//          are turbidite-torture and, hidden, turbidite.

import Foundation
import Turbidite

/// The child's side of the harness.
package enum Child {
  /// The exit status of a child whose store gave an error.
  package static let failedStatus: Int32 = 70
  /// The exit status of a child whose parent is gone.
  private static let orphanedStatus: Int32 = 74

  /// The last word of a child that repairs the store it is given first into what it is given next.
  package static let repairWord = "repair"

  /// The last word of a child that appends to a stream and reads it.
  package static let streamWord = "streams"

  /// Does the work of `words`, which are a store, a seed and a phase or `streams`, or a store, a
  /// place for a new one and `repair`; does not return.
  package static func main(_ words: [String]) -> Never {
    if words.count == 3, words[2] == repairWord { repair(words[0], into: words[1]) }
    guard words.count == 3, let seed = UInt64(words[1]) else {
      end(64, "usage: child STORE SEED PHASE")
    }
    if words[2] == streamWord { streams(words[0], seed) }
    guard let phase = Phase(rawValue: words[2]) else { end(64, "no phase is \(words[2])") }
    say(Acknowledgement(.born, number: Int(getpid())))
    do throws(StoreError) {
      try run(words[0], seed, phase)
    } catch {
      end(failedStatus, "\(error)")
    }
    exit(0)
  }

  private static func repair(_ path: String, into target: String) -> Never {
    say(Acknowledgement(.born, number: Int(getpid())))
    do throws(StoreError) {
      _ = try Turbidite.repair(storeAt: path, into: target)
    } catch {
      end(failedStatus, "\(error)")
    }
    exit(0)
  }

  private static func streams(_ path: String, _ seed: UInt64) -> Never {
    say(Acknowledgement(.born, number: Int(getpid())))
    do throws(StoreError) {
      let store = try Store.Blocking.open(at: path, options: Workload.options)
      say(Acknowledgement(.opened))
      let workload = try StreamWorkload(store, seed: seed, say: say)
      for consumer in 0..<StreamWorkload.consumerCount {
        Thread.detachNewThread {
          do throws(StoreError) {
            try workload.consume(consumer)
          } catch { end(failedStatus, "consumer \(consumer): \(error)") }
        }
      }
      Task.detached {
        do throws(StoreError) {
          try await workload.produceSuspending()
        } catch { end(failedStatus, "a producing task: \(error)") }
      }
      try workload.produceBlocking()
    } catch {
      end(failedStatus, "\(error)")
    }
  }

  private static func run(_ path: String, _ seed: UInt64, _ phase: Phase) throws(StoreError) {
    let store = try Store.Blocking.open(at: path, options: Workload.options)
    say(Acknowledgement(.opened))
    guard phase != .recover else { return try store.blocking.close() }
    let workload = try Workload(store, seed: seed, say: say)
    switch phase {
    case .recover: return
    case .write: try write(workload)
    case .upkeep:
      for _ in 0..<2 {
        for lane in 0..<Workload.laneCount { try workload.runBlocking(lane: lane, limit: 12) }
        try workload.cover { () throws(StoreError) in try store.blocking.flush() }
      }
      try store.blocking.compact()
      try workload.cover { () throws(StoreError) in try store.blocking.close() }
    }
  }

  private static func write(_ workload: Workload) throws(StoreError) {
    for lane in 1..<Workload.laneCount {
      if lane == 1 {
        Thread.detachNewThread {
          do throws(StoreError) {
            try workload.runBlocking(lane: lane)
          } catch {
            end(failedStatus, "lane \(lane): \(error)")
          }
        }
      } else {
        Task.detached {
          do throws(StoreError) {
            try await workload.runSuspending(lane: lane)
          } catch {
            end(failedStatus, "lane \(lane): \(error)")
          }
        }
      }
    }
    try workload.runBlocking(lane: 0)
  }

  @Sendable private static func say(_ sentence: Acknowledgement) {
    let bytes = sentence.bytes
    guard Foundation.write(1, bytes, bytes.count) == bytes.count else { _exit(orphanedStatus) }
  }

  private static func end(_ status: Int32, _ message: String) -> Never {
    let line = Array((message + "\n").utf8)
    // The parent looks at the status; nobody may be there to read the words.
    _ = Foundation.write(2, line, line.count)
    _exit(status)
  }
}
