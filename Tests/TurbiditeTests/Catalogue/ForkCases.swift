// ForkCases — docs/catalogue.md: a process that forks while a store is open.

import Foundation
import Testing

@testable import Turbidite

@Suite("Cases of forks")
struct ForkCases {
  /// Swift hides fork(2), because a child of several threads may do little; users of C may do it.
  private func fork() throws -> pid_t {
    typealias Fork = @convention(c) () -> pid_t
    let symbol = try #require(dlsym(nil, "fork"))
    return unsafeBitCast(symbol, to: Fork.self)()
  }

  /// What the child found, as bits; nil when it did not end.
  ///
  /// The runtime's own locks may have been held by another thread at the moment of the fork, and
  /// are then held in the child for ever.
  private func inChild(_ body: () -> Int32) throws -> Int32? {
    let child = try fork()
    if child == 0 { _exit(body()) }
    var status: Int32 = 0
    for _ in 0..<200 {
      if waitpid(child, &status, WNOHANG) == child {
        return status & 0x7f == 0 ? status >> 8 & 0xff : nil
      }
      usleep(10_000)
    }
    kill(child, SIGKILL)
    waitpid(child, &status, 0)
    return nil
  }

  @Test("case 44: a child's calls are refused, and neither its close nor its end unlocks the store")
  func case44() throws {
    let place = ScratchDirectory()
    let path = place.file("store")
    let store = try Store.Blocking.open(at: path, options: Store.Options(shardCount: 2))
    try store.blocking.put("before", "1")
    func isForked(_ body: () throws -> Void) -> Bool {
      do { try body() } catch { return (error as? StoreError) == .forked }
      return false
    }
    var found: Int32?
    for _ in 0..<5 where found == nil {
      found = try inChild {
        var bits: Int32 = 0
        if isForked({ _ = try store.blocking.get("before") }) { bits |= 1 }
        if isForked({ try store.blocking.put("child", "1") }) { bits |= 2 }
        if isForked({ try store.blocking.sync() }) { bits |= 4 }
        if isForked({ try store.blocking.close() }) { bits |= 8 }
        // As when the child lets go of its store.
        store.engine.abandon()
        return bits
      }
    }
    #expect(found == 15)
    guard case .locked = storeError({ _ = try Store.Blocking.open(at: path) }) else {
      Issue.record("the child took the parent's lock away")
      return
    }
    try store.blocking.put("after", "1", durability: .synced)
    try store.blocking.close()
    #expect(StoreError.forked.exitStatus == 69)
    let again = try Store.Blocking.open(at: path)
    #expect(try contents(again) == ["before": "1", "after": "1"])
    try again.blocking.close()
  }
}
