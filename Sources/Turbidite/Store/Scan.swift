// Scan — entries in key order, one after the other, for synchronous code.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine

/// A walk over a range of a keyspace at one moment.
///
/// One thread at a time may use it.
///
/// It holds its moment like a ``Snapshot`` until it is released, and memtables that it reads until
/// its first step after their flush.
public final class Scan {
  private let pin: SnapshotPin
  private(set) var scan: EngineScan
  private let keysOnly: Bool
  private var remaining: Int

  init(
    pin: SnapshotPin, range: KeyRange, keyspace: KeyspaceState, reverse: Bool, limit: Int?,
    keysOnly: Bool
  ) throws(StoreError) {
    precondition(limit ?? 0 >= 0, "a limit is not negative")
    self.pin = pin
    self.keysOnly = keysOnly
    remaining = limit ?? .max
    scan = try pin.store.engine.scan(
      keyspace, at: pin.sequence, pinnedBy: pin, from: range.from?.array, to: range.to?.array,
      reverse: reverse)
  }

  /// The next entry, or nil at the end.
  ///
  /// Copies key and value.
  public func next() throws(StoreError) -> Entry? {
    guard remaining > 0 else { return nil }
    let scan = try current()
    guard try scan.advance() else { return nil }
    remaining -= 1
    let keysOnly = keysOnly
    return scan.withEntry { key, value in
      Entry(key: Bytes(copying: key), value: keysOnly ? Bytes([]) : Bytes(copying: value))
    }
  }

  /// Calls `body` with each remaining entry, without copying, until it returns false.
  ///
  /// The spans are valid during the call.
  public func forEach(_ body: (RawSpan, RawSpan) -> Bool) throws(StoreError) {
    var scan = scan
    while remaining > 0 {
      if scan.isStale { scan = try current() }
      guard try scan.advance() else { return }
      remaining -= 1
      if !scan.withEntry(body) { return }
    }
  }

  /// The number of remaining entries; walks them.
  public func count() throws(StoreError) -> Int {
    var count = 0
    try forEach { _, _ in
      count += 1
      return true
    }
    return count
  }

  /// The scan, as it goes on after a flush.
  private func current() throws(StoreError) -> EngineScan {
    if scan.isStale { scan = try scan.renewed() }
    return scan
  }
}
