// JobRecord+Unsafe — one entry or event as a job sees it.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine

/// An entry of a keyspace, or an event of a stream, without a copy.
///
/// It is the job's code's while that is called.
///
/// Safe: who makes it holds the scan and the keyspace for longer than the spans, which it does not
/// outlive; counting references to them would cost a record more than all else that is done here.
@safe
public struct JobRecord: ~Escapable {
  /// The entry's key, or the event's; empty for an event without one.
  public let key: RawSpan
  /// The value.
  public let value: RawSpan
  private unowned(unsafe) let scan: EngineScan
  private unowned(unsafe) let state: KeyspaceState

  @_lifetime(copy key, copy value)
  init(key: RawSpan, value: RawSpan, scan: EngineScan, state: KeyspaceState) {
    self.key = key
    self.value = value
    unsafe self.scan = scan
    unsafe self.state = state
  }

  /// The record as an event, with its place, timestamp and headers; nil for an entry of a keyspace.
  ///
  /// Copies it.
  ///
  /// - Throws: `corrupt` when what lies there is no event.
  public func event() throws(StoreError) -> Event? {
    let (scan, state) = unsafe (scan, state)
    guard state.partitionCount != nil else { return nil }
    let (partition, offset, content) = try scan.event(of: state)
    return Event(
      position: EventPosition(partition: Int(partition), offset: offset),
      timestamp: content.timestamp, key: content.key.map { Bytes($0) },
      value: Bytes(content.value),
      headers: content.headers.map { EventHeader(Bytes($0.name), Bytes($0.value)) })
  }
}

extension RawSpan {
  /// What follows `prefix`; nil where the bytes do not begin so.
  @_lifetime(copy self)
  public func after(_ prefix: Bytes) -> RawSpan? {
    guard prefix.withSpan({ FieldScan.begins(self, with: $0) }) else { return nil }
    return extracting(droppingFirst: prefix.count)
  }

  /// Where a byte comes first; nil where it does not.
  public func firstIndex(of byte: UInt8) -> Int? { FieldScan.firstIndex(of: byte, in: self) }

  /// Calls `body` with each run of bytes between one `separator` and the next, in order; with the
  /// whole where there is none.
  public func forEachField(separatedBy separator: UInt8, _ body: (RawSpan) -> Void) {
    FieldScan.fields(of: self, separatedBy: separator, body)
  }

  /// Calls `body` with each run of bytes that are no white space of ASCII, in order.
  public func forEachWord(_ body: (RawSpan) -> Void) { FieldScan.words(of: self, body) }

  /// The integer that the bytes spell in decimal, with or without a sign; nil when they spell none,
  /// or one beyond 64 bits.
  public var decimal: Int? { FieldScan.decimal(self) }
}
