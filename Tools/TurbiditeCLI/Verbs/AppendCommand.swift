// AppendCommand — lines of a file or a pipe as events of a stream.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// What a line of the input is.
enum EventForm: String, Sendable, CaseIterable, ExpressibleByArgument {
  /// The line is the value.
  case lines
  /// Key, tab, value, as `load` reads them.
  case tsv
  /// An object with `key` and `value`, as `load` reads them.
  case ndjson
}

/// `turbidite append DIR NAME`.
struct AppendCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "append", abstract: "Append the lines of a file or a pipe to a stream.",
    discussion: """
      Each line is the value of an event, without a key unless --key-field names the member of a \
      JSON object, a line each, that has it; TSV and NDJSON are read as load reads them. An event \
      with a key goes to the partition of the key, others to each in turn. What has come through a \
      pipe is appended before more is waited for. When a line cannot be read, or a signal asks for \
      an end, all events before it stay, and the message says how many.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Argument(help: "The stream.") var name: String
  @Argument(help: "The file; - for standard input.") var file = "-"
  @Option(name: .customLong("as"), help: "What a line is.") var form = EventForm.lines
  @Option(
    help: ArgumentHelp("Lines are JSON objects; this member is the key.", valueName: "member"))
  var keyField: String?
  @Option(help: ArgumentHelp("Append to this partition.", valueName: "number"))
  var partition: Int?
  @Option(help: ArgumentHelp("The partitions of a stream that is made.", valueName: "count"))
  var partitions: Int?
  @OptionGroup var writing: WritingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if keyField != nil, form != .lines { throw ValidationError("--key-field is for --as lines") }
    if partitions != nil, !writing.create { throw ValidationError("--partitions is for --create") }
  }

  func run() throws {
    let input = try Input.open(file)
    var count: UInt64 = 0
    try withStore(at: directory, mode: writing.mode, options: writing.options) { store in
      let stream =
        writing.create
        ? try store.blocking.createStream(name, partitionCount: try partitionCount(store))
        : try store.blocking.stream(name)
      if let partition, !(0..<stream.partitionCount ~= partition) {
        throw CommandFailure.usage("stream \(name) has no partition \(partition)")
      }
      do { try append(input, to: stream, of: store, &count) } catch {
        let isInterrupted = error as? CommandFailure == .interrupted
        global.console.emit(
          "turbidite: \(isInterrupted ? "interrupted; " : "")"
            + "\(Numbers.counted(count, "event")) appended before this")
        throw error
      }
    }
    try input.close()
    if global.reportFormat == .json {
      let report = Report(global)
      try report.write(JSONWriter.document("append/1") { $0.member("events", count) })
      return try report.finish()
    }
    global.console.note("appended \(Numbers.counted(count, "event"))")
  }

  /// The partitions of an existing stream, unless another number is asked for; 1 of a new one.
  private func partitionCount(_ store: Store) throws -> Int {
    if let partitions { return partitions }
    guard try store.blocking.streams().contains(name) else { return 1 }
    return try store.blocking.stream(name).partitionCount
  }

  private func append(
    _ input: Input, to stream: EventStream, of store: Store, _ count: inout UInt64
  ) throws {
    var batch = Store.Batch()
    var number: UInt64 = 0
    var failure: CommandFailure?
    var isAtEnd = false
    while !isAtEnd {
      do throws(CommandFailure) {
        if let line = try input.nextLine() {
          number += 1
          try add(input, line, number, to: stream, &batch)
        } else {
          isAtEnd = true
        }
        try Signals.check()
      } catch {
        failure = error
        isAtEnd = true
      }
      if isAtEnd || !input.hasLine || batch.byteCount >= Loader.batchByteCount, batch.count > 0 {
        let added = UInt64(batch.count)
        try store.blocking.commit(&batch, durability: writing.durability)
        count += added
      }
    }
    if let failure { throw failure }
  }

  private func add(
    _ input: Input, _ line: (range: Range<Int>, isTerminated: Bool), _ number: UInt64,
    to stream: EventStream, _ batch: inout Store.Batch
  ) throws(CommandFailure) {
    var event: NewEvent?
    do throws(BadRecord) {
      switch form {
      case .lines:
        let value = Array(input.buffer[line.range])
        var key: [UInt8]?
        if let keyField { key = try ObjectReader.member(keyField, of: value) }
        event = NewEvent(Bytes(value), key: key.map { Bytes($0) })
      case .tsv:
        let record = try TabSeparated.parse(
          input.buffer, line.range, isTerminated: line.isTerminated)
        event = NewEvent(Bytes(record.value), key: Bytes(record.key))
      case .ndjson:
        if let record = try ObjectLine.parse(input.buffer, line.range) {
          event = NewEvent(Bytes(record.value), key: Bytes(record.key))
        }
      }
    } catch {
      throw .badData(
        error.reason, at: "\(input.name):\(number):\(error.column)", remedy: "mend the line")
    }
    guard let event else { return }
    let byteCount = event.value.count + (event.key?.count ?? 0)
    guard byteCount <= EventLine.largestByteCount else {
      throw .badData(
        "an event of \(byteCount) bytes; the limit is \(EventLine.largestByteCount)",
        at: "\(input.name):\(number)", remedy: "divide it, or leave it out")
    }
    batch.append(event, to: stream, partition: partition)
  }
}
