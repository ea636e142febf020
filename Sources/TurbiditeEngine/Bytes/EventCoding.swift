// EventCoding — an event of a stream as the value of its key.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 5.2.

/// What the store keeps of an event apart from its place.
package struct EventContent: Hashable, Sendable {
  /// Microseconds since 1970-01-01 UTC; may be negative.
  package var timestamp: Int64
  package var key: [UInt8]?
  package var value: [UInt8]
  /// Names and values, in the order in which they were given.
  package var headers: [Header]

  package struct Header: Hashable, Sendable {
    package var name: [UInt8]
    package var value: [UInt8]

    package init(name: [UInt8], value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }

  package init(timestamp: Int64, key: [UInt8]?, value: [UInt8], headers: [Header]) {
    self.timestamp = timestamp
    self.key = key
    self.value = value
    self.headers = headers
  }

  /// Headers that an event may have.
  package static let headerLimit = 1024

  /// The timestamp of an entry of a stream; nil where it is no event.
  @inline(__always)
  static func timestamp(_ key: ByteView, _ tag: Tag, _ value: ByteView) -> Int64? {
    tag.isValue && StreamKey.read(key) != nil ? timestamp(of: value) : nil
  }

  /// The timestamp in an event's value; nil where the value is damaged.
  @inline(__always)
  static func timestamp(of value: ByteView) -> Int64? {
    value.count >= 8 ? value.load(0, as: Int64.self) : nil
  }

  /// Finds the key and the value in what ``EventBytes`` wrote, and copies nothing.
  static func parts(
    of bytes: ByteView
  ) throws(DecodingFailure) -> (timestamp: Int64, key: ByteView?, value: ByteView) {
    var reader = ByteReader(bytes)
    let timestamp = try reader.integer(Int64.self)
    let keyCount = try reader.count("key length", atMost: reader.remaining)
    let key = keyCount == 0 ? nil : try reader.take(keyCount - 1)
    let headerCount = try reader.count("header count", atMost: headerLimit)
    for _ in 0..<headerCount {
      _ = try reader.lengthPrefixed()
      _ = try reader.lengthPrefixed()
    }
    return (timestamp, key, try reader.take(reader.remaining))
  }

  /// Reads what ``EventBytes`` wrote.
  init(decoding bytes: ByteView) throws(DecodingFailure) {
    var reader = ByteReader(bytes)
    timestamp = try reader.integer(Int64.self)
    let keyCount = try reader.count("key length", atMost: reader.remaining)
    key = keyCount == 0 ? nil : try reader.take(keyCount - 1).bytes()
    let headerCount = try reader.count("header count", atMost: Self.headerLimit)
    headers = []
    for _ in 0..<headerCount {
      let name = try reader.lengthPrefixed().bytes()
      headers.append(Header(name: name, value: try reader.lengthPrefixed().bytes()))
    }
    value = try reader.take(reader.remaining).bytes()
  }
}

/// An event whose bytes are somebody else's.
struct EventBytes {
  /// Nil leaves eight bytes for it.
  var timestamp: Int64?
  var key: ByteView?
  var value: ByteView
  var headers: [EventContent.Header]

  /// The bytes that ``encode(into:)`` writes.
  @inline(__always)
  var byteCount: Int {
    let keyCount = key?.count ?? 0
    var count = 8 + varintByteCount(UInt64(keyCount + 1)) + keyCount
    count += varintByteCount(UInt64(headers.count)) + value.count
    for header in headers {
      count += varintByteCount(UInt64(header.name.count)) + header.name.count
      count += varintByteCount(UInt64(header.value.count)) + header.value.count
    }
    return count
  }

  @inline(__always)
  func encode(into writer: inout RoomWriter) {
    writer.append(littleEndian: timestamp ?? 0)
    // One more than the key's length, so that no key and an empty one differ.
    writer.append(varint: key.map { UInt64($0.count + 1) } ?? 0)
    if let key { writer.append(key) }
    writer.append(varint: UInt64(headers.count))
    for header in headers {
      header.name.withView { writer.append(lengthPrefixed: $0) }
      header.value.withView { writer.append(lengthPrefixed: $0) }
    }
    writer.append(value)
  }
}
