// FormatTargets — the forms in which records come in and keys are spelled, under fuzz.
//
// Room:    Fuzzers.

import Glibc

@testable import TurbiditeCLI

/// The entries of the command's fuzzers.
enum FormatTargets {
  /// Reads lines of TSV or NDJSON; a record that was read is the same when written and read again.
  static func lines(_ input: [UInt8], _ format: RecordFormat) {
    for asked in [format, nil] {
      reading(input) { input throws(CommandFailure) in
        var reader = try RecordReader(input, format: asked)
        while let step = try reader.next() {
          switch step {
          case .record(let record, let line):
            require(line == reader.line, "a record stands on another line")
            if reader.format != .raw { checkAgain(record) }
          case .bad(let bad, _, let text):
            require(!bad.reason.isEmpty, "a bad record has no reason")
            require((0...text.count + 2).contains(bad.column), "a column outside its line")
          }
        }
      }
    }
  }

  private static func checkAgain(_ record: Record) {
    do throws(BadRecord) {
      for encoding in [Encoding.escaped, .utf8] {
        var line: [UInt8] = []
        TabSeparated.append(record, encoding: encoding, to: &line)
        let again = try TabSeparated.parse(line, 0..<line.count - 1, isTerminated: true)
        require(again == record, "a record changes as TSV")
      }
      for alwaysBase64 in [false, true] {
        var line: [UInt8] = []
        ObjectLine.append(record, alwaysBase64: alwaysBase64, to: &line)
        let again = try ObjectLine.parse(line, 0..<line.count - 1)
        require(again == record, "a record changes as NDJSON")
      }
    } catch {
      require(false, "a record cannot be read again: \(error.reason)")
    }
  }

  /// Reads a raw stream to its end or its first damage.
  static func raw(_ input: [UInt8]) {
    reading(input) { source throws(CommandFailure) in
      var reader = try RawReader(source)
      var byteCount = 0
      while let record = try reader.next() {
        byteCount += record.key.count + record.value.count
        require(byteCount <= input.count, "records hold more than the stream")
      }
      require(try reader.next() == nil, "a record follows the end")
    }
  }

  /// Decodes a key in each spelling, and a range and a prefix made of two.
  ///
  /// The input's halves are at its first newline.
  static func escapes(_ input: [UInt8]) {
    let halves = input.split(separator: 0x0a, maxSplits: 1, omittingEmptySubsequences: false)
    let texts = halves.map { String(decoding: $0, as: UTF8.self) }
    require(
      Escapes.visible(texts[0]).unicodeScalars.allSatisfy { Scalars.isPrintable($0.value) }, "")
    for encoding in [Encoding.escaped, .utf8, .hexadecimal, .base64] {
      do throws(BadRecord) {
        var keys: [[UInt8]] = []
        for text in texts {
          let bytes = try encoding.decode(text)
          var written: [UInt8] = []
          encoding.append(bytes, to: &written)
          let again = try encoding.decode(String(decoding: written, as: UTF8.self))
          require(again == bytes, "a key changes in \(encoding)")
          keys.append(bytes)
        }
        checkBounds(keys)
      } catch {
        require(!error.reason.isEmpty, "a refusal has no reason")
      }
    }
  }

  private static func checkBounds(_ keys: [[UInt8]]) {
    var bounds = KeyBounds(from: keys[0], to: keys.count > 1 ? keys[1] : nil)
    if !bounds.isEmpty { _ = bounds.range }
    bounds.narrow(toPrefix: keys[0])
    if !bounds.isEmpty { _ = bounds.range }
    if let after = KeyBounds.successor(ofPrefix: keys[0]) {
      require(keys[0].lexicographicallyPrecedes(after), "a prefix's end is not behind it")
      require(!after.starts(with: keys[0]), "a prefix's end begins with the prefix")
    }
  }

  /// What a pipe holds on Linux before a write to it blocks.
  private static let pipeByteCount = 64 << 10

  /// Gives `body` an input that reads these bytes from a pipe.
  private static func reading(
    _ bytes: [UInt8], _ body: (Input) throws(CommandFailure) -> Void
  ) {
    guard bytes.count <= pipeByteCount else { return }
    var ends: [Int32] = [-1, -1]
    require(pipe(&ends) == 0, "no pipe")
    defer { require(close(ends[0]) == 0, "the pipe does not close") }
    let written = bytes.withUnsafeBytes { write(ends[1], $0.baseAddress, $0.count) }
    require(written == bytes.count && close(ends[1]) == 0, "the pipe takes no input")
    do throws(CommandFailure) {
      try body(
        Input(Descriptor(number: ends[0]), name: "input", wakeup: Descriptor(number: -1)))
    } catch {
      require(!"\(error)".isEmpty, "a refusal says nothing")
    }
  }
}
