import Foundation
import Testing

@testable import TurbiditeCLI

/// The built command against real stores: what it prints, and how it ends.
///
/// Each test has a directory of its own; nothing is shared, and nothing waits for a clock.
@Suite("The command")
struct CommandProcessTests {
  /// The command, built beside the test bundle.
  private static let tool = builtCommand

  private let place: Workplace

  init() throws { place = try Workplace() }

  private func run(
    _ arguments: [String], input: [UInt8] = [], output: String? = nil
  ) throws
    -> Outcome
  {
    try runProgram(CommandProcessTests.tool, arguments, input: input, output: output)
  }

  private func store(_ name: String = "store") -> String { place.file(name) }

  /// Runs a line of shell with the command as `$T` and the test's directory as `$D`.
  private func shell(_ line: String) throws -> Outcome {
    try runProgram(
      "/bin/bash",
      ["-c", "T='\(CommandProcessTests.tool)'; D='\(place.path)'; \(line)"])
  }

  private func fill(_ records: [Record], _ name: String = "store") throws {
    var text: [UInt8] = []
    for record in records { TabSeparated.append(record, encoding: .escaped, to: &text) }
    let outcome = try run(
      ["load", store(name), "-", "--as", "tsv", "--create", "--shards", "3"], input: text)
    #expect(outcome.status == 0, "\(outcome.error)")
  }

  private func entries(_ name: String = "store") throws -> [UInt8] {
    let outcome = try run(["scan", store(name)])
    #expect(outcome.status == 0, "\(outcome.error)")
    return outcome.output
  }

  /// Mended to U+FFFD, two keys were one, and a third removed it.
  @Test("arguments and places that are not UTF-8 are refused, and nothing is made of them")
  func notText() throws {
    try fill([Record(key: Array("\u{fffd}".utf8), value: [0x61])])
    let before = try entries()
    for line in [
      "put $D/store $'\\xff' x", "put $D/store k $'\\xfe'", "rm $D/store $'\\xfe\\xfd'",
      "get $D/store --keyspace $'\\xff' k", "put $D/$'\\xff' k v --create", "$'\\xff'",
      "append $D/store $'a\\xff' --create", "tail $D/store a --group $'\\xff'",
    ] {
      let outcome = try shell("timeout -s KILL 60 $T \(line) < /dev/null")
      #expect(outcome.status == ExitStatus.usage, "\(line): \(outcome)")
    }
    #expect(try entries() == before)
    let inside = try shell("mkdir $D/$'\\xff' && cd $D/$'\\xff' && $T put store k v --create")
    #expect(inside.status == ExitStatus.usage, "\(inside)")
    #expect(try shell("ls $D/$'\\xff'").output.isEmpty)
  }

  /// The pipe that wakes a waiting command, and files of the store, would be in their place: a scan
  /// wrote into that pipe until it was full, and waited for ever.
  @Test("standard descriptors that are closed are told, and nothing else takes their place")
  func closedDescriptors() throws {
    try fill([Record(key: [0x61], value: Array(repeating: 0x62, count: 100_000))])
    let before = try entries()
    for line in [
      "scan $D/store <&- >&-", "scan $D/store <&- >&- 2>&-", "dump $D/store <&- >&-",
      "load $D/store - --as tsv <&-", "put $D/store c <&-", "put $D/store c - <&-",
    ] {
      let outcome = try shell("timeout -s KILL 60 $T \(line)")
      #expect(outcome.status == 74 && !outcome.isSignal, "\(line): \(outcome)")
    }
    #expect(try shell("$T put $D/store key value <&- >&- 2>&-; $T rm $D/store key").status == 0)
    #expect(try entries() == before)
    #expect(try run(["verify", store(), "--deep"]).status == 0)
  }

  @Test("a want of handles has the status of one, wherever it is met")
  func fewHandles() throws {
    try place.write(Array("a\t1\n".utf8), to: "in.tsv")
    for count in 4...12 {
      let outcome = try shell("ulimit -n \(count); $T load $D/few-\(count) $D/in.tsv --create -q")
      #expect([0, 73].contains(outcome.status) || outcome.status == 127, "\(count): \(outcome)")
    }
  }

