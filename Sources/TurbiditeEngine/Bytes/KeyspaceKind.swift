// KeyspaceKind — what the keys of a keyspace are, and so how they are parted.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 5.1.

/// What a keyspace holds.
enum KeyspaceKind: Hashable, Sendable {
  /// Keys of a user's choice.
  case map(Partitioning)
  /// Events under their partitions and offsets.
  case stream(partitionCount: Int)

  static let plain = KeyspaceKind.map(.wholeKey)

  var partitioning: Partitioning {
    switch self {
    case .map(let partitioning): return partitioning
    // A partition lies in one shard as a whole.
    case .stream: return .firstBytes(StreamKey.partitionByteCount)
    }
  }

  /// The partitions of a stream; nil for a map.
  var partitionCount: Int? {
    guard case .stream(let count) = self else { return nil }
    return count
  }

  private enum Code {
    static let upToDelimiter: UInt8 = 1
    static let firstBytes: UInt8 = 2
    static let stream: UInt8 = 3
  }

  /// Appends what stands in a file for any but the plain kind, for which nothing stands.
  func append(to bytes: inout [UInt8]) {
    switch self {
    case .map(.wholeKey): break
    case .map(.upTo(let delimiter)):
      bytes.append(Code.upToDelimiter)
      bytes.append(delimiter)
    case .map(.firstBytes(let count)):
      bytes.append(Code.firstBytes)
      bytes.append(varint: count)
    case .stream(let partitionCount):
      bytes.append(Code.stream)
      bytes.append(varint: partitionCount)
    }
  }

  /// Reads one that is not the plain kind.
  static func decode(_ reader: inout ByteReader) throws(DecodingFailure) -> KeyspaceKind {
    let start = reader.offset
    switch try reader.byte() {
    case Code.upToDelimiter: return .map(.upTo(delimiter: try reader.byte()))
    case Code.firstBytes:
      let count = try reader.count("partition part", atMost: Limits.keyByteCount)
      guard count > 0 else { throw .invalid("a partition part of no bytes", at: start) }
      return .map(.firstBytes(count))
    case Code.stream:
      let count = try reader.count("partition count", atMost: Limits.partitionCount)
      guard count > 0 else { throw .invalid("a stream of no partitions", at: start) }
      return .stream(partitionCount: count)
    default: throw .invalid("an unknown kind of keyspace", at: start)
    }
  }
}

extension KeyspaceKind: CustomStringConvertible {
  /// For messages and tools.
  var description: String {
    switch self {
    case .map(let partitioning): return "parted by \(partitioning)"
    case .stream(let count): return "a stream of \(count) partitions"
    }
  }
}
