// StreamKey — where an event of a stream lies among the keys of its keyspace.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 5.2.

/// The keys of a stream: its partition's number and the offset, high byte first, so that a
/// partition's events follow each other in their order.
package enum StreamKey {
  static let partitionByteCount = 4
  static let byteCount = 12
  /// Where the offset begins in a key.
  static let offsetPlace = partitionByteCount

  /// The key of one event.
  package static func bytes(partition: UInt32, offset: UInt64) -> [UInt8] {
    var key: [UInt8] = []
    key.reserveCapacity(byteCount)
    key.append(bigEndian: partition)
    key.append(bigEndian: offset)
    return key
  }

  /// The key behind all of a partition.
  package static func end(of partition: UInt32) -> [UInt8] {
    var key: [UInt8] = []
    key.append(bigEndian: partition + 1)
    return key
  }

  /// Reads the key of an event; nil where it is none.
  @inline(__always)
  static func read(_ key: ByteView) -> (partition: UInt32, offset: UInt64)? {
    guard key.count == byteCount else { return nil }
    let partition = UInt32(bigEndian: key.load(0, as: UInt32.self))
    let offset = UInt64(bigEndian: key.load(offsetPlace, as: UInt64.self))
    guard partition < Limits.partitionCount, offset < Limits.counter else { return nil }
    return (partition, offset)
  }

  /// Whether the next key belongs to another partition, or to what is no partition's.
  @inline(__always)
  static func isParted(_ last: ByteView, _ next: ByteView) -> Bool {
    last.count < partitionByteCount || next.count < partitionByteCount
      || last.load(0, as: UInt32.self) != next.load(0, as: UInt32.self)
  }

  /// What the keys begin with under which a stream keeps where its partitions begin.
  private static let startPrefix: UInt32 = 0xffff_fffe

  /// The key that says: of this partition nothing before `offset` is kept.
  static func start(of partition: UInt32, at offset: UInt64) -> [UInt8] {
    var key: [UInt8] = []
    key.append(bigEndian: startPrefix)
    key.append(bigEndian: partition)
    key.append(bigEndian: offset)
    return key
  }

  /// The key behind all that say where a partition begins.
  static func endOfStarts(of partition: UInt32) -> [UInt8] {
    var key: [UInt8] = []
    key.append(bigEndian: startPrefix)
    key.append(bigEndian: partition + 1)
    return key
  }

  /// Reads a key that says where a partition begins; nil where it is none.
  static func readStart(_ key: ByteView) -> (partition: UInt32, offset: UInt64)? {
    guard key.count == 4 + byteCount,
      UInt32(bigEndian: key.load(0, as: UInt32.self)) == startPrefix
    else { return nil }
    return (
      UInt32(bigEndian: key.load(4, as: UInt32.self)),
      UInt64(bigEndian: key.load(8, as: UInt64.self))
    )
  }

  /// What the keys begin with under which a stream keeps how far its producers have come.
  private static let producerPrefix: UInt32 = 0xffff_fffd

  /// The key under which a producer's next number is kept.
  static func producer(_ name: [UInt8]) -> [UInt8] {
    var key: [UInt8] = []
    key.append(bigEndian: producerPrefix)
    key.append(contentsOf: name)
    return key
  }

  /// The keys of all producers.
  package static var producers: (from: [UInt8], to: [UInt8]) {
    var to: [UInt8] = []
    to.append(bigEndian: producerPrefix + 1)
    return (producer([]), to)
  }

  /// The name in the key of a producer; nil where it is none.
  package static func readProducer(_ key: RawSpan) -> [UInt8]? {
    key.withView { key in
      guard key.count > partitionByteCount,
        UInt32(bigEndian: key.load(0, as: UInt32.self)) == producerPrefix
      else { return nil }
      return key.slice(partitionByteCount, key.count - partitionByteCount).bytes()
    }
  }

  /// What the keys of a stream's cursors begin with: no partition has this number.
  private static let cursorPrefix = [UInt8](repeating: 0xff, count: partitionByteCount)

  /// The key under which a cursor keeps the next offset that it wants of a partition.
  package static func cursor(_ name: [UInt8], partition: UInt32) -> [UInt8] {
    var key = cursorPrefix
    key.append(contentsOf: name)
    key.append(bigEndian: partition)
    return key
  }

  /// The keys of all cursors.
  package static var cursors: (from: [UInt8], to: [UInt8]) {
    (cursorPrefix, cursorPrefix + [UInt8](repeating: 0xff, count: Limits.keyByteCount - 4))
  }

  /// Reads the key of a cursor; nil where it is none.
  package static func readCursor(_ key: RawSpan) -> (name: [UInt8], partition: UInt32)? {
    key.withView(readCursor)
  }

  static func readCursor(_ key: ByteView) -> (name: [UInt8], partition: UInt32)? {
    let nameCount = key.count - 2 * partitionByteCount
    guard nameCount > 0, key.slice(0, partitionByteCount).bytes() == cursorPrefix else {
      return nil
    }
    let number = key.load(partitionByteCount + nameCount, as: UInt32.self)
    return (key.slice(partitionByteCount, nameCount).bytes(), UInt32(bigEndian: number))
  }

  /// The partition that an event with this key belongs to, in a stream of `count`.
  ///
  /// Never another one, whatever happens to shards: so the events of a key stay in order.
  package static func partition(of key: RawSpan, count: Int) -> UInt32 {
    let high = key.withView { $0.hash() } >> 32
    return UInt32((high * UInt64(count)) >> 32)
  }
}

extension [UInt8] {
  /// Appends an integer, high byte first.
  fileprivate mutating func append<Value: FixedWidthInteger>(bigEndian value: Value) {
    append(littleEndian: value.byteSwapped)
  }
}
