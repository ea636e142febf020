// TortureLedgerTests — the checker of the torture finds what is planted.

import Foundation
import Synchronization
import Testing
import TurbiditeTorture

@testable import Turbidite

/// A ledger that could not fail would prove nothing.
///
/// Method: the writers' batches are committed in this process; then the store or the promises are
///         changed in one way each, and the comparison must say so.
@Suite("Torture ledger")
final class TortureLedgerTests {
  private let scratch = ScratchDirectory()
  private var said: [Acknowledgement] = []
  private var path: String { scratch.file("store") }

  /// Commits `count` batches of each lane, and promises them.
  private func written(_ count: Int = 230) throws -> (store: Store, ledger: Ledger) {
    let store = try Store.Blocking.open(at: path, options: Workload.options)
    let heard = Heard()
    let workload = try Workload(store, seed: 7) { heard.add($0) }
    for lane in 0..<Workload.laneCount { try workload.runBlocking(lane: lane, limit: count) }
    said = heard.list
    var ledger = Ledger()
    try ledger.take(said)
    return (store, ledger)
  }

  private func failure(_ store: Store, _ ledger: Ledger, _ ending: Ending) -> String {
    var ledger = ledger
    do {
      _ = try ledger.compare(store, after: ending)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test("what was written and promised is found, after either ending")
  func agreement() throws {
    let (store, ledger) = try written()
    #expect(ledger.acknowledged == [230, 230, 230, 230])
    #expect(ledger.durable.allSatisfy { $0 > 0 && $0 <= 230 })
    #expect(failure(store, ledger, .processDeath) == "")
    #expect(failure(store, ledger, .powerCut) == "")
    try store.blocking.close()
  }

  @Test("a promise beyond what is there is a loss; a buffered one only when a process died")
  func loss() throws {
    let (store, ledger) = try written()
    var buffered = ledger
    try buffered.take([Acknowledgement(.buffered, lane: 1, number: 231)])
    #expect(failure(store, buffered, .processDeath).hasPrefix("LOST: lane 1 is at 230"))
    #expect(failure(store, buffered, .powerCut) == "")
    var synced = ledger
    try synced.take([Acknowledgement(.synced, lane: 1, number: 231)])
    #expect(failure(store, synced, .powerCut).hasPrefix("LOST"))
    var covered = buffered
    try covered.take([Acknowledgement(.covered, lane: 1, number: 231)])
    #expect(failure(store, covered, .powerCut).hasPrefix("LOST"))
    try store.blocking.close()
  }

  @Test("what was heard while the power went is a promise against a kill, and none against a cut")
  func doubtful() throws {
    let (store, ledger) = try written(20)
    let heard = [
      Acknowledgement(.synced, lane: 1, number: 21),
      Acknowledgement(.buffered, lane: 2, number: 21),
      Acknowledgement(.covered, lane: 2, number: 21),
    ]
    var doubtful = ledger
    try doubtful.take(heard, firmCount: 0)
    #expect(doubtful.durable == ledger.durable)
    #expect(failure(store, doubtful, .powerCut) == "")
    #expect(failure(store, doubtful, .processDeath).hasPrefix("LOST"))
    var firm = ledger
    try firm.take(heard, firmCount: 1)
    #expect(failure(store, firm, .powerCut).hasPrefix("LOST: lane 1"))
    try store.blocking.close()
  }

  @Test(
    "one entry that is missing, changed, or back again is found",
    arguments: ["2/b/0000000200/3", "2/k/0", "2/w/5", "2/b/0000000100/0"])
  func oneEntry(key: String) throws {
    let (store, ledger) = try written()
    let isThere = try store.blocking.contains(Bytes(key))
    #expect(isThere == (key != "2/b/0000000100/0"))
    try store.blocking.put(Bytes(key), "planted")
    #expect(failure(store, ledger, .processDeath).hasPrefix("WRONG"))
    if isThere {
      try store.blocking.delete(Bytes(key))
      #expect(failure(store, ledger, .processDeath).hasPrefix("WRONG"))
    }
    try store.blocking.close()
  }

  @Test("a batch that is there without one that had returned before it is no prefix")
  func prefix() throws {
    let (store, ledger) = try written(3)
    // Lane 0's third batch, as if it had been begun when lane 1 had returned four times.
    try store.blocking.put("0/n", "3 2 4 0 0")
    #expect(failure(store, ledger, .powerCut).hasPrefix("NO PREFIX"))
    try store.blocking.close()
  }

  @Test("half a batch is found: the second keyspace stayed behind")
  func half() throws {
    let (store, ledger) = try written(10)
    let twin = try store.blocking.keyspace("twin")
    try store.blocking.put("3/t/10", "9", in: twin)
    #expect(failure(store, ledger, .processDeath).hasPrefix("WRONG"))
    try store.blocking.close()
  }

  @Test("an acknowledgement out of its order, or garbled, is refused")
  func sentences() throws {
    var ledger = Ledger()
    #expect(throws: TortureFailure.self) {
      try ledger.take([Acknowledgement(.buffered, lane: 0, number: 2)])
    }
    #expect(throws: TortureFailure.self) {
      try ledger.take([Acknowledgement(.covered, lane: 0, number: 1)])
    }
    let sentence = Acknowledgement(.covered, lane: 3, number: 1 << 40)
    #expect(try Acknowledgement.list(in: sentence.bytes + sentence.bytes) == [sentence, sentence])
    #expect(throws: TortureFailure.self) { try Acknowledgement.list(in: [1, 2, 3]) }
    var strange = sentence.bytes
    strange[5] = 1
    #expect(throws: TortureFailure.self) { try Acknowledgement.list(in: strange) }
  }

  @Test("no store is no loss only where nothing was promised")
  func absent() throws {
    var ledger = Ledger()
    #expect(
      try Checker.check(path, &ledger, after: .processDeath, readOnly: true).isUnborn)
    try ledger.take([Acknowledgement(.buffered, lane: 0, number: 1)])
    #expect(throws: StoreError.self) {
      try Checker.check(path, &ledger, after: .processDeath, readOnly: true)
    }
    #expect(try Checker.check(path, &ledger, after: .powerCut, readOnly: true).isUnborn)
  }
}

/// What a workload said.
private final class Heard: Sendable {
  private let sentences = Mutex<[Acknowledgement]>([])

  var list: [Acknowledgement] { sentences.withLock { $0 } }

  func add(_ sentence: Acknowledgement) { sentences.withLock { $0.append(sentence) } }
}
