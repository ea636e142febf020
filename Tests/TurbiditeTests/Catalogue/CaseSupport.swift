// CaseSupport — what the tests of docs/catalogue.md share.

import Synchronization
import Testing
import TurbiditeSimulation

@testable import Turbidite

/// The error that `body` throws; one that is not the store's is recorded.
func storeError(_ body: () throws -> Void) -> StoreError? {
  do { try body() } catch let error as StoreError { return error } catch {
    Issue.record("an error of another type: \(error)")
  }
  return nil
}

/// All entries of the default keyspace, as text.
func contents(_ store: Store) throws -> [String: String] {
  var result: [String: String] = [:]
  let scan = try store.blocking.scan()
  while let entry = try scan.next() { result[entry.key.text ?? ""] = entry.value.text }
  return result
}

extension SimulatedDisk {
  /// The path of the newest log segment.
  func newestSegment() throws -> String { "log/" + (try #require(try list("log").last)) }

  /// The number of calls in `body` that may change the disk.
  func changes(in body: () throws -> Void) rethrows -> Int {
    let counter = OperationCounter()
    faultPlan = { operation, _ in
      if operation.changesDisk { counter.count.withLock { $0 += 1 } }
      return nil
    }
    defer { faultPlan = nil }
    try body()
    return counter.count.withLock { $0 }
  }
}
