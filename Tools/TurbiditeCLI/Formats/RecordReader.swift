// RecordReader — records from any of the three forms, with the place of each.
//
// Room:    Tools/TurbiditeCLI.

/// A step of reading.
enum ReadStep: Sendable, Hashable {
  /// A record, and where it stands.
  case record(Record, line: UInt64)
  /// A line that is none, with its bytes.
  case bad(BadRecord, line: UInt64, text: [UInt8])
}

/// Reads records until the input ends.
struct RecordReader {
  /// The form that is read.
  let format: RecordFormat
  private let input: Input
  private var raw: RawReader?
  /// Lines (or raw records) read so far.
  private(set) var line: UInt64 = 0

  /// - Parameter format: The form; nil to look at the first bytes. Raw is known by its magic,
  ///   NDJSON by a brace after white space; the rest is TSV. The magic wins over what is asked for.
  init(_ input: Input, format: RecordFormat?) throws(CommandFailure) {
    self.input = input
    self.format = try RecordReader.form(of: input, asked: format)
    if self.format == .raw { raw = try RawReader(input) }
  }

  /// Looks at as few bytes as decide, since a pipe may have no more of them yet.
  private static func form(
    of input: Input, asked: RecordFormat?
  ) throws(CommandFailure)
    -> RecordFormat
  {
    if try input.peek(1) == Array(RawStream.magic.prefix(1)),
      try input.peek(RawStream.magic.count) == RawStream.magic
    {
      return .raw
    }
    if let asked { return asked }
    for count in 1...64 {
      let head = try input.peek(count)
      guard head.count == count, let last = head.last else {
        guard head.isEmpty else { return .tsv }
        // A dump that failed before its first byte must not look like a load that went well.
        throw .badData(
          "the input is empty, so its form cannot be told", at: input.name,
          remedy: "say --as tsv or --as ndjson when no records are what you mean")
      }
      if ![0x20, 0x09, 0x0a, 0x0d].contains(last) { return last == 0x7b ? .ndjson : .tsv }
    }
    return .tsv
  }

  /// The next step, or nil at the end.
  ///
  /// - Throws: `badData` for a raw stream that is cut or damaged: what follows cannot be trusted.
  mutating func next() throws(CommandFailure) -> ReadStep? {
    if raw != nil {
      guard let record = try raw?.next() else { return nil }
      line += 1
      return .record(record, line: line)
    }
    while let (range, isTerminated) = try input.nextLine(escapedBy: format.escapeByteCount) {
      line += 1
      do throws(BadRecord) {
        if format == .tsv {
          let record = try TabSeparated.parse(input.buffer, range, isTerminated: isTerminated)
          return .record(record, line: line)
        }
        if let record = try ObjectLine.parse(input.buffer, range) {
          return .record(record, line: line)
        }
      } catch {
        return .bad(error, line: line, text: Array(input.buffer[range]))
      }
    }
    return nil
  }

  /// A place for an error: `file:17`, or `file, record 17` in a raw stream.
  func place(line: UInt64, column: Int? = nil) -> String {
    if format == .raw { return "\(input.name), record \(line)" }
    return "\(input.name):\(line)" + (column.map { ":\($0)" } ?? "")
  }
}
