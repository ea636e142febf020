// CursorsCommand — how far the consumers of streams have come.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite cursors DIR`.
struct CursorsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "cursors", abstract: "List how far the cursors of streams have come.",
    discussion: """
      A line for each partition: the next offset that the cursor wants, and how many events it has \
      yet to pass. --remove forgets a cursor, and needs a store that nobody else writes.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "A stream; without it, all.") var name: String?
  @Option(help: ArgumentHelp("Forget this cursor of the stream.", valueName: "cursor"))
  var remove: String?
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if remove != nil, name == nil { throw ValidationError("--remove needs the cursor's stream") }
  }

  func run() throws {
    if let remove, let name { return try forget(remove, of: name) }
    let report = Report(global)
    var table = Table([
      .words("stream"), .words("cursor"), .number("partition"), .number("next"), .number("lag"),
    ])
    try withReadOnlyStore(at: directory) { store in
      for stream in try name.map({ [$0] }) ?? store.blocking.streams() {
        let stream = try store.blocking.stream(stream)
        for cursor in try store.blocking.cursors(of: stream) {
          try list(cursor, of: store, report, &table)
        }
      }
    }
    if global.reportFormat != .json { try report.write(table) }
    try report.finish()
  }

  private func list(
    _ cursor: EventCursor, of store: Store, _ report: Report, _ table: inout Table
  ) throws {
    let reached = try store.blocking.offsets(of: cursor)
    for (partition, lag) in try store.blocking.lag(of: cursor).enumerated() {
      let next = reached[partition]
      if global.reportFormat == .json {
        try report.write(
          JSONWriter.document("cursor/1") { json in
            json.member("stream", cursor.stream.name)
            json.member("cursor", cursor.name)
            json.member("partition", partition)
            if let next { json.member("next", next) }
            json.member("lag", lag)
          })
      } else {
        table.add([
          cursor.stream.name, cursor.name, "\(partition)", next.map { "\($0)" } ?? "-", "\(lag)",
        ])
      }
    }
  }

  private func forget(_ cursorName: String, of streamName: String) throws {
    try withStore(at: directory, mode: .existing) { store in
      let stream = try store.blocking.stream(streamName)
      let cursors = try store.blocking.cursors(of: stream)
      guard let cursor = cursors.first(where: { $0.name == cursorName }) else {
        throw CommandFailure.absent("stream \(streamName) has no cursor \(cursorName)")
      }
      var batch = Store.Batch()
      batch.remove(cursor)
      try store.blocking.commit(batch, durability: .synced)
    }
  }
}
