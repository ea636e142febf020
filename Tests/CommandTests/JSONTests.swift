import Foundation
import Testing

@testable import TurbiditeCLI

@Suite("JSONWriter")
struct JSONWriterTests {
  @Test("Python reads nested values, numbers and hostile texts as they were given")
  func python() throws {
    var generator = SeededGenerator(seed: 7)
    let texts = (0..<50).map { _ in
      String(decoding: generator.bytes(upTo: 30), as: UTF8.self)
    }
    let document = JSONWriter.document("test/1") { json in
      json.member("most", UInt64.max)
      json.member("least", Int64.min)
      json.member("yes", true)
      json.member("none", nil as String?)
      json.array("empty") { _ in }
      json.object("nested") { json in
        json.array("texts") { json in for text in texts { json.element(text) } }
        json.array("rows") { json in
          for row in 0..<2 { json.array { json in json.element("\(row)") } }
          json.object { $0.bytes("key", [0xff, 0x00]) }
        }
      }
      json.member("last", "end")
    }
    let program = """
      import json,sys
      d=json.loads(sys.stdin.buffer.read().decode('utf-8'))
      assert d['schema']=='turbidite.test/1', d
      assert d['most']==2**64-1 and d['least']==-2**63 and d['yes'] is True and d['none'] is None
      assert d['empty']==[] and d['last']=='end'
      assert d['nested']['rows']==[['0'],['1'],{'key_b64':'/wA='}]
      for t in d['nested']['texts']: print(t.encode('utf-8').hex())
      """
    let outcome = try runPython(program, input: document)
    #expect(outcome.status == 0, "\(outcome.error)")
    let expected = texts.map { text in
      var digits: [UInt8] = []
      Digits.appendHexadecimal(Array(text.utf8), to: &digits)
      return String(decoding: digits, as: UTF8.self)
    }
    #expect(
      outcome.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        == expected.map { Substring($0) }[...], "seed 7")
  }
}

@Suite("ObjectLine")
struct ObjectLineTests {
  private func parse(_ line: String) throws(BadRecord) -> Record? {
    let bytes = Array(line.utf8)
    return try ObjectLine.parse(bytes, 0..<bytes.count)
  }

  @Test("any record comes back", arguments: [false, true])
  func roundTrip(alwaysBase64: Bool) throws {
    var generator = SeededGenerator(seed: 8)
    for _ in 0..<500 {
      let record = generator.record()
      var line: [UInt8] = []
      ObjectLine.append(record, alwaysBase64: alwaysBase64, to: &line)
      #expect(line.last == 0x0a)
      #expect(line.dropLast().allSatisfy { $0 >= 0x20 })
      #expect(try ObjectLine.parse(line, 0..<line.count - 1) == record, "seed 8: \(record)")
    }
  }

  @Test("Python reads what is written, and what Python writes is read")
  func python() throws {
    var generator = SeededGenerator(seed: 9)
    let records = (0..<200).map { _ in generator.record() }
    var text: [UInt8] = []
    for record in records { ObjectLine.append(record, alwaysBase64: false, to: &text) }
    // Reads our lines, and writes the same records in its own way, with escapes for all but ASCII.
    let program = """
      import json,sys,base64
      for line in sys.stdin.buffer:
        d=json.loads(line.decode('utf-8'))
        assert len(d)==2, d
        o={}
        for n in ('value','key'):
          b=d[n].encode('utf-8') if n in d else base64.b64decode(d[n+'_b64'],validate=True)
          try: o[n]=b.decode('utf-8')
          except UnicodeDecodeError: o[n+'_b64']=base64.b64encode(b).decode()
        print(json.dumps(o,indent=None))
      """
    let outcome = try runPython(program, input: text)
    #expect(outcome.status == 0, "\(outcome.error)")
    let lines = outcome.text.split(separator: "\n")
    #expect(lines.count == records.count)
    for (line, record) in zip(lines, records) {
      #expect(try parse(String(line)) == record, "seed 9: \(line)")
    }
  }

  @Test("white space and the order of members do not matter; a blank line is no record")
  func lenient() throws {
    let expected = Record(key: [0x6b], value: [0x76])
    #expect(try parse(" { \"value\" : \"v\" ,\t\"key_b64\": \"aw==\" } \r") == expected)
    #expect(try parse("") == nil)
    #expect(try parse(" \t\r") == nil)
    #expect(try parse("{\"key\":\"\\ud83d\\ude00\\/\",\"value\":\"\"}")?.key == Array("😀/".utf8))
  }

  @Test(
    "a line that is not exactly one record is refused",
    arguments: [
      "[]", "{}", "null", "{\"key\":\"a\"}", "{\"value\":\"a\"}", "{\"key\":\"a\",\"value\":1}",
      "{\"key\":\"a\",\"value\":\"b\"} x", "{\"key\":\"a\",\"value\":\"b\"",
      "{\"key\":\"a\",\"value\":\"b\",}", "{,\"key\":\"a\",\"value\":\"b\"}",
      "{\"key\":\"a\",\"key\":\"a\",\"value\":\"b\"}",
      "{\"key\":\"a\",\"key_b64\":\"YQ==\",\"value\":\"b\"}",
      "{\"key\":\"a\",\"value\":\"b\",\"ttl\":\"5\"}", "{\"key\":\"\\ud800\",\"value\":\"b\"}",
      "{\"key\":\"\\ud800\\u0041\",\"value\":\"b\"}", "{\"key\":\"\\udc00\",\"value\":\"b\"}",
      "{\"key\":\"\\x41\",\"value\":\"b\"}", "{\"key\":\"\\u00g0\",\"value\":\"b\"}",
      "{\"key\":\"a\u{1}\",\"value\":\"b\"}", "{\"key\":\"a\",\"value_b64\":\"YQ\"}",
      "{\"key\" \"a\",\"value\":\"b\"}", "{'key':'a','value':'b'}", "{\"key\":\"a",
      "{\"key\":\"a\\", "{\"key\":\"\\u00",
    ])
  func refused(line: String) {
    #expect(throws: BadRecord.self) { try self.parse(line) }
  }

  @Test("every cut of a good line is refused")
  func cut() throws {
    let line = "{\"key_b64\":\"/wA=\",\"value\":\"a\\u20ac\\n\"}"
    for count in 1..<line.utf8.count {
      #expect(throws: BadRecord.self) { try self.parse(String(line.prefix(count))) }
    }
    #expect(try parse(line) != nil)
  }

  @Test("no edit of a good line traps, and Python agrees on what is JSON")
  func edits() throws {
    var generator = SeededGenerator(seed: 10)
    let good = Array("{\"key\":\"a\\u00e9\\ud83d\\ude00b\",\"value_b64\":\"/wA=\"}".utf8)
    var accepted: [UInt8] = []
    for _ in 0..<4000 {
      var line = good
      for _ in 0..<Int.random(in: 1...2, using: &generator) {
        line[Int.random(in: 0..<line.count, using: &generator)] =
          Array("\\\"{}:,u09dD=A \u{1}".utf8).randomElement(using: &generator) ?? 0
      }
      do throws(BadRecord) {
        if try ObjectLine.parse(line, 0..<line.count) != nil { accepted += line + [0x0a] }
      } catch {
        #expect(error.column >= 1)
        #expect(error.column <= line.count + 1)
      }
    }
    let program = """
      import json,sys
      for line in sys.stdin.buffer: json.loads(line.decode('utf-8'))
      """
    let outcome = try runPython(program, input: accepted)
    #expect(outcome.status == 0, "seed 10: \(outcome.error)")
  }
}