  @Test("what put writes get prints, with escapes or byte for byte")
  func putAndGet() throws {
    #expect(try run(["put", store(), "k\\x00", "v\\tw", "--create"]).status == 0)
    let escaped = try run(["get", store(), "k\\x00"])
    #expect(escaped.status == 0)
    #expect(escaped.text == "v\\tw\n")
    #expect(escaped.error.isEmpty)
    #expect(try run(["get", store(), "k\\x00", "--raw"]).output == Array("v\tw".utf8))
    let bytes = [UInt8](0...255)
    #expect(try run(["put", store(), "all", "-", "--synced"], input: bytes).status == 0)
    #expect(try run(["get", store(), "all", "--raw"]).output == bytes)
    #expect(
      try run(["--json", "get", store(), "k\\x00"]).text
        == "{\"schema\":\"turbidite.entry/1\",\"key\":\"k\\u0000\",\"value\":\"v\\tw\"}\n")
  }

  @Test("an absent key ends with 1, says nothing on standard output, and one line unless quiet")
  func absent() throws {
    try fill([Record(key: [0x61], value: [])])
    let outcome = try run(["get", store(), "b"])
    #expect(outcome.status == 1)
    #expect(outcome.output.isEmpty)
    #expect(outcome.error.split(separator: "\n").count == 1)
    let quiet = try run(["get", store(), "b", "-q"])
    #expect(quiet.status == 1)
    #expect(quiet.error.isEmpty)
    let empty = try run(["get", store(), "a"])
    #expect(empty.status == 0)
    #expect(empty.text == "\n")
  }

  @Test("rm takes out keys and ranges; an absent key is no error")
  func remove() throws {
    try fill("abcdef".utf8.map { Record(key: [$0], value: [$0]) })
    #expect(try run(["rm", store(), "b", "zzz"]).status == 0)
    #expect(try run(["scan", store(), "--keys-only"]).text == "a\nc\nd\ne\nf\n")
    #expect(try run(["rm", store(), "--from", "c", "--to", "e"]).status == 0)
    #expect(try run(["rm", store(), "--prefix", "f"]).status == 0)
    #expect(try run(["scan", store(), "--keys-only"]).text == "a\ne\n")
  }

  @Test("scan keeps to its bounds, its order and its limit, and counts")
  func scan() throws {
    try fill(["a", "b", "ba", "bb", "c"].map { Record(key: Array($0.utf8), value: [0x31]) })
    func keys(_ arguments: String...) throws -> String {
      try run(["scan", store(), "--keys-only"] + arguments).text
    }
    #expect(try keys() == "a\nb\nba\nbb\nc\n")
    #expect(try keys("--prefix", "b", "--reverse") == "bb\nba\nb\n")
    #expect(try keys("--prefix", "b", "--from", "ba", "--to", "bb") == "ba\n")
    #expect(try keys("--from", "c", "--to", "a").isEmpty)
    #expect(try keys("--limit", "2") == "a\nb\n")
    #expect(try keys("--limit", "0").isEmpty)
    #expect(try run(["scan", store(), "--count", "--prefix", "b"]).text == "3\n")
    #expect(
      try run(["scan", store(), "--count", "--from", "z", "--json"]).text
        == "{\"schema\":\"turbidite.count/1\",\"count\":0}\n")
    #expect(
      try run(["scan", store(), "--limit", "1", "--json"]).text
        == "{\"key\":\"a\",\"value\":\"1\"}\n")
    #expect(try run(["scan", store(), "--limit", "1", "--hex"]).text == "61\t31\n")
  }

  @Test("dump and load lose nothing, in any form, for any bytes", arguments: RecordFormat.allCases)
  func dumpAndLoad(form: RecordFormat) throws {
    var generator = SeededGenerator(seed: 17)
    try fill((0..<300).map { _ in generator.record(upTo: 200) })
    let outcome = try shell(
      """
      set -o pipefail
      "$T" dump "$D/store" --as \(form.rawValue) | "$T" load "$D/copy" - --create --shards 2
      """)
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(try entries("copy") == entries(), "seed 17")
  }

  @Test("a raw dump that was cut ends with 65; the records before the cut stay")
  func cutDump() throws {
    try fill((0..<20).map { Record(key: [0x61 + $0], value: [0x76]) })
    let whole = try run(["dump", store(), "--as", "raw"]).output
    // 12 bytes of head and 14 for each record: the cut is inside the sixth.
    let outcome = try run(
      ["load", store("copy"), "-", "--create"], input: Array(whole[..<(12 + 14 * 5 + 3)]))
    #expect(outcome.status == ExitStatus.badData)
    #expect(outcome.error.contains("record 6"))
    #expect(outcome.error.contains("5 records loaded before"))
    #expect(try run(["scan", store("copy"), "--count"]).text == "5\n")
  }

  @Test("a bad line is named by file and line, ends with 65, and can be set aside")
  func badLines() throws {
    try place.write(Array("a\t1\nbad\nb\t2\n\t3\n".utf8), to: "lines.tsv")
    let lines = place.file("lines.tsv")
    let outcome = try run(["load", store(), lines, "--create"])
    #expect(outcome.status == ExitStatus.badData)
    #expect(outcome.error.contains("\(lines):2"))
    #expect(try entries() == Array("a\t1\n".utf8))
    let aside = place.file("aside")
    let second = try run(["load", store(), lines, "--skip-bad", aside, "--json"])
    #expect(second.status == 0, "\(second.error)")
    #expect(
      second.text == "{\"schema\":\"turbidite.load/1\",\"records\":2,\"bytes\":4,\"skipped\":2}\n")
    #expect(try place.read("aside") == Array("bad\n\t3\n".utf8))
    #expect(try entries() == Array("a\t1\nb\t2\n".utf8))
    let third = try run(["load", store(), lines, "--skip-bad", aside])
    #expect(third.status == ExitStatus.conflict)
  }

  @Test("keyspaces are apart; a missing one ends with 1, and --create makes it")
  func keyspaces() throws {
    try fill([Record(key: [0x61], value: [0x31])])
    #expect(try run(["put", store(), "a", "2", "--keyspace", "other"]).status == 1)
    #expect(try run(["put", store(), "a", "2", "--keyspace", "other", "--create"]).status == 0)
    #expect(try run(["get", store(), "a"]).text == "1\n")
    #expect(try run(["get", store(), "a", "--keyspace", "other"]).text == "2\n")
    #expect(try run(["scan", store(), "--keyspace", "none"]).status == 1)
  }

  @Test("a missing store, file or argument has its exit status, in three lines")
  func failures() throws {
    for verb in [["info"], ["stats"], ["scan"], ["dump"], ["compact"], ["files"], ["get", "k"]] {
      let outcome = try run([verb[0], place.file("none")] + verb.dropFirst())
      #expect(outcome.status == ExitStatus.noInput, "\(verb): \(outcome.error)")
      #expect(outcome.output.isEmpty)
      #expect(outcome.error.split(separator: "\n").count == 3, "\(outcome.error)")
    }
    #expect(try run(["put", place.file("none"), "k", "v"]).status == ExitStatus.noInput)
    #expect(try run(["load", store(), place.file("none")]).status == ExitStatus.noInput)
    #expect(try run(["bogus"]).status == ExitStatus.usage)
    #expect(!FileManager.default.fileExists(atPath: place.file("none")))
    let empty = try run(["load", place.file("none"), "-", "--create"])
    #expect(empty.status == ExitStatus.badData)
    #expect(!FileManager.default.fileExists(atPath: place.file("none")))
  }

  @Test("verbs that look write nothing into the store's directory")
  func readOnly() throws {
    try fill((0..<50).map { Record(key: [$0], value: [$0]) })
    let before = try shell("cd $D/store && find . -type f | sort | xargs md5sum").text
    for arguments in [
      ["info"], ["stats"], ["files"], ["shards"], ["scan"], ["dump", "--as", "raw"],
    ] {
      #expect(try run([arguments[0], store()] + arguments.dropFirst()).status == 0)
    }
    #expect(try run(["get", store(), "\\x01"]).status == 0)
    #expect(try shell("cd $D/store && find . -type f | sort | xargs md5sum").text == before)
  }

  @Test("reports are JSON that Python reads, with the name of their schema")
  func reports() throws {
    try fill((0..<50).map { Record(key: [$0], value: [$0]) })
    let program = """
      import json,sys
      for line in sys.stdin: print(json.loads(line)['schema'])
      """
    for (arguments, schema) in [
      (["info", store()], "info"), (["stats", store()], "stats"), (["files", store()], "file"),
      (["shards", store()], "shard"),
      (["compact", store()], "compact"), (["version"], "version"),
    ] {
      let outcome = try run(arguments + ["--json"])
      #expect(outcome.status == 0, "\(outcome.error)")
      let read = try runPython(program, input: outcome.output)
      #expect(read.status == 0, "\(read.error)")
      #expect(Set(read.text.split(separator: "\n")) == ["turbidite.\(schema)/1"])
    }
    for verb in ["info", "stats", "files", "shards"] {
      let lines = try run([verb, store(), "--format", "tsv"]).text.split(separator: "\n")
      let widths = Set(
        lines.map { $0.split(separator: "\t", omittingEmptySubsequences: false).count })
      #expect(widths.count == 1, "\(verb): \(lines)")
    }
  }

  @Test("shards come and go, and every record stays")
  func shards() throws {
    try fill((0..<400).map { Record(key: [UInt8($0 / 256), UInt8($0 % 256)], value: [1]) })
    let before = try run(["dump", store(), "--as", "raw"]).text
    let plan = try run(["shards", "add", store(), "--plan", "--format", "tsv"])
    #expect(plan.text.contains("\t1024"), "\(plan.text)")
    let steps = [
      ["shards", "add", store()], ["shards", "remove", "0", store()], ["shards", "add", store()],
      ["shards", "rebalance", store()],
    ]
    for step in steps {
      let outcome = try run(step + ["--format", "tsv"])
      #expect(outcome.status == 0, "\(outcome.error)")
      #expect(try run(["dump", store(), "--as", "raw"]).text == before)
      #expect(try run(["verify", store(), "--deep"]).status == 0)
    }
    #expect(try run(["shards", "remove", "77", store()]).status == 1)
    #expect(try run(["shards", "add", place.file("none")]).status == ExitStatus.noInput)
  }

  @Test("a full disk under standard output ends with 74, help included")
  func fullOutput() throws {
    try fill([Record(key: [0x61], value: [0x62])])
    for arguments in [
      ["scan", store()], ["dump", store()], ["get", store(), "a"], ["info", store()], ["--help"],
      ["version"],
    ] {
      let outcome = try run(arguments, output: "/dev/full")
      #expect(outcome.status == ExitStatus.inputOutput, "\(arguments)")
      #expect(!outcome.isSignal)
    }
  }

  @Test(
    "a verb that writes keeps what it wrote when its report cannot be",
    arguments: ["/dev/full", "&-"]
  )
  func unwrittenReport(output: String) throws {
    try place.write(Array("a\t1\nb\t2\n".utf8), to: "lines.tsv")
    for (words, status) in [
      ("load \"$D/store\" \"$D/lines.tsv\" --create --json", ExitStatus.inputOutput),
      ("put \"$D/store\" c 3", 0), ("rm \"$D/store\" a", 0),
      ("compact \"$D/store\" --json", ExitStatus.inputOutput),
    ] {
      let outcome = try shell("\"$T\" \(words) >\(output); echo $? >&2")
      #expect(outcome.error.hasSuffix("\(status)\n"), "\(words): \(outcome.error)")
      #expect(try run(["verify", store(), "--deep"]).status == 0, "\(words)")
    }
    #expect(try run(["scan", store()]).text == "b\t2\nc\t3\n")
  }

  @Test("a reader that goes ends the command by SIGPIPE, without a word")
  func brokenPipe() throws {
    let value = [UInt8](repeating: 0x76, count: 3000)
    try fill((0..<1000).map { Record(key: Array("\($0)".utf8), value: value) })
    for verb in ["scan", "dump"] {
      let outcome = try shell(
        "\"$T\" \(verb) \"$D/store\" | head -c 10 >/dev/null; echo ${PIPESTATUS[0]}")
      #expect(outcome.text == "141\n")
      #expect(outcome.error.isEmpty, "\(outcome.error)")
    }
  }

  @Test(
    "a signal while load waits keeps what was read, closes, and is the status",
    arguments: [("INT", Int32(2)), ("TERM", 15), ("HUP", 1)])
  func signal(name: String, number: Int32) throws {
    // The pipe stays open, so that the command waits for more. Job control gives the child the
    // default signals: a background child of a script ignores SIGINT otherwise.
    let outcome = try shell(
      """
      set -m
      mkfifo "$D/pipe"
      "$T" load "$D/store" "$D/pipe" --create --as tsv 2>"$D/said" & child=$!
      exec 7>"$D/pipe"
      printf 'a\\t1\\nb\\t2\\nhalf' >&7
      python3 -c '
      import fcntl, struct, termios
      while struct.unpack("i", fcntl.ioctl(7, termios.FIONREAD, b"0000"))[0]: pass'
      kill -\(name) $child
      wait $child; echo $?
      exec 7>&-
      cat "$D/said" >&2
      """)
    #expect(outcome.text == "\(128 + number)\n", "\(outcome.error)")
    // What the command had taken from the pipe by then: two lines and a half. The signal may come
    // between the two.
    let said = outcome.error.firstMatch(of: /interrupted; (\d) records? loaded/)
    let kept = try #require(said?.output.1, "\(outcome.error)")
    #expect(["1", "2"].contains(kept))
    let counted = try run(["scan", store(), "--count"])
    #expect(counted.status == 0)
    #expect(counted.text == "\(kept)\n")
    #expect(try run(["verify", store(), "--deep"]).status == 0)
  }

  @Test("a signal that was ignored at the start stays ignored")
  func nohup() throws {
    let outcome = try shell(
      """
      trap '' HUP
      mkfifo "$D/pipe"
      "$T" load "$D/store" "$D/pipe" --create --as tsv & child=$!
      exec 7>"$D/pipe"
      printf 'a\\t1\\n' >&7
      kill -HUP $child
      exec 7>&-
      wait $child; echo $?
      """)
    #expect(outcome.text == "0\n", "\(outcome.error)")
    #expect(try entries() == Array("a\t1\n".utf8))
  }

  @Test("inspect shows bytes of any file")
  func hexdump() throws {
    try place.write(Array("0123456789abcdefXYZ".utf8), to: "file")
    let outcome = try run(["inspect", place.file("file"), "--hexdump", "0x10:2"])
    #expect(outcome.status == 0)
    #expect(
      outcome.text
        == "00000010  58 59                                             |XY|\n")
  }
}
