// DataOptions — how keys and values are spelled, and which keyspace they live in.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// The spelling of keys and values, given and printed.
struct SpellingOptions: ParsableArguments {
  @Flag(help: "Keys and values are hexadecimal, given and printed.")
  var hex = false

  @Flag(help: "Keys and values are base64, given and printed.")
  var base64 = false

  @Flag(help: "Print UTF-8 as it is; only what is not printable is escaped.")
  var utf8 = false

  mutating func validate() throws {
    if [hex, base64, utf8].filter({ $0 }).count > 1 {
      throw ValidationError("--hex, --base64 and --utf8 exclude one another")
    }
  }

  /// The spelling.
  var encoding: Encoding {
    if hex { return .hexadecimal }
    if base64 { return .base64 }
    return utf8 ? .utf8 : .escaped
  }

  /// The bytes of a key that was given.
  func key(_ text: String) throws(CommandFailure) -> [UInt8] {
    let bytes = try self.bytes(text, "key")
    if let objection = RecordLimits.objection(to: Record(key: bytes, value: [])) {
      throw .usage(objection)
    }
    return bytes
  }

  /// The bytes of a text that was given.
  func bytes(_ text: String, _ what: String) throws(CommandFailure) -> [UInt8] {
    do throws(BadRecord) {
      return try encoding.decode(text)
    } catch {
      throw .usage(
        "the \(what) \"\(text)\" cannot be read: \(error.reason), at byte \(error.column)",
        remedy: "write a backslash as \\\\ and other bytes as \\xNN, or use --hex or --base64")
    }
  }
}

/// The keyspace of a data verb.
struct KeyspaceOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The keyspace; without it, the default one.", valueName: "name"))
  var keyspace: String?

  /// The keyspace to read.
  func existing(in store: Store) throws(StoreError) -> Keyspace {
    guard let keyspace else { return .default }
    return try store.blocking.keyspace(keyspace)
  }
}

/// What a verb that writes may make, and how durable it is.
struct WritingOptions: ParsableArguments {
  @Flag(help: "Make the store, and the keyspace, when there is none.")
  var create = false

  @Option(help: ArgumentHelp("The number of shards of a store that is made.", valueName: "count"))
  var shards: Int?

  @Flag(help: "Return only when the write would survive a loss of power.")
  var synced = false

  mutating func validate() throws {
    guard let shards else { return }
    guard create else { throw ValidationError("--shards is for --create") }
    guard (1...4096).contains(shards) else {
      throw ValidationError("--shards takes 1 to 4096, not \(shards)")
    }
  }

  /// How the store is opened.
  var mode: Store.Mode { create ? .openOrCreate : .existing }
  /// The options it is opened with.
  var options: Store.Options {
    var options = Store.Options()
    options.shardCount = shards
    return options
  }
  /// When a write returns.
  var durability: Durability { synced ? .synced : .buffered }

  /// The keyspace to write to, made when that was asked for.
  func keyspace(_ name: KeyspaceOptions, in store: Store) throws(StoreError) -> Keyspace {
    guard create, let wanted = name.keyspace else { return try name.existing(in: store) }
    return try store.blocking.createKeyspace(wanted)
  }
}

/// The keys that `scan`, `dump` and `rm` are about.
struct RangeOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The first key.", valueName: "key"))
  var from: String?

  @Option(help: ArgumentHelp("The key before which to stop.", valueName: "key"))
  var to: String?

  @Option(help: ArgumentHelp("Only keys that begin so.", valueName: "key"))
  var prefix: String?

  /// Whether any bound was given.
  var isGiven: Bool { from != nil || to != nil || prefix != nil }

  /// The bounds, with the range and the prefix intersected.
  func bounds(_ spelling: SpellingOptions) throws(CommandFailure) -> KeyBounds {
    var bounds = KeyBounds()
    if let from { bounds.from = try spelling.bytes(from, "key") }
    if let to { bounds.to = try spelling.bytes(to, "key") }
    if let prefix { bounds.narrow(toPrefix: try spelling.bytes(prefix, "prefix")) }
    return bounds
  }
}
