import Foundation
import Testing

@testable import TurbiditeCLI

@Suite("TabSeparated")
struct TabSeparatedTests {
  @Test("any record comes back from a line without a raw tab, newline or control")
  func roundTrip() throws {
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<500 {
      let record = generator.record()
      for encoding in [Encoding.escaped, .utf8] {
        var line: [UInt8] = []
        TabSeparated.append(record, encoding: encoding, to: &line)
        #expect(line.count { $0 == 0x09 } == 1)
        #expect(line.count { $0 == 0x0a } == 1)
        let parsed = try TabSeparated.parse(line, 0..<line.count - 1, isTerminated: true)
        #expect(parsed == record, "seed 11: \(record)")
      }
    }
  }

  @Test("later tabs and a carriage return belong to the value")
  func laterTabs() throws {
    let line = Array("k\tv\tw\r".utf8)
    let record = try TabSeparated.parse(line, 0..<line.count, isTerminated: true)
    #expect(record == Record(key: [0x6b], value: Array("v\tw\r".utf8)))
  }

  @Test("a line without a tab, or without its newline, is refused")
  func refused() {
    let line = Array("k\tv".utf8)
    #expect(throws: BadRecord.self) {
      try TabSeparated.parse(line, 0..<line.count, isTerminated: false)
    }
    #expect(throws: BadRecord.self) { try TabSeparated.parse(line, 0..<1, isTerminated: true) }
  }
}

@Suite("Input")
struct InputTests {
  /// 300 MiB of a line took 1.1 GB before it was refused.
  @Test("a line that no record takes is refused where it stands, when so much was read of it")
  func longLine() throws {
    let place = try Workplace()
    try place.write(Array("one\ntwo\n".utf8), to: "in")
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: place.file("in")))
    try file.truncate(atOffset: 300 << 20)
    let input = Input(
      try Descriptor.reading(place.file("in")), name: "in", wakeup: Descriptor(number: -1))
    for _ in 0..<2 { #expect(try input.nextLine(escapedBy: 1) != nil) }
    #expect {
      _ = try input.nextLine(escapedBy: 1)
    } throws: { error in
      guard case CommandFailure.stated(let statement) = error else { return false }
      return statement.status == ExitStatus.badData && statement.place == "in:3"
    }
    #expect(input.buffer.count <= 128 << 20)
    try input.descriptor.close()
  }
}

@Suite("CyclicChecksum")
struct CyclicChecksumTests {
  @Test("the check value and RFC 3720's vectors hold")
  func vectors() {
    func checksum(_ bytes: [UInt8]) -> UInt32 {
      var checksum = CyclicChecksum()
      checksum.update(bytes)
      return checksum.value
    }
    #expect(checksum(Array("123456789".utf8)) == 0xe306_9283)
    #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(checksum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
    #expect(checksum(Array(0..<32)) == 0x46dd_794e)
  }

  @Test("bytes in pieces give the checksum of the whole")
  func pieces() {
    var generator = SeededGenerator(seed: 12)
    for _ in 0..<100 {
      let one = generator.bytes(upTo: 40)
      let two = generator.bytes(upTo: 40)
      var whole = CyclicChecksum()
      whole.update(one + two)
      var parts = CyclicChecksum()
      parts.update(one)
      parts.update(two)
      #expect(whole == parts)
    }
  }
}

/// A raw stream is taken whole or refused at the first record that is not proved.
@Suite("RawStream")
struct RawStreamTests {
  private func stream(_ records: [Record], _ place: Workplace) throws -> [UInt8] {
    try place.output { output in
      var writer = try RawWriter(output)
      for record in records { try writer.write(record) }
      try writer.finish()
    }
  }

  private func read(
    _ bytes: [UInt8], _ place: Workplace
  ) throws -> (
    records: [Record], failure: CommandFailure?
  ) {
    let input = try place.input(bytes)
    var records: [Record] = []
    var failure: CommandFailure?
    do throws(CommandFailure) {
      var reader = try RawReader(input)
      while let record = try reader.next() { records.append(record) }
    } catch {
      failure = error
    }
    try input.close()
    return (records, failure)
  }

  @Test("any records come back, empty ones too")
  func roundTrip() throws {
    let place = try Workplace()
    var generator = SeededGenerator(seed: 13)
    let records =
      (0..<300).map { _ in generator.record(upTo: 300) }
      + [
        Record(key: [], value: []), Record(key: [1], value: [UInt8](repeating: 7, count: 600_000)),
      ]
    let result = try read(try stream(records, place), place)
    #expect(result.failure == nil)
    #expect(result.records == records, "seed 13")
    #expect(try read(try stream([], place), place).failure == nil)
  }

  @Test("every cut is an error of bad data, and what came before it is a prefix")
  func cuts() throws {
    let place = try Workplace()
    var generator = SeededGenerator(seed: 14)
    let records = (0..<6).map { _ in generator.record(upTo: 12) }
    let bytes = try stream(records, place)
    for count in 0..<bytes.count {
      let result = try read(Array(bytes[..<count]), place)
      guard case .stated(let statement) = result.failure else {
        Issue.record("a cut at \(count) of \(bytes.count) went unseen")
        continue
      }
      #expect(statement.status == ExitStatus.badData)
      #expect(records.starts(with: result.records))
    }
  }

