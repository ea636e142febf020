// StreamsCommand — the streams of a store, and their partitions.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite streams DIR`.
struct StreamsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "streams", abstract: "List the streams of a store.",
    discussion: """
      With a name the partitions of that stream: the offset of the first event that is there, and \
      that of the next one. --json gives an object a line.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "A stream, for its partitions.") var name: String?
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let report = Report(global)
    try withReadOnlyStore(at: directory) { store in
      if let name {
        try list(try store.blocking.stream(name), of: store, report)
      } else {
        try listAll(store, report)
      }
    }
    try report.finish()
  }

  private func listAll(_ store: Store, _ report: Report) throws {
    var table = Table([
      .words("stream"), .number("partitions"), .number("events"), .number("cursors"),
    ])
    for name in try store.blocking.streams() {
      let stream = try store.blocking.stream(name)
      let cursors = try store.blocking.cursors(of: stream).count
      var events: UInt64 = 0
      for partition in 0..<stream.partitionCount {
        events += UInt64(try store.blocking.offsets(of: stream, partition: partition).count)
        try Signals.check()
      }
      if global.reportFormat == .json {
        try report.write(
          JSONWriter.document("stream/1") { json in
            json.member("stream", name)
            json.member("partitions", stream.partitionCount)
            json.member("events", events)
            json.member("cursors", cursors)
          })
      } else {
        table.add([name, "\(stream.partitionCount)", shown(events), "\(cursors)"])
      }
    }
    if global.reportFormat != .json { try report.write(table) }
  }

  private func list(_ stream: EventStream, of store: Store, _ report: Report) throws {
    var table = Table([
      .number("partition"), .number("first"), .number("next"), .number("events"),
    ])
    for partition in 0..<stream.partitionCount {
      let offsets = try store.blocking.offsets(of: stream, partition: partition)
      try Signals.check()
      if global.reportFormat == .json {
        try report.write(
          JSONWriter.document("partition/1") { json in
            json.member("stream", stream.name)
            json.member("partition", partition)
            json.member("first", offsets.lowerBound)
            json.member("next", offsets.upperBound)
          })
      } else {
        table.add([
          "\(partition)", shown(offsets.lowerBound), shown(offsets.upperBound),
          shown(UInt64(offsets.count)),
        ])
      }
    }
    if global.reportFormat != .json { try report.write(table) }
  }

  private func shown(_ number: UInt64) -> String {
    global.reportFormat == .text ? Numbers.grouped(number) : "\(number)"
  }
}
