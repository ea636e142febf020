// LineParserTests — records are the same however a program's output comes in pieces.

import Testing
import TurbiditeSimulation

@testable import TurbiditeEngine

@Suite("LineParser")
struct LineParserTests {
  struct Record: Equatable {
    var key: [UInt8]
    var rest: [UInt8]
  }

  private func parse(
    _ bytes: [UInt8], _ form: LineParser.Form, pieces: [Int]
  ) throws(PrintedFailure) -> [Record] {
    var parser = LineParser(form)
    var records: [Record] = []
    func take(_ key: RawSpan, _ rest: RawSpan) {
      records.append(
        Record(key: key.withView { $0.bytes() }, rest: rest.withView { $0.bytes() }))
    }
    var start = 0
    for piece in pieces + [bytes.count] {
      let end = min(bytes.count, start + piece)
      let part = Array(bytes[start..<end])
      try part.withView { view throws(PrintedFailure) in try parser.feed(view.span, take) }
      start = end
    }
    try parser.finish(take)
    return records
  }

  @Test("lines and frames come out as they went in, cut anywhere", arguments: 1...40)
  func pieces(_ seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    func bytes(_ limit: UInt64, _ isText: Bool) -> [UInt8] {
      (0..<random.next() % limit).map { _ in
        let byte = UInt8(truncatingIfNeeded: random.next())
        return isText && (byte == 0x09 || byte == 0x0a) ? 0x20 : byte
      }
    }
    for form in [LineParser.Form.lines, .frames] {
      var wanted: [Record] = []
      var printed: [UInt8] = []
      for _ in 0..<random.next() % 40 {
        let isText = form == .lines
        var rest = bytes(50, false)
        if isText {
          rest = rest.map { $0 == 0x0a ? 0x20 : $0 }
          // A line without a tab is all key.
          rest = random.next() % 3 == 0 ? [] : [0x09] + rest
        }
        let record = Record(key: bytes(20, isText), rest: rest)
        wanted.append(record)
        record.key.withView { key in
          record.rest.withView { printed.append(key.span, $0.span, as: form) }
        }
      }
      if form == .lines, seed % 2 == 0, printed.last == 0x0a, wanted.last?.key.isEmpty == false {
        // The last line need not end.
        printed.removeLast()
      }
      for _ in 0..<6 {
        let pieces = (0..<printed.count).map { _ in Int(random.next() % 30) }
        #expect(try parse(printed, form, pieces: pieces) == wanted)
      }
      #expect(try parse(printed, form, pieces: []) == wanted)
    }
  }

  @Test("a frame that ends early, or claims too much, is told")
  func badFrames() {
    #expect(throws: PrintedFailure.cutOff(byteCount: 5)) {
      try parse([1, 0, 0, 0, 1], .frames, pieces: [])
    }
    #expect(throws: PrintedFailure.cutOff(byteCount: 9)) {
      try parse([1, 0, 0, 0, 1, 0, 0, 0, 7], .frames, pieces: [3])
    }
    #expect(throws: PrintedFailure.self) {
      try parse([255, 255, 255, 255, 255, 255, 255, 255, 7], .frames, pieces: [])
    }
  }
}
