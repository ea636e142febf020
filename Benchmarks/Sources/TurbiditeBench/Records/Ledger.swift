// Ledger — which version of each record a store must hold.
//
// Room:    Benchmarks.

/// The version of every record, or that it is absent; and a buffer each for a key and a value.
///
/// Safe to share: threads that write at the same time write different ranks, and a thread that reads
/// while another writes does not ask for versions.
final class Ledger: @unchecked Sendable {
  static let absent = UInt16.max

  let shape: RecordShape
  private let versions: UnsafeMutablePointer<UInt16>

  init(shape: RecordShape) {
    self.shape = shape
    versions = .allocate(capacity: shape.capacity)
    versions.initialize(repeating: Self.absent, count: shape.capacity)
  }

  deinit { versions.deallocate() }

  /// Of records that are there or not.
  var ranks: Range<UInt32> { 0..<UInt32(shape.capacity) }

  var byteCount: Int { shape.capacity * MemoryLayout<UInt16>.stride }

  @inline(__always)
  subscript(rank: Int) -> UInt16 {
    get { versions[rank] }
    set { versions[rank] = newValue }
  }

  var presentCount: Int {
    (0..<shape.capacity).count { versions[$0] != Self.absent }
  }
}

/// A key and a value in the making, of one thread.
struct RecordBuffer: ~Copyable {
  let shape: RecordShape
  private let key: UnsafeMutableRawBufferPointer
  private let value: UnsafeMutableRawBufferPointer

  init(_ shape: RecordShape) {
    self.shape = shape
    key = .allocate(byteCount: RecordShape.keyByteCount, alignment: 16)
    value = .allocate(byteCount: shape.valueByteCount, alignment: 16)
  }

  deinit {
    key.deallocate()
    value.deallocate()
  }

  /// The key of `rank`; valid until the next.
  @inline(__always)
  func key(_ rank: Int, isAbsent: Bool = false) -> Lent {
    shape.writeKey(rank, isAbsent: isAbsent, to: key.baseAddress!)
    return Lent(key)
  }

  /// The value of `rank` at `version`; valid until the next.
  @inline(__always)
  func value(_ rank: Int, version: UInt16) -> Lent {
    shape.writeValue(rank, version: version, to: value.baseAddress!)
    return Lent(value)
  }
}
