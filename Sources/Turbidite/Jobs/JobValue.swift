// JobValue — what a map may emit.
//
// Room:    Turbidite/Jobs.

/// A value that a map emits and a reducer takes.
///
/// Its bytes may go to a file and come back, in the same process.
public protocol JobValue: Sendable {
  /// Appends bytes from which ``init(jobBytes:)`` makes an equal value.
  func append(toJobBytes bytes: inout [UInt8])

  /// The value of which these are the bytes; nil when they are of none.
  init?(jobBytes: RawSpan)
}

/// A value of 64 bits: `Int` and `Double`, which cost least.
public protocol WordJobValue: JobValue {
  /// The value's bits.
  var jobWord: UInt64 { get }

  /// The value with these bits.
  init(jobWord: UInt64)
}

extension WordJobValue {
  /// Appends the bits, low byte first.
  public func append(toJobBytes bytes: inout [UInt8]) {
    var rest = jobWord
    for _ in 0..<8 {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest >>= 8
    }
  }

  /// Reads what ``append(toJobBytes:)`` wrote.
  public init?(jobBytes: RawSpan) {
    guard jobBytes.byteCount == 8 else { return nil }
    self.init(jobWord: Bytes(copying: jobBytes).array.reversed().reduce(0) { $0 << 8 | UInt64($1) })
  }
}

extension Int: WordJobValue {
  /// The integer's bits.
  @inlinable
  public var jobWord: UInt64 { UInt64(bitPattern: Int64(self)) }

  /// The integer with these bits.
  @inlinable
  public init(jobWord: UInt64) { self = Int(truncatingIfNeeded: jobWord) }
}

extension Double: WordJobValue {
  /// The number's bits.
  @inlinable
  public var jobWord: UInt64 { bitPattern }

  /// The number with these bits.
  @inlinable
  public init(jobWord: UInt64) { self.init(bitPattern: jobWord) }
}

extension Bytes: JobValue {
  /// Appends the bytes.
  public func append(toJobBytes bytes: inout [UInt8]) { bytes += array }

  /// A copy of the bytes.
  public init?(jobBytes: RawSpan) { self.init(copying: jobBytes) }
}
