// ShardsCommand — the ring: which share of the keys each shard has and holds, and changes of it.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite shards`.
struct ShardsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shards", abstract: "Show the ring of shards, or change it.",
    discussion: """
      A key's hash chooses one of 4,096 slots, and each slot belongs to a shard. `turbidite shards \
      DIR` shows them. A store that another process writes to is changed by that process alone.
      """,
    subcommands: [
      ShowShardsCommand.self, AddShardCommand.self, RemoveShardCommand.self,
      RebalanceShardsCommand.self,
    ],
    defaultSubcommand: ShowShardsCommand.self)

  /// The words that may follow the verb.
  static let parts = configuration.subcommands.compactMap { $0.configuration.commandName }
}

/// `turbidite shards DIR`.
struct ShowShardsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show the ring of shards, and how even they are.",
    discussion: """
      The bar compares what a shard holds, in tables and in memory, with the largest. --json gives \
      an object a line.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var global: GlobalOptions

  private static let barWidth = 24

  func run() throws {
    let statistics = try withReadOnlyStore(at: directory) { store in
      try store.blocking.statistics()
    }
    let report = Report(global)
    let isText = global.reportFormat == .text
    let largest = statistics.shards.map(\.heldByteCount).max() ?? 0
    var columns: [Table.Column] = [
      .number("shard"), .number("slots"), .number("files"), .number("bytes"),
      .number("in memory"), .number("entries"),
    ]
    if isText { columns.append(.words("")) }
    var table = Table(columns)
    for shard in statistics.shards {
      guard global.reportFormat != .json else {
        try report.write(
          JSONWriter.document("shard/1") { json in
            json.member("shard", shard.shard)
            json.member("slots", shard.slotCount)
            json.member("files", shard.tableCount)
            json.member("bytes", shard.byteCount)
            json.member("memtable_bytes", shard.memtableByteCount)
            json.member("entries", shard.entryCount)
          })
        continue
      }
      var cells = [
        "\(shard.shard)", "\(shard.slotCount)",
        isText ? Numbers.grouped(shard.tableCount) : "\(shard.tableCount)",
        isText ? Numbers.byteText(shard.byteCount) : "\(shard.byteCount)",
        isText
          ? Numbers.byteText(shard.memtableByteCount) : "\(shard.memtableByteCount)",
        isText ? Numbers.grouped(shard.entryCount) : "\(shard.entryCount)",
      ]
      if isText { cells.append(Self.bar(shard.heldByteCount, of: largest)) }
      table.add(cells)
    }
    if global.reportFormat != .json { try report.write(table) }
    try report.finish()
  }

  private static func bar(_ byteCount: UInt64, of largest: UInt64) -> String {
    guard largest > 0 else { return "" }
    let filled = Double(byteCount) / Double(largest) * Double(barWidth)
    return String(repeating: "#", count: Int(filled.rounded()))
  }
}

extension ShardStatistics {
  fileprivate var heldByteCount: UInt64 { byteCount + UInt64(memtableByteCount) }
}

/// `turbidite shards add DIR`.
struct AddShardCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Add a shard, which takes an even share of the slots.",
    discussion: """
      No slot moves between the other shards. A number that a removed shard had is used again.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var change: ShardChangeOptions
  @OptionGroup var global: GlobalOptions

  func run() throws { try change.make(.add, at: directory, global) }
}

/// `turbidite shards remove N DIR`.
struct RemoveShardCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Give the slots of a shard to the others.",
    discussion: "The shard's number stays, without slots, until the next shard that is added.")

  @Argument(help: "The shard's number.") var shard: Int
  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var change: ShardChangeOptions
  @OptionGroup var global: GlobalOptions

  func run() throws { try change.make(.remove(shard), at: directory, global) }
}

/// `turbidite shards rebalance DIR`.
struct RebalanceShardsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rebalance", abstract: "Move slots from the fullest shards to the emptiest.",
    discussion: """
      Until they hold about as many bytes, as far as whole slots can be divided so: of keys that \
      lie together by their partitioning, and of a stream's partition, none is divided.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var change: ShardChangeOptions
  @OptionGroup var global: GlobalOptions

  func run() throws { try change.make(.rebalance, at: directory, global) }
}

/// What every change of the ring has in common.
struct ShardChangeOptions: ParsableArguments {
  @Flag(help: "Say what would move, and move nothing.") var plan = false

  /// Changes the ring, and compacts what the old shards still hold.
  ///
  /// A signal is answered at the end; one that ends the command before leaves a store in which the
  /// slots are where they were, or where they were to go.
  func make(_ change: ShardChange, at directory: String, _ global: GlobalOptions) throws {
    let made: ShardPlan
    if plan {
      made = try withReadOnlyStore(at: directory) { store in try store.blocking.plan(change) }
    } else {
      made = try withStore(at: directory, mode: .existing) { store in
        let made = try store.blocking.reshard(change)
        do throws(StoreError) { try store.blocking.settle() } catch {
          // That the slots have moved is what was asked for; the rest is done another time.
          global.console.note("what moved still takes room in its old shards: \(error)")
        }
        try Signals.check()
        return made
      }
    }
    let report = Report(global)
    var table = Table([.number("shard"), .number("slots before"), .number("slots after")])
    for share in made.shares {
      if global.reportFormat == .json {
        try report.write(
          JSONWriter.document("reshard/1") { json in
            json.member("shard", share.shard)
            json.member("slots_before", share.slotsBefore)
            json.member("slots_after", share.slotsAfter)
          })
      } else {
        table.add(["\(share.shard)", "\(share.slotsBefore)", "\(share.slotsAfter)"])
      }
    }
    if global.reportFormat != .json { try report.write(table) }
    try report.finish()
    let moved = Numbers.counted(made.movedSlotCount, "slot")
    global.console.note(plan ? "\(moved) would move" : "\(moved) moved")
  }
}
