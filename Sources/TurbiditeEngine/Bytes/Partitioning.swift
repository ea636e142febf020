// Partitioning — which part of a key chooses its shard.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 5.1.

/// Which part of a key, its partition part, chooses the shard that the key lies in.
///
/// Keys with equal partition parts lie in one shard, so that a scan within the part reads that
/// shard alone. It is chosen when a keyspace is created, and never changes.
public enum Partitioning: Hashable, Sendable {
  /// The whole key: keys are spread as evenly as can be.
  case wholeKey
  /// The bytes before the first `delimiter`; the whole key where there is none.
  ///
  /// With `/`, everything under `user/17/` lies with `user`.
  case upTo(delimiter: UInt8)
  /// The first bytes, 1 to 65,536; the whole key where it has fewer.
  case firstBytes(Int)
}

extension Partitioning {
  /// Why this cannot be used, if so.
  var refusal: StoreError? {
    guard case .firstBytes(let count) = self, !(1...Limits.keyByteCount).contains(count) else {
      return nil
    }
    return .invalidArgument(
      "a partition part of \(count) bytes: it has 1 to \(Limits.keyByteCount)")
  }

  /// What decides on the shard of `key`.
  ///
  /// - Parameter hash: `key.hash()`.
  @inline(__always)
  func shardHash(of key: ByteView, hash: UInt64) -> UInt64 {
    if self == .wholeKey { return hash }
    return part(of: key).hash()
  }

  func part(of key: ByteView) -> ByteView {
    switch self {
    case .wholeKey: return key
    case .upTo(let delimiter):
      var count = 0
      while count < key.count && key[count] != delimiter { count += 1 }
      return key.slice(0, count)
    case .firstBytes(let count): return key.slice(0, min(count, key.count))
    }
  }

  /// The partition part of every key from `from` on and before `to`, if it is one and the same.
  ///
  /// Nil says nothing: the keys may still share one.
  func sharedPart(from: [UInt8]?, to: [UInt8]?) -> [UInt8]? {
    guard let from, let to else { return nil }
    // What a key must begin with to have the part, whatever follows.
    let stem: ArraySlice<UInt8>
    let part: ArraySlice<UInt8>
    switch self {
    case .wholeKey: return nil
    case .upTo(let delimiter):
      guard let place = from.firstIndex(of: delimiter) else { return nil }
      stem = from[...place]
      part = from[..<place]
    case .firstBytes(let count):
      guard from.count >= count else { return nil }
      stem = from[..<count]
      part = stem
    }
    // Between two keys with one stem, and up to the first key behind all with it, is no other.
    guard to.starts(with: stem) || to == Partitioning.firstBehind(stem) else { return nil }
    return Array(part)
  }

  /// The first key that is behind every key with this stem; nil when there is none.
  private static func firstBehind(_ stem: ArraySlice<UInt8>) -> [UInt8]? {
    guard let last = stem.lastIndex(where: { $0 != 0xff }) else { return nil }
    return stem[..<last] + [stem[last] + 1]
  }
}

extension Partitioning: CustomStringConvertible {
  /// For messages and tools.
  public var description: String {
    switch self {
    case .wholeKey: return "whole key"
    case .upTo(let delimiter):
      return 0x21...0x7e ~= delimiter
        ? "up to '\(Character(Unicode.Scalar(delimiter)))'"
        : "up to byte \(delimiter)"
    case .firstBytes(let count): return "first \(count) bytes"
    }
  }
}
