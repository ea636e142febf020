// RetainCommand — drops what need not be kept of a stream.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite retain DIR NAME`.
struct RetainCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "retain", abstract: "Drop what need not be kept of a stream.",
    discussion: """
      By age and by size whole files go, the oldest first; the log is put into files before. What \
      a cursor had yet to pass is reported, or kept with --unread. With --unread alone all goes \
      that every cursor has passed. --last-of-key then removes each event that a later one with \
      the same key has replaced, and a key's last one if it has no value, is a day old, and every \
      cursor has passed it. The room is free when a compaction has come by.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The stream.") var name: String
  @Option(help: ArgumentHelp("Keep what is younger: 90s, 15m, 24h, 7d.", valueName: "age"))
  var age: Age?
  @Option(help: ArgumentHelp("Keep so many bytes of files: 64K, 10M, 2G.", valueName: "bytes"))
  var size: ByteSize?
  @Flag(help: "Keep what a cursor has yet to pass.") var unread = false
  @Flag(help: "Of each key keep the last event.") var lastOfKey = false
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if age == nil, size == nil, !unread, !lastOfKey {
      throw ValidationError("say what is to be kept: --age, --size, --unread or --last-of-key")
    }
  }

  func run() throws {
    var replacedCount = 0
    let outcome = try withStore(at: directory, mode: .existing) { store in
      // What only the log holds is no file yet. On a full disk what there is must do.
      do throws(StoreError) { try store.blocking.flush() } catch {
        guard case .outOfSpace = error else { throw error }
        global.console.note("what the log holds is in no file yet: \(error)")
      }
      let stream = try store.blocking.stream(name)
      let outcome = try store.blocking.retain(
        stream,
        Retention(
          maximumAge: age?.duration, maximumByteCount: size?.byteCount, keepsUnread: unread),
        durability: .synced)
      if lastOfKey {
        replacedCount = try store.blocking.compact(
          stream, by: KeyCompaction(), durability: .synced)
      }
      return outcome
    }
    let report = Report(global)
    if global.reportFormat == .json {
      try report.write(
        JSONWriter.document("retain/1") { json in
          json.member("events", outcome.eventCount)
          if lastOfKey { json.member("replaced", replacedCount) }
          json.array("partitions") { json in
            for (partition, gone) in outcome.dropped.sorted(by: { $0.key < $1.key }) {
              json.object { json in
                json.member("partition", partition)
                json.member("from", gone.lowerBound)
                json.member("to", gone.upperBound)
              }
            }
          }
          json.array("unread") { json in
            for (cursor, count) in outcome.unread.sorted(by: { $0.key < $1.key }) {
              json.object { json in
                json.member("cursor", cursor)
                json.member("events", count)
              }
            }
          }
        })
    } else {
      var table = Table([.number("partition"), .number("dropped from"), .number("to")])
      for (partition, gone) in outcome.dropped.sorted(by: { $0.key < $1.key }) {
        table.add(["\(partition)", "\(gone.lowerBound)", "\(gone.upperBound)"])
      }
      try report.write(table)
      if lastOfKey {
        global.console.note("removed \(Numbers.counted(UInt64(replacedCount), "replaced event"))")
      }
      for (cursor, count) in outcome.unread.sorted(by: { $0.key < $1.key }) {
        global.console.note(
          "cursor \(cursor) had yet to pass \(Numbers.counted(count, "event")) of these")
      }
    }
    try report.finish()
  }
}
