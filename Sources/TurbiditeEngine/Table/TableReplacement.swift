// TableReplacement — which tables do not count where this one is, should no manifest say it.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3.7, the optional feature "replacement".

/// What a table says of others.
///
/// Invariant: every number is below that of the table that says it, and above 0, but for an input
/// ``somethingElse``.
struct TableReplacement: Sendable, Hashable {
  /// The number of the first table that the same compaction wrote.
  var group: UInt64
  /// How many tables the compaction wrote before this one.
  var ordinal: UInt64 = 0
  /// The compaction wrote no table after this one.
  var isLast = false
  /// What the compaction merged, ascending: replaced when its group is whole.
  var inputs: [UInt64]
  /// No part of the store when the table was begun, though their files may have been there;
  /// ascending.
  var gone: [UInt64]

  /// Stands among the inputs for what came from tables that are not replaced.
  static let somethingElse: UInt64 = 0

  func append(to payload: inout [UInt8]) {
    payload.append(varint: group)
    payload.append(varint: ordinal)
    payload.append(isLast ? 1 : 0)
    for numbers in [inputs, gone] {
      payload.append(varint: numbers.count)
      var previous: UInt64 = 0
      for number in numbers {
        payload.append(varint: number - previous)
        previous = number
      }
    }
  }

  static func decode(_ reader: inout ByteReader) throws(DecodingFailure) -> TableReplacement {
    let group = try reader.varint()
    let ordinal = try reader.varint()
    let flag = try reader.byte()
    guard flag <= 1 else { throw .invalid("last table flag \(flag)", at: reader.offset) }
    return TableReplacement(
      group: group, ordinal: ordinal, isLast: flag == 1,
      inputs: try numbers(&reader, first: somethingElse), gone: try numbers(&reader, first: 1))
  }

  private static func numbers(
    _ reader: inout ByteReader, first: UInt64
  ) throws(DecodingFailure) -> [UInt64] {
    // Each takes a byte at least, so what is allocated is bounded by what is there.
    let count = try reader.count("table numbers,", atMost: reader.remaining)
    var numbers: [UInt64] = []
    numbers.reserveCapacity(count)
    var previous: UInt64 = 0
    for _ in 0..<count {
      let (number, overflows) = previous.addingReportingOverflow(try reader.varint())
      guard !overflows, numbers.isEmpty ? number >= first : number > previous else {
        throw .invalid("table numbers do not ascend", at: reader.offset)
      }
      numbers.append(number)
      previous = number
    }
    return numbers
  }
}
