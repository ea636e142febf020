// TailCommand — the events of a stream, those that are there and those that come.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite tail DIR NAME`.
struct TailCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "tail", abstract: "Print the events of a stream.",
    discussion: """
      A line holds partition, offset, time, key and value, with tabs between them and escapes; \
      --json gives an object a line, --values the value alone. Events of a partition come in their \
      order. With --follow it goes on, from the end unless --from says, until a signal or the \
      reader of its output ends it, and prints what another process appends as soon as that is in \
      the log: it looks ten times a second whether there is something, and where there is, opens \
      the store anew for reading, which takes as long as reading its log does. With --group it \
      begins where the cursor of that name stands, and moves it behind what was written out: the \
      same command prints what is new since the last time. A cursor that is nowhere yet is put at \
      the first events, for retain --unread to keep them. It needs a store that nobody else writes.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The stream.") var name: String
  @Option(
    help: ArgumentHelp(
      "start, end, an offset, or a time as 2026-01-31T12:00:00Z.", valueName: "place"))
  var from: TailPlace?
  @Option(help: ArgumentHelp("Only this partition.", valueName: "number")) var partition: Int?
  @Option(help: ArgumentHelp("Go on from this cursor, and move it.", valueName: "cursor"))
  var group: String?
  @Flag(help: "Go on with what is appended.") var follow = false
  @Option(help: ArgumentHelp("Stop after so many.", valueName: "count")) var limit: Int?
  @Flag(help: "Values alone, a line each.") var values = false
  @OptionGroup var spelling: SpellingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if let limit, limit < 0 { throw ValidationError("--limit takes 0 or more, not \(limit)") }
    if group != nil, from != nil || follow {
      throw ValidationError("--group says where to begin, and that nobody else writes")
    }
    if global.reportFormat == .json, spelling.hex || values {
      throw ValidationError("JSON has text or base64, and whole events")
    }
  }

  func run() throws {
    let output = Output.standard()
    if let group { return try output.finishing { try printNews(for: group, to: output) } }
    var remaining = limit ?? .max
    let start = from ?? (follow ? .end : .start)
    var reached: Reached?
    try output.finishing {
      while true {
        let mark = try FileChanges.mark(of: directory)
        let clock = ContinuousClock()
        let begin = clock.now
        reached = try withReadOnlyStore(at: directory) { store in
          try printEvents(store, start, reached, &remaining, to: output)
        }
        try output.flush()
        guard follow, remaining > 0 else { return }
        // No more than half of the time goes into opening the store.
        let pause = max(.milliseconds(100), begin.duration(to: clock.now))
        repeat {
          try Signals.pause(pause, watching: output.descriptor)
        } while try mark == FileChanges.mark(of: directory)
      }
    }
  }

  /// Prints what the cursor has not passed; what was not written out stays for the next time.
  private func printNews(for group: String, to output: Output) throws {
    var remaining = limit ?? .max
    try withStore(at: directory, mode: .existing) { store in
      let stream = try store.blocking.stream(name)
      let cursor = try EventCursor(group, of: stream)
      var places = try store.blocking.offsets(of: cursor)
      if places.isEmpty { places = try place(cursor, in: store) }
      let tail = store.blocking.tail(
        stream, partitions: partition.map { [$0] }, from: .offsets(places))
      while remaining > 0 {
        let events = try tail.next(waitingAtMost: .zero).prefix(remaining)
        if events.isEmpty { return }
        remaining -= events.count
        var batch = Store.Batch()
        for event in events {
          try write(event, to: output)
          batch.move(cursor, behind: event.position)
        }
        try output.flush()
        try store.blocking.commit(batch)
        try Signals.check()
      }
    }
  }

  /// Puts a new cursor at the first events: there it is seen, and keeps what it has yet to pass.
  private func place(
    _ cursor: EventCursor, in store: Store
  ) throws(StoreError) -> [Int: UInt64] {
    var places: [Int: UInt64] = [:]
    var batch = Store.Batch()
    for partition in partition.map({ [$0] }) ?? Array(0..<cursor.stream.partitionCount) {
      let first = try store.blocking.offsets(of: cursor.stream, partition: partition).lowerBound
      places[partition] = first
      batch.move(cursor, to: EventPosition(partition: partition, offset: first))
    }
    try store.blocking.commit(&batch)
    return places
  }

  /// How far a stream was printed.
  private struct Reached {
    var stream: UInt32
    /// The next offset wanted of each partition.
    var next: [Int: UInt64]
  }

  private func printEvents(
    _ store: Store, _ place: TailPlace, _ reached: Reached?, _ remaining: inout Int,
    to output: Output
  ) throws -> Reached {
    let stream = try store.blocking.stream(name)
    if let reached, reached.stream != stream.number {
      throw StoreError.notFound("stream \(name), which was followed: another one has its name now")
    }
    let partitions = partition.map { [$0] } ?? Array(0..<stream.partitionCount)
    var next: [Int: UInt64] = [:]
    for partition in partitions {
      next[partition] =
        try reached?.next[partition] ?? first(place, of: stream, partition, in: store)
    }
    let tail = store.blocking.tail(stream, partitions: partitions, from: .offsets(next))
    while remaining > 0 {
      let events = try tail.next(waitingAtMost: .zero)
      if events.isEmpty { break }
      for event in events.prefix(remaining) {
        try write(event, to: output)
        next[event.position.partition] = event.position.offset + 1
      }
      remaining -= min(remaining, events.count)
      try Signals.check()
    }
    return Reached(stream: stream.number, next: next)
  }

  private func first(
    _ place: TailPlace, of stream: EventStream, _ partition: Int, in store: Store
  ) throws(StoreError) -> UInt64 {
    let offsets = try store.blocking.offsets(of: stream, partition: partition)
    switch place {
    case .start: return offsets.lowerBound
    case .end: return offsets.upperBound
    case .offset(let offset): return offset
    case .time(let moment):
      return try store.blocking.offset(of: stream, partition: partition, at: moment)
    }
  }

  private func write(_ event: Event, to output: Output) throws(CommandFailure) {
    try output.append { text in
      if global.reportFormat == .json {
        EventLine.appendObject(event, alwaysBase64: spelling.base64, to: &text)
      } else if values {
        spelling.encoding.append(event.value.array, to: &text)
        text.append(0x0a)
      } else {
        EventLine.append(event, encoding: spelling.encoding, to: &text)
      }
    }
  }
}
