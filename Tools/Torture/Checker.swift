// Checker — opens what a death has left, and holds it against the ledger.
//
// Room:    Tools/Torture.

import Turbidite

/// What a check found that was no fault.
package struct CheckOutcome: Sendable {
  /// Batches that are there although their commit had not returned.
  package var inFlight = 0
  /// Buffered batches that the power cut took.
  package var cut = 0
  /// The store had not been made yet.
  package var isUnborn = false
}

/// One way to look at a store after a death.
package enum Checker {
  /// Opens the store at `path`, compares it, and goes on from what it holds.
  ///
  /// Read-only, nothing is mended: the next writer recovers. Otherwise the store recovers here, is
  /// closed, opened again, and must answer the same.
  package static func check(
    _ path: String, _ ledger: inout Ledger, after ending: Ending, readOnly: Bool
  ) throws -> CheckOutcome {
    var outcome = CheckOutcome()
    let mayBeAbsent = ledger.allowsNothing(after: ending)
    guard let store = try open(path, readOnly: readOnly, mayBeAbsent: mayBeAbsent) else {
      ledger.startAnew()
      outcome.isUnborn = true
      return outcome
    }
    (outcome.inFlight, outcome.cut) = try compareAndClose(store, &ledger, ending)
    if readOnly { return outcome }
    ledger.harden()
    let again = try Store.Blocking.open(at: path, mode: .existing, options: Workload.options)
    let settled = ledger
    _ = try compareAndClose(again, &ledger, .processDeath)
    if ledger != settled {
      throw TortureFailure("a second opening gave \(ledger), the first \(settled)")
    }
    return outcome
  }

  /// Opens the store; nil when there is none, and there need be none.
  private static func open(
    _ path: String, readOnly: Bool, mayBeAbsent: Bool
  ) throws(StoreError) -> Store? {
    do throws(StoreError) {
      return try Store.Blocking.open(
        at: path, mode: readOnly ? .readOnly : .existing, options: Workload.options)
    } catch {
      if case .noStore = error, mayBeAbsent { return nil }
      throw error
    }
  }

  /// Compares, and closes the store in any case; the first failure is the one that counts.
  private static func compareAndClose(
    _ store: Store, _ ledger: inout Ledger, _ ending: Ending
  ) throws -> (inFlight: Int, cut: Int) {
    let result: (inFlight: Int, cut: Int)
    do {
      result = try ledger.compare(store, after: ending)
    } catch {
      var finding = "\(error)"
      do throws(StoreError) {
        try store.blocking.close()
      } catch let closing {
        finding += "; closing failed as well: \(closing)"
      }
      throw TortureFailure(finding)
    }
    try store.blocking.close()
    return result
  }
}
