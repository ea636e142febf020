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

  /// What a byte takes at most in a line.
  var escapeByteCount: Int {
    switch self {
    case .lines: 1
    case .tsv: RecordFormat.tsv.escapeByteCount
    case .ndjson: RecordFormat.ndjson.escapeByteCount
    }
  }
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
      an end, all events before it stay, and the message says how many. With --producer the store \
      keeps how many events of that name it has: the same input once more, after whatever end, is \
      passed over as far as it is there. Its last line must be a whole one.
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
  @Option(help: ArgumentHelp("Events are this producer's, from its first on.", valueName: "name"))
  var producer: String?
  @Option(help: ArgumentHelp("The partitions of a stream that is made.", valueName: "count"))
  var partitions: Int?
  @OptionGroup var writing: WritingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if keyField != nil, form != .lines { throw ValidationError("--key-field is for --as lines") }
    if let producer, !(1...255 ~= producer.utf8.count) {
      throw ValidationError("a producer's name has 1 to 255 bytes of UTF-8")
    }
    if partitions != nil, !writing.create { throw ValidationError("--partitions is for --create") }
  }

  func run() throws {
    let input = try Input.open(file)
    var count = Count()
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
            + "\(Numbers.counted(count.appended, "event")) appended before this")
        throw error
      }
    }
    try input.close()
    if global.reportFormat == .json {
      let report = Report(global)
      try report.write(
        JSONWriter.document("append/1") { json in
          json.member("events", count.appended)
          if producer != nil { json.member("repeated", count.repeated) }
        })
      return try report.finish()
    }
    let repeated = count.repeated == 0 ? "" : "; \(count.repeated) were there before"
    global.console.note("appended \(Numbers.counted(count.appended, "event"))\(repeated)")
  }

  /// Events of the input.
  private struct Count {
    var appended: UInt64 = 0
    /// The producer's, that the store had.
    var repeated: UInt64 = 0
    /// In the batch at hand.
    var pending: UInt64 = 0
  }

  /// Whose events they are, and how many of them the store had at the beginning.
  private struct Numbering {
    var producer: EventProducer
    var stored: UInt64
  }

  /// The partitions of an existing stream, unless another number is asked for; 1 of a new one.
  private func partitionCount(_ store: Store) throws -> Int {
    if let partitions { return partitions }
    guard try store.blocking.streams().contains(name) else { return 1 }
    return try store.blocking.stream(name).partitionCount
  }

  private func append(
    _ input: Input, to stream: EventStream, of store: Store, _ count: inout Count
  ) throws {
    var numbering: Numbering?
    if let producer {
      let producer = try EventProducer(producer, of: stream)
      numbering = Numbering(
        producer: producer, stored: try store.blocking.nextNumber(of: producer))
    }
    var batch = Store.Batch()
    var number: UInt64 = 0
    var failure: CommandFailure?
    var isAtEnd = false
    while !isAtEnd {
      do throws(CommandFailure) {
        if let line = try input.nextLine(escapedBy: form.escapeByteCount) {
          number += 1
          guard producer == nil || line.isTerminated else {
            throw .badData(
              "the last line has no end, and more of it may be to come",
              at: "\(input.name):\(number)", remedy: "end it with a newline")
          }
          if let event = try event(input, line, number) {
            add(event, to: stream, numbering, &batch, &count)
          }
        } else {
          isAtEnd = true
        }
        try Signals.check()
      } catch {
        failure = error
        isAtEnd = true
      }
      if isAtEnd || !input.hasLine || batch.byteCount >= Loader.batchByteCount, batch.count > 0 {
        try store.blocking.commit(&batch, durability: writing.durability)
        count.appended += count.pending
        count.pending = 0
      }
    }
    if let failure { throw failure }
  }

  private func add(
    _ event: NewEvent, to stream: EventStream, _ numbering: Numbering?,
    _ batch: inout Store.Batch, _ count: inout Count
  ) {
    if let numbering {
      let number = count.appended + count.pending + count.repeated
      if number < numbering.stored {
        count.repeated += 1
        return
      }
      batch.append(event, by: numbering.producer, number: number, partition: partition)
    } else {
      batch.append(event, to: stream, partition: partition)
    }
    count.pending += 1
  }

  private func event(
    _ input: Input, _ line: (range: Range<Int>, isTerminated: Bool), _ number: UInt64
  ) throws(CommandFailure) -> NewEvent? {
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
    guard let event else { return nil }
    let byteCount = event.value.count + (event.key?.count ?? 0)
    guard byteCount <= EventLine.largestByteCount else {
      throw .badData(
        "an event of \(byteCount) bytes; the limit is \(EventLine.largestByteCount)",
        at: "\(input.name):\(number)", remedy: "divide it, or leave it out")
    }
    return event
  }
}
