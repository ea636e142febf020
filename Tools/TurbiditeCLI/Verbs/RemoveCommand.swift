// RemoveCommand — keys, or a range of them, taken out.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite rm DIR KEY...` or `turbidite rm DIR --prefix KEY`.
struct RemoveCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Remove keys, or a range of them.",
    discussion: """
      Several keys are removed together or not at all. An absent key is no error: a removal is \
      written without looking.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The keys.") var keys: [String] = []
  @OptionGroup var range: RangeOptions
  @Flag(help: "Return only when the removal would survive a loss of power.") var synced = false
  @OptionGroup var keyspace: KeyspaceOptions
  @OptionGroup var spelling: SpellingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if keys.isEmpty, !range.isGiven {
      throw ValidationError("name a key, or a range by --from, --to or --prefix")
    }
    if !keys.isEmpty, range.isGiven { throw ValidationError("keys and a range exclude each other") }
  }

  func run() throws {
    let durability: Durability = synced ? .synced : .buffered
    let bytes = try keys.map { try spelling.key($0) }
    let bounds = try range.bounds(spelling)
    try withStore(at: directory, mode: .existing) { store in
      let space = try keyspace.existing(in: store)
      if bytes.isEmpty {
        if !bounds.isEmpty {
          try store.blocking.deleteRange(bounds.range, in: space, durability: durability)
        }
        return
      }
      var batch = Store.Batch()
      for key in bytes { batch.delete(Bytes(key), in: space) }
      try store.blocking.commit(batch, durability: durability)
    }
  }
}
