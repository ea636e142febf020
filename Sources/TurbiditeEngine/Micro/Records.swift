// Records — the keys and the value that the operations work on.
//
// Room:    Engine/Micro. Compiled for Tools/micro alone.

/// Keys of 16 bytes in no order, and one value of 100 bytes of which half repeats: the sizes of the
/// benchmarks that compare engines.
///
/// Invariant: `count` is a power of two, so that `mask` leads back to the first.
package struct Records {
  package static let count = 8_192
  package static let mask = count - 1
  static let keyByteCount = 16

  private let keys: OwnedBuffer
  private let valueOwner: OwnedBuffer

  /// The records of `ranks`, in their order.
  init(_ ranks: some Sequence<Int>) throws {
    let bytes = ranks.flatMap(Self.keyBytes)
    keys = try bytes.withView { try Self.copy($0) }
    valueOwner = try Self.valueBytes.withView { try Self.copy($0) }
  }

  /// The key of the record at `index`; valid while these records are held.
  @inline(__always)
  func key(_ index: Int) -> ByteView {
    keys.view.slice(index &* Self.keyByteCount, Self.keyByteCount)
  }

  /// The value of every record; valid while these records are held.
  var value: ByteView { valueOwner.view }

  static func copy(_ view: ByteView) throws -> OwnedBuffer {
    guard let owner = OwnedBuffer(copying: view) else {
      throw StoreError.resourceExhausted("memory for a benchmark")
    }
    return owner
  }

  // MARK: - Bytes

  /// SplitMix64's finalizer of the rank, and the rank: different for different ranks.
  package static func keyBytes(_ rank: Int) -> [UInt8] {
    bytes(scattered(rank)) + bytes(UInt64(rank))
  }

  package static var valueBytes: [UInt8] {
    (0..<50).map { UInt8(truncatingIfNeeded: scattered($0)) } + [UInt8](repeating: 0x2e, count: 50)
  }

  /// Orders ranks by their keys.
  static func isBefore(_ one: Int, _ other: Int) -> Bool { scattered(one) < scattered(other) }

  private static func scattered(_ rank: Int) -> UInt64 {
    var value = UInt64(rank) &* 0x9e37_79b9_7f4a_7c15
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
    return value ^ value >> 31
  }

  private static func bytes(_ number: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
  }
}
