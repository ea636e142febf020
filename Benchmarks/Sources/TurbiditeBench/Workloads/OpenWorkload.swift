// OpenWorkload — opening a store that was closed, and one whose process was killed.
//
// Room:    Benchmarks.

import Glibc

/// Bytes of keys and values that a killed process leaves in its log.
private let logByteCount = 64 << 20

extension Trial {
  func reopen() throws {
    if wants("reopen-clean") { try reopenClosed() }
    if wants("reopen-log") { try reopenKilled() }
  }

  private func reopenClosed() throws {
    let ledger = Ledger(shape: shape)
    var unused = Latencies()
    let peer = try open("closed")
    let order = shuffledRanks(recordCount, seed: 15)
    _ = try putBatches(order, into: peer, ledger, &unused)
    try closeAtRest(peer)
    for rank in 0..<5 { try measureOpen("closed", as: "reopen-clean", ledger, rank: rank) }
    let reopened = try open("closed")
    try verify(reopened, ledger)
    try reopened.close()
  }

  /// Closes a store that has nothing left to do.
  func closeAtRest(_ peer: any Peer) throws {
    try peer.flush()
    settle()
    try peer.close()
  }

  /// Measures until the record of `rank` is there; closes the store again.
  func measureOpen(_ name: String, as workload: String, _ ledger: Ledger, rank: Int) throws {
    let buffer = RecordBuffer(ledger.shape)
    var peer: (any Peer)?
    try measure(workload) { _ in
      let opened = try open(name)
      peer = opened
      let session = try opened.session()
      defer { session.end() }
      try expect(session, ledger, buffer, rank)
      return 1
    }
    try peer?.close()
  }

  private func reopenKilled() throws {
    let status = try run([
      "/proc/self/exe", "leave-log", "--engine", kind.name, "--directory", path("killed"),
    ])
    guard status & 0x7f == SIGKILL else { throw Stop("the writing child ended with \(status)") }
    let ledger = loggedLedger()
    for rank in 0..<ledger.shape.capacity { ledger[rank] = 0 }
    var peer: (any Peer)?
    let buffer = RecordBuffer(ledger.shape)
    try measure("reopen-log") { _ in
      let opened = try open("killed")
      peer = opened
      let session = try opened.session()
      defer { session.end() }
      try expect(session, ledger, buffer, 0)
      return 1
    }
    if let peer {
      try verify(peer, ledger)
      try peer.close()
    }
  }
}

private func loggedLedger() -> Ledger {
  let recordByteCount = RecordShape(capacity: 1, valueByteCount: 100).recordByteCount
  return Ledger(
    shape: RecordShape(capacity: logByteCount / recordByteCount, valueByteCount: 100))
}

/// In a child: writes a log that no table covers, and dies.
func leaveLog(_ kind: PeerKind, at directory: String) throws -> Never {
  guard let open = kind.open else { throw Stop("\(kind.name) is not in this build") }
  // Synced, because an engine may gather its log in the memory that dies with the process.
  let peer = try open(directory, PeerTerms(isSynced: true, keepsLog: true))
  let ledger = loggedLedger()
  var unused = Latencies()
  let order = shuffledRanks(ledger.shape.capacity, seed: 16)
  _ = try putBatches(order, into: peer, ledger, &unused)
  kill(getpid(), SIGKILL)
  while true { pause() }
}
