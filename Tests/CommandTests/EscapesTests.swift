import Testing

@testable import TurbiditeCLI

@Suite("Escapes")
struct EscapesTests {
  @Test("any bytes come back from either alphabet", arguments: [UInt64(1), 2, 3])
  func roundTrip(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let bytes = generator.bytes(upTo: 60)
      for alphabet in [Escapes.Alphabet.ascii, .utf8] {
        let text = Escapes.text(bytes, alphabet: alphabet)
        #expect(try Escapes.decode(text) == bytes, "seed \(seed): \(bytes)")
      }
    }
  }

  @Test("every single byte comes back, and the default text is printable ASCII")
  func singleBytes() throws {
    for byte in UInt8.min...UInt8.max {
      let text = Escapes.text([byte], alphabet: .ascii)
      #expect(text.utf8.allSatisfy { (0x20...0x7e).contains($0) })
      #expect(try Escapes.decode(text) == [byte])
    }
  }

  @Test("what could drive a terminal is escaped in both alphabets")
  func terminal() {
    let hostile = Array("\u{1b}[2J\u{9b}2J\u{202e}abc\u{200b}".utf8)
    let text = Escapes.text(hostile, alphabet: .utf8)
    #expect(text == "\\x1b[2J\\xc2\\x9b2J\\xe2\\x80\\xaeabc\\xe2\\x80\\x8b")
  }

  @Test("an escape that is none is refused with its column")
  func refused() {
    let expected: [(String, Int)] = [("ab\\q", 3), ("\\", 1), ("a\\x1", 2), ("\\xg0", 1)]
    for (text, column) in expected {
      let failure = #expect(throws: BadRecord.self) { try Escapes.decode(text) }
      #expect(failure?.column == column, "\(text)")
    }
  }

  @Test("text from elsewhere is shown without controls, and keeps its backslashes")
  func visible() {
    #expect(Escapes.visible("a\\b\u{1b}c\né") == "a\\b\\x1bc\\x0aé")
  }
}

@Suite("Digits")
struct DigitsTests {
  @Test("any bytes come back from hexadecimal and from base64", arguments: [UInt64(4), 5])
  func roundTrip(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      let bytes = generator.bytes(upTo: 50)
      var hexadecimal: [UInt8] = []
      var base64: [UInt8] = []
      Digits.appendHexadecimal(bytes, to: &hexadecimal)
      Digits.appendBase64(bytes, to: &base64)
      #expect(try Digits.decodeHexadecimal(hexadecimal) == bytes, "seed \(seed)")
      #expect(try Digits.decodeBase64(base64) == bytes, "seed \(seed)")
    }
  }

  @Test("the vectors of RFC 4648 section 10 hold")
  func vectors() {
    let vectors = [
      "": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE=",
      "foobar": "Zm9vYmFy",
    ]
    for (plain, expected) in vectors {
      var text: [UInt8] = []
      Digits.appendBase64(Array(plain.utf8), to: &text)
      #expect(String(decoding: text, as: UTF8.self) == expected)
    }
  }

  @Test(
    "base64 with a second spelling, a wrong length or a wrong letter is refused",
    arguments: ["Zg", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Z g=", "Zm9v\n", "=AAA"])
  func refused(text: String) {
    #expect(throws: BadRecord.self) { try Digits.decodeBase64(Array(text.utf8)) }
  }
}

@Suite("Scalars")
struct ScalarsTests {
  @Test("validity agrees with the standard library on random and on edited bytes")
  func agrees() {
    var generator = SeededGenerator(seed: 6)
    for _ in 0..<3000 {
      var bytes = Array("a\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}".utf8)
      let index = Int.random(in: 0..<bytes.count, using: &generator)
      bytes[index] = UInt8.random(in: 0...255, using: &generator)
      let expected = String(validating: bytes, as: UTF8.self) != nil
      #expect(Scalars.isValid(bytes, 0..<bytes.count) == expected, "\(bytes)")
      if expected { continue }
      #expect(String(decoding: bytes, as: UTF8.self).unicodeScalars.contains("\u{fffd}"))
    }
  }

  @Test("every scalar is written as the standard library writes it")
  func written() {
    for value in stride(from: UInt32(0), through: 0x10ffff, by: 7) {
      guard let scalar = Unicode.Scalar(value) else { continue }
      var bytes: [UInt8] = []
      Scalars.append(value, to: &bytes)
      #expect(bytes == Array(String(scalar).utf8))
    }
  }
}
