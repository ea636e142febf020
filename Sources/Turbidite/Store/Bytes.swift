// Bytes — keys and values as users write them.
//
// Room:    Turbidite/Store.

/// A run of bytes: a key or a value.
///
/// Written as a string literal it holds the UTF-8 of the text. Ordered bytewise, as the store
/// orders its keys.
public struct Bytes: Sendable, Hashable {
  /// The bytes.
  public var array: [UInt8]

  /// The bytes of an array.
  public init(_ array: [UInt8]) { self.array = array }

  /// The UTF-8 of a text.
  public init(_ text: String) { array = Array(text.utf8) }

  /// A copy of a span.
  public init(copying span: RawSpan) {
    // Safe: the span's bounds are its own invariant, and the bytes are copied before it ends.
    array = unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
  }

  /// The number of bytes.
  public var count: Int { array.count }

  /// Whether there are none.
  public var isEmpty: Bool { array.isEmpty }

  /// The bytes as text, or nil when they are not valid UTF-8.
  public var text: String? { String(validating: array, as: UTF8.self) }

  /// Lends the bytes as a span for the duration of `body`.
  func withSpan<Result: ~Copyable, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // Safe: initialised UInt8 elements are initialised bytes; the span does not leave `body`.
    try unsafe body(array.span.bytes)
  }
}

extension Bytes {
  /// Lends the bytes as a span, for our other modules.
  package func withBytes<Result: ~Copyable, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withSpan(body)
  }

  /// Lends the bytes of an array as a span.
  package static func lending<Result: ~Copyable, Failure: Error>(
    _ array: [UInt8], _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try Bytes(array).withSpan(body)
  }
}

extension [UInt8] {
  /// Appends the bytes of a span.
  package mutating func append(copying span: RawSpan) {
    // Safe: the span's bounds are its own invariant, and the bytes are copied before it ends.
    unsafe span.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }
}

extension Bytes: Comparable {
  /// Bytewise order; a proper prefix comes first.
  public static func < (one: Bytes, other: Bytes) -> Bool {
    one.array.lexicographicallyPrecedes(other.array)
  }
}

extension Bytes: ExpressibleByStringLiteral {
  /// The UTF-8 of a literal.
  public init(stringLiteral value: String) { self.init(value) }
}

extension Bytes: ExpressibleByArrayLiteral {
  /// The bytes of a literal.
  public init(arrayLiteral elements: UInt8...) { self.init(elements) }
}

extension Bytes: CustomStringConvertible {
  /// Printable ASCII as it is, `\\` for a backslash, and `\xNN` for every other byte; text that is
  /// valid UTF-8 beyond ASCII stays text.
  public var description: String {
    if let text, !text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) {
      return text
    }
    var escaped = ""
    for byte in array {
      switch byte {
      case 0x5c: escaped += "\\\\"
      case 0x20..<0x7f: escaped.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16)
        escaped += "\\x" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return escaped
  }
}

/// One key with its value.
public struct Entry: Sendable, Hashable {
  /// The key: 1 to 65,536 bytes.
  public var key: Bytes
  /// The value: 0 to 67,108,864 bytes; empty in a scan of keys only.
  public var value: Bytes

  /// An entry.
  public init(key: Bytes, value: Bytes) {
    self.key = key
    self.value = value
  }
}

/// A range of keys, from the first that belongs to it to the first that does not.
public struct KeyRange: Sendable, Hashable {
  /// The first key of the range; nil means from the beginning.
  public var from: Bytes?
  /// The first key behind the range; nil means to the end.
  public var to: Bytes?

  /// The keys from `from` on and before `to`.
  public init(from: Bytes? = nil, to: Bytes? = nil) {
    self.from = from
    self.to = to
  }

  /// All keys.
  public static let all = KeyRange()

  /// The keys that begin with `prefix`.
  public static func prefix(_ prefix: Bytes) -> KeyRange {
    var end = prefix.array
    while let last = end.last {
      if last < 0xff {
        end[end.count - 1] = last + 1
        return KeyRange(from: prefix, to: Bytes(end))
      }
      end.removeLast()
    }
    return KeyRange(from: prefix)
  }
}

/// What a commit survives once it has returned.
public enum Durability: Sendable, Hashable {
  /// Handed to the operating system: survives the death of the process at any moment.
  case buffered
  /// On disk: survives a power loss, too. Concurrent commits share one sync.
  case synced
}
