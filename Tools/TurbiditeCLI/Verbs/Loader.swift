// Loader — batches from records.
//
// Room:    Tools/TurbiditeCLI.

import Turbidite

/// Puts records into a store in batches.
///
/// Invariant: `records` counts what was committed, never what only waits in a batch.
struct Loader {
  /// What a load did.
  struct Result: Sendable {
    var records: UInt64
    var bytes: UInt64
    var skipped: UInt64
    var elapsed: Duration
  }

  /// Large enough that a commit's own cost vanishes, small enough that a signal is answered soon.
  static let batchByteCount = 256 << 10

  let store: Store
  let keyspace: Keyspace
  let durability: Durability
  let aside: BadLines?
  var progress: Progress
  private(set) var records: UInt64 = 0
  private var bytes: UInt64 = 0
  /// The keys' and values' bytes in the batch being filled; what the log takes is a little more.
  private var filling: UInt64 = 0

  init(
    store: Store, keyspace: Keyspace, durability: Durability, aside: BadLines?, progress: Progress
  ) {
    self.store = store
    self.keyspace = keyspace
    self.durability = durability
    self.aside = aside
    self.progress = progress
  }

  /// What was done so far.
  var result: Result {
    Result(
      records: records, bytes: bytes, skipped: aside?.count ?? 0, elapsed: progress.elapsed)
  }

  /// Loads all that `reader` gives.
  ///
  /// However it ends, every record before the end's cause is committed.
  mutating func load(_ reader: consuming RecordReader, _ input: Input) throws {
    var reader = reader
    var stop: CommandFailure?
    var batch = Store.Batch()
    while stop == nil {
      stop = fill(&batch, &reader)
      let count = UInt64(batch.count)
      if count > 0 {
        try store.blocking.commit(&batch, durability: durability)
        records += count
        bytes += filling
        filling = 0
      } else if stop == nil {
        return
      }
      progress.update(records: records, bytes: bytes, position: input.taken)
    }
    if let stop { throw stop }
  }

  /// Adds records until the batch is full or the input ends; gives what stops the load, if anything
  /// does.
  ///
  /// An empty batch and nil are the end.
  private mutating func fill(
    _ batch: inout Store.Batch, _ reader: inout RecordReader
  ) -> CommandFailure? {
    do throws(CommandFailure) {
      while batch.byteCount < Loader.batchByteCount, let step = try reader.next() {
        switch step {
        case .record(let record, let line):
          if let objection = RecordLimits.objection(to: record) {
            try set(aside: BadRecord(column: 1, reason: objection), record, line, reader)
          } else {
            filling += UInt64(record.key.count + record.value.count)
            batch.put(Bytes(record.key), Bytes(record.value), in: keyspace)
          }
        case .bad(let reason, let line, let text):
          guard let aside else {
            throw CommandFailure.badData(
              reason.reason, at: reader.place(line: line, column: reason.column),
              remedy: "mend the line, or set such lines aside with --skip-bad FILE")
          }
          try aside.add(text)
        }
        try Signals.check()
      }
      return nil
    } catch {
      return error
    }
  }

  /// A record that can be read but not stored.
  private func set(
    aside reason: BadRecord, _ record: Record, _ line: UInt64, _ reader: RecordReader
  ) throws(CommandFailure) {
    guard let aside else {
      throw .badData(
        reason.reason, at: reader.place(line: line),
        remedy: reader.format == .raw
          ? "take the record out where the dump is made"
          : "mend the line, or set such lines aside with --skip-bad FILE")
    }
    var text: [UInt8] = []
    switch reader.format {
    case .tsv: TabSeparated.append(record, encoding: .utf8, to: &text)
    case .ndjson, .raw: ObjectLine.append(record, alwaysBase64: false, to: &text)
    }
    text.removeLast()
    try aside.add(text)
  }
}

/// The lines that could not be read, in a file of their own.
final class BadLines {
  private let output: Output
  /// How many there are.
  private(set) var count: UInt64 = 0

  /// Creates the file, which must not exist: it might be the input.
  init(_ path: String) throws(CommandFailure) {
    do throws(DescriptorFailure) {
      output = Output(try Descriptor.creating(path), name: path)
    } catch {
      throw .system(error, at: path)
    }
  }

  /// Adds a line as it was.
  ///
  /// Written at once, so that it is there even if the load fails later.
  func add(_ line: [UInt8]) throws(CommandFailure) {
    try output.write(line + [0x0a])
    try output.flush()
    count += 1
  }

  /// Ends the file.
  func close() throws(CommandFailure) {
    do throws(DescriptorFailure) {
      try output.descriptor.close()
    } catch {
      throw .system(error, at: output.name)
    }
  }
}
