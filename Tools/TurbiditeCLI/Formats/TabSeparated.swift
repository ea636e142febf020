// TabSeparated — a line a record: key, tab, value.
//
// Room:    Tools/TurbiditeCLI.
// Limits:  The first tab ends the key; later tabs belong to the value. A carriage return before the
//          newline is data. A line that the input's end cuts short is an error, because nothing
//          tells a whole value from half of one.

/// Records as lines of TSV.
enum TabSeparated {
  /// Appends the line of a record.
  static func append(_ record: Record, encoding: Encoding, to text: inout [UInt8]) {
    encoding.append(record.key, to: &text)
    text.append(0x09)
    encoding.append(record.value, to: &text)
    text.append(0x0a)
  }

  /// The record of the line in `range`, without its newline.
  static func parse(
    _ source: [UInt8], _ range: Range<Int>, isTerminated: Bool
  ) throws(BadRecord)
    -> Record
  {
    guard let tab = firstIndex(of: 0x09, in: source, from: range.lowerBound, to: range.upperBound)
    else { throw BadRecord(column: range.count + 1, reason: "no tab between key and value") }
    guard isTerminated else {
      throw BadRecord(
        column: range.count + 1, reason: "the input ends within the line; a newline is missing")
    }
    let start = range.lowerBound
    return Record(
      key: try Escapes.decode(source, start..<tab, lineStart: start),
      value: try Escapes.decode(source, tab + 1..<range.upperBound, lineStart: start))
  }
}