  @Test("every flipped bit, and every byte too many, is seen; what came before it is right")
  func flips() throws {
    let place = try Workplace()
    var generator = SeededGenerator(seed: 15)
    let records = (0..<3).map { _ in generator.record(upTo: 6) }
    let bytes = try stream(records, place)
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << bit
        let result = try read(damaged, place)
        #expect(result.failure != nil, "byte \(index), bit \(bit)")
        #expect(records.starts(with: result.records))
      }
    }
    #expect(try read(bytes + [0], place).failure != nil)
    #expect(try read(bytes + bytes, place).failure != nil)
  }

  @Test("a record that is missing, repeated or out of place is seen at once")
  func order() throws {
    let place = try Workplace()
    let records = (0..<3).map { Record(key: [UInt8($0)], value: [9]) }
    let bytes = try stream(records, place)
    // 12 bytes of head, then 14 for each record.
    let parts = (0..<3).map { Array(bytes[12 + 14 * $0..<26 + 14 * $0]) }
    let head = Array(bytes[..<12])
    let tail = Array(bytes[54...])
    #expect(head + parts.joined() + tail == bytes)
    for order in [[0, 2], [1, 2], [0, 1, 1, 2], [0, 0, 1, 2], [1, 0, 2], [0, 1]] {
      let result = try read(head + order.flatMap { parts[$0] } + tail, place)
      #expect(result.failure != nil)
      #expect(records.starts(with: result.records))
    }
  }

  @Test("a length that lies costs no memory ahead of its bytes")
  func lyingLength() throws {
    let place = try Workplace()
    let head = RawStream.magic + RawStream.littleEndian(RawStream.version)
    let lie = RawStream.littleEndian(UInt32(4)) + RawStream.littleEndian(UInt32(1 << 30))
    let result = try read(head + lie + [1, 2, 3, 4, 5], place)
    guard case .stated(let statement) = result.failure else {
      Issue.record("the lie was believed")
      return
    }
    #expect(statement.what == "the input ends within record 1; it was cut")
  }
}

@Suite("RecordReader")
struct RecordReaderTests {
  private func steps(_ text: String, _ format: RecordFormat? = nil) throws -> [ReadStep] {
    let place = try Workplace()
    let input = try place.input(Array(text.utf8))
    var reader = try RecordReader(input, format: format)
    var steps: [ReadStep] = []
    while let step = try reader.next() { steps.append(step) }
    try input.close()
    return steps
  }

  @Test("the form is seen from the first bytes")
  func forms() throws {
    let place = try Workplace()
    #expect(try RecordReader(place.input(Array(" \n {".utf8)), format: nil).format == .ndjson)
    #expect(try RecordReader(place.input(Array("a\tb\n".utf8)), format: nil).format == .tsv)
    let raw = try place.output { output in
      var writer = try RawWriter(output)
      try writer.finish()
    }
    for format in [nil, RecordFormat.tsv, .raw] {
      #expect(try RecordReader(place.input(raw), format: format).format == .raw)
    }
  }

  @Test("an input of no bytes is an error, unless its form was said")
  func empty() throws {
    #expect(throws: CommandFailure.self) { try self.steps("") }
    #expect(throws: CommandFailure.self) { try self.steps("", .raw) }
    #expect(try steps("", .tsv).isEmpty)
    #expect(try steps("", .ndjson).isEmpty)
  }

  @Test("a bad line has its number and its bytes, and the next one is read")
  func badLines() throws {
    let found = try steps("a\tb\nbad\nc\t\\q\nd\te\n")
    #expect(found.count == 4)
    #expect(found.first == .record(Record(key: [0x61], value: [0x62]), line: 1))
    #expect(
      found[1]
        == .bad(
          BadRecord(column: 4, reason: "no tab between key and value"), line: 2,
          text: Array("bad".utf8)))
    guard case .bad(let reason, line: 3, _) = found[2] else {
      Issue.record("line 3 was read")
      return
    }
    #expect(reason.column == 3)
    #expect(found[3] == .record(Record(key: [0x64], value: [0x65]), line: 4))
  }

  @Test("blank lines of NDJSON count as lines and are no records")
  func blank() throws {
    let found = try steps("\n{\"key\":\"a\",\"value\":\"b\"}\n\n")
    #expect(found == [.record(Record(key: [0x61], value: [0x62]), line: 2)])
  }

  @Test(
    "lines longer than a read, and lines that end on its edge, come back",
    arguments: [
      Input.chunk - 3, Input.chunk - 2, Input.chunk - 1, Input.chunk, 3 * Input.chunk + 17,
    ])
  func edges(length: Int) throws {
    let value = [UInt8](repeating: 0x76, count: length)
    var text: [UInt8] = []
    let records = (0..<3).map { Record(key: [0x61 + UInt8($0)], value: value) }
    for record in records { TabSeparated.append(record, encoding: .escaped, to: &text) }
    let found = try steps(String(decoding: text, as: UTF8.self))
    #expect(
      found == records.enumerated().map { .record($0.element, line: UInt64($0.offset + 1)) })
  }
}
