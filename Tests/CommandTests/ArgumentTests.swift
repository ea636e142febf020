import ArgumentParser
import Testing

@testable import TurbiditeCLI

@Suite("Arguments")
struct ArgumentTests {
  private func parse(_ arguments: [String]) throws -> any ParsableCommand {
    try TurbiditeCommand.parseAsRoot(GlobalOptions.afterVerb(arguments))
  }

  @Test("global flags stand before the verb or behind it")
  func globals() throws {
    for arguments in [
      ["--json", "--color=never", "--progress", "off", "-q", "info", "x"],
      ["info", "--json", "--color", "never", "x", "--progress=off", "--quiet"],
      ["--format", "json", "info", "--color", "never", "-q", "x", "--progress", "off"],
    ] {
      let info = try #require(try parse(arguments) as? InfoCommand)
      #expect(info.directory == "x")
      #expect(info.global.reportFormat == .json)
      #expect(info.global.color == .never)
      #expect(info.global.progress == .off)
      #expect(info.global.quiet)
    }
  }

  @Test("a verb of two words has them behind both")
  func twoWords() throws {
    for arguments in [
      ["--json", "shards", "remove", "3", "x", "--plan"],
      ["shards", "remove", "--json", "3", "--plan", "x"],
    ] {
      let remove = try #require(try parse(arguments) as? RemoveShardCommand)
      #expect(remove.shard == 3)
      #expect(remove.directory == "x")
      #expect(remove.change.plan)
      #expect(remove.global.reportFormat == .json)
    }
    #expect(try parse(["--json", "shards", "x"]) is ShowShardsCommand)
  }

  @Test("flags alone, and flags of the tool itself, are left where they are")
  func untouched() {
    for arguments in [
      ["--json"], ["--version"], ["--json", "--help"], [], ["get", "-", "--json"],
    ] {
      #expect(GlobalOptions.afterVerb(arguments) == arguments)
    }
  }

  @Test(
    "arguments that contradict each other are refused with the status of a usage error",
    arguments: [
      "info", "info x y", "bogus", "info x --json --format tsv", "info x -q -v",
      "get x", "get x k --raw --json", "get x k --hex --base64", "put x k v --shards 4",
      "put x k v --create --shards 0", "put x k v --create --shards 4097", "rm x",
      "rm x k --prefix p", "scan x --limit -1", "scan x --json --hex", "dump x --hex",
      "dump x --as raw --base64", "dump x --as mdb", "load x", "inspect x --hexdump z",
      "inspect x --hexdump 1:2:3", "shards", "shards add", "shards remove x", "shards add 1 x",
      "inspect x --hexdump 5 --blocks", "get x -- k extra",
    ])
  func refused(line: String) throws {
    let failure = #expect(throws: (any Error).self) {
      try self.parse(line.split(separator: " ").map(String.init))
    }
    #expect(TurbiditeCommand.exitCode(for: try #require(failure)).rawValue == ExitStatus.usage)
  }

  @Test("a dump's form is --as, else what --json and --format say, else NDJSON")
  func forms() throws {
    for (line, expected) in [
      ("dump x", nil), ("dump x --as raw --json", RecordFormat.raw), ("dump x --as tsv", .tsv),
    ] {
      let dump = try #require(
        try parse(line.split(separator: " ").map(String.init)) as? DumpCommand)
      #expect(dump.form == expected)
    }
  }

  @Test("keys are text with escapes, hexadecimal or base64, and are never empty")
  func keys() throws {
    var spelling = try SpellingOptions.parse([])
    #expect(try spelling.key("a\\x00é") == [0x61, 0, 0xc3, 0xa9])
    #expect(throws: CommandFailure.self) { try spelling.key("") }
    #expect(throws: CommandFailure.self) { try spelling.key("\\") }
    spelling = try SpellingOptions.parse(["--hex"])
    #expect(try spelling.key("00fF") == [0, 0xff])
    #expect(throws: CommandFailure.self) { try spelling.key("0") }
    spelling = try SpellingOptions.parse(["--base64"])
    #expect(try spelling.key("AP8=") == [0, 0xff])
    #expect(throws: CommandFailure.self) { try spelling.key("AP8") }
  }

  @Test("a part of a file is an offset and a length, decimal or hexadecimal")
  func windows() {
    #expect(ByteWindow("16").map { [$0.offset, $0.length] } == [16, 256])
    #expect(ByteWindow("0x10:0x20").map { [$0.offset, $0.length] } == [16, 32])
    #expect(ByteWindow("0:0").map { [$0.offset, $0.length] } == [0, 0])
    for text in ["", ":", "1:", ":1", "-1", "+1", "0x", "1:2:3", "18446744073709551615", "1e3"] {
      #expect(ByteWindow(text) == nil, "\(text)")
    }
    #expect(ByteWindow("0:18446744073709551615") != nil)
  }
}

/// A range and a prefix together hold exactly the keys that both hold.
@Suite("KeyBounds")
struct KeyBoundsTests {
  @Test("bounds agree with the definition on all short keys")
  func model() {
    let letters: [UInt8] = [0, 1, 0xfe, 0xff]
    var keys: [[UInt8]] = [[]]
    for length in 1...3 {
      for key in keys where key.count == length - 1 { keys += letters.map { key + [$0] } }
    }
    var generator = SeededGenerator(seed: 16)
    for _ in 0..<400 {
      let from = Bool.random(using: &generator) ? keys.randomElement(using: &generator) : nil
      let to = Bool.random(using: &generator) ? keys.randomElement(using: &generator) : nil
      let prefix = keys.randomElement(using: &generator) ?? []
      var bounds = KeyBounds(from: from, to: to)
      bounds.narrow(toPrefix: prefix)
      for key in keys {
        let expected =
          !(from.map { key.lexicographicallyPrecedes($0) } ?? false)
          && (to.map { key.lexicographicallyPrecedes($0) } ?? true) && key.starts(with: prefix)
        let found =
          !(bounds.from.map { key.lexicographicallyPrecedes($0) } ?? false)
          && (bounds.to.map { key.lexicographicallyPrecedes($0) } ?? true)
        #expect(found == expected, "seed 16: \(bounds) \(prefix) \(key)")
        if expected { #expect(!bounds.isEmpty) }
      }
    }
  }
}
