// ShardsCommand — the ring: which share of the keys each shard has, and what it holds.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite shards DIR`.
struct ShardsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "shards", abstract: "Show the ring of shards, and how even they are.",
    discussion: """
      A key's hash chooses one of 4,096 slots, and each slot belongs to a shard. The bar compares \
      what a shard holds, in tables and in memory, with the largest. --json gives an object a line.
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
