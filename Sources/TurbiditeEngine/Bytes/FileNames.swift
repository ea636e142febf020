// FileNames — where each kind of file lies in a store's directory.
//
// Room:    Engine/Bytes, because every room that makes files names them.
// Format:  FORMAT.md section 1.2. Numbers come from one counter and are never used twice.

/// What a name in the store's directory says it is.
enum FileKind: Hashable {
  case lock
  /// The file that holds room back.
  case reserve
  case manifest(UInt64)
  case logSegment(UInt64)
  /// A table of a shard.
  case table(shard: UInt32, UInt64)
  /// A file that was being written under a temporary name when the process stopped.
  case temporary
  case unknown
}

/// Makes and reads the names of a store's files.
package enum FileNames {
  static let lock = "LOCK"
  static let reserve = "RESERVE"
  static let logDirectory = "log"
  static let shardsDirectory = "shards"
  /// What jobs of programs keep, which is no part of the store.
  package static let jobsDirectory = "jobs"
  static let temporarySuffix = ".new"

  /// What errors call the manifest where there is none, whose number nobody knows.
  static let anyManifest = "MANIFEST-*"

  static func manifest(_ number: UInt64) -> String { "MANIFEST-\(padded(number, 6))" }
  static func logSegment(_ number: UInt64) -> String {
    "\(logDirectory)/\(padded(number, 6)).tlog"
  }
  static func shardDirectory(_ shard: UInt32) -> String {
    "\(shardsDirectory)/\(padded(UInt64(shard), 4))"
  }
  static func table(shard: UInt32, _ number: UInt64) -> String {
    "\(shardDirectory(shard))/\(padded(number, 6)).tsst"
  }

  /// What `path`, relative to the store, is by its name.
  static func kind(of path: String) -> FileKind {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard let name = parts.last else { return .unknown }
    if path == lock { return .lock }
    if path == reserve { return .reserve }
    if parts.count == 1, name.hasPrefix("MANIFEST-") {
      let rest = name.dropFirst("MANIFEST-".count)
      if rest.hasSuffix(temporarySuffix) {
        return number(rest.dropLast(temporarySuffix.count), 6) == nil ? .unknown : .temporary
      }
      return number(rest, 6).map { .manifest($0) } ?? .unknown
    }
    if parts.count == 2, parts[0] == logDirectory {
      if name.hasSuffix(".tlog") {
        return number(name.dropLast(5), 6).map { .logSegment($0) } ?? .unknown
      }
      if name.hasSuffix(".tlog" + temporarySuffix) { return .temporary }
    }
    if parts.count == 3, parts[0] == shardsDirectory, name.hasSuffix(".tsst"),
      let shard = number(parts[1], 4), shard < UInt64(Limits.shardCount),
      let file = number(name.dropLast(5), 6)
    {
      return .table(shard: UInt32(shard), file)
    }
    return .unknown
  }

  /// Decimal digits, at least `width` of them; only the spelling that the writer uses is accepted,
  /// and only numbers that a writer reaches.
  private static func number(_ text: Substring, _ width: Int) -> UInt64? {
    guard text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let value = UInt64(text),
      value < Limits.counter, padded(value, width) == text
    else { return nil }
    return value
  }

  private static func padded(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
