import Foundation
import Testing
import Turbidite

@testable import TurbiditeCLI

/// The verbs of streams in the built command: what they print, and how they end.
@Suite("The verbs of streams")
struct StreamVerbProcessTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  private var store: String { place.file("store") }

  private func run(_ arguments: [String], input: String = "") throws -> Outcome {
    try runProgram(builtCommand, arguments, input: Array(input.utf8))
  }

  private func shell(_ line: String) throws -> Outcome {
    try runProgram(
      "/bin/bash", ["-c", "T='\(builtCommand)'; S='\(store)'; D='\(place.path)'; \(line)"])
  }

  @Test("append takes lines, TSV and JSON; tail prints them in their order")
  func appendAndTail() throws {
    let made = try run(
      ["append", store, "clicks", "--create", "--partitions", "4", "--json"],
      input: "a\nb\n\nlast without a newline")
    #expect(made.status == 0, "\(made.error)")
    #expect(made.text == #"{"schema":"turbidite.append/1","events":4}"# + "\n")
    let keyed = """
      {"user":"u1","deep":{"a":["}",{"b":"]"}]}}
      {"n":1.5e3,"user":42}
      {"other":true}

      """
    #expect(
      try run(["append", store, "clicks", "--key-field", "user"], input: keyed).status == 0)
    #expect(
      try run(["append", store, "clicks", "--as", "tsv"], input: "u1\tx\\ty\n").status == 0)
    let object = #"{"key":"u1","value":"z"}"# + "\n"
    #expect(
      try run(["append", store, "clicks", "--as", "ndjson", "--synced"], input: object).status == 0)
    let program = """
      import json, sys
      for line in sys.stdin:
          event = json.loads(line)
          print(event["partition"], event["offset"], event.get("key"), event["value"][:3])
      """
    let events = try run(["tail", store, "clicks", "--json"])
    let lines = try runPython(program, input: events.output).text.split(separator: "\n")
    #expect(lines.count == 9)
    let user1 = lines.filter { $0.contains(" u1 ") }.map { $0.split(separator: " ") }
    #expect(Set(user1.map { $0[0] }).count == 1, "a key has one partition: \(user1)")
    #expect(user1.map { $0[3] } == ["{\"u", "x\ty", "z"])
    #expect(lines.contains { $0.contains(" 42 ") })
    #expect(lines.count { $0.contains(" None ") } == 5)
    let values = try run(["tail", store, "clicks", "--values", "--limit", "3"])
    #expect(values.text.split(separator: "\n", omittingEmptySubsequences: false).count == 4)
    let streams = try run(["streams", store, "--format", "tsv"])
    #expect(streams.text == "stream\tpartitions\tevents\tcursors\nclicks\t4\t9\t0\n")
    let partitions = try run(["streams", store, "clicks", "--format", "tsv"]).text
    #expect(partitions.split(separator: "\n").count == 5)
    #expect(try run(["verify", store, "--deep"]).status == 0)
  }

  @Test("tail --group prints what is new since it was last written out")
  func group() throws {
    #expect(
      try run(["append", store, "s", "--create", "--partitions", "3"], input: "a\nb\nc\n").status
        == 0)
    func news(_ options: String...) throws -> [String] {
      let outcome = try run(["tail", store, "s", "--group", "g", "--values"] + options)
      #expect(outcome.status == 0, "\(outcome.error)")
      return outcome.text.split(separator: "\n").map(String.init).sorted()
    }
    let first = try news("--limit", "2")
    #expect(first.count == 2)
    #expect(try (first + news()).sorted() == ["a", "b", "c"])
    #expect(try news().isEmpty)
    #expect(try run(["append", store, "s"], input: "d\n").status == 0)
    // Nobody has read it: it is new the next time, too.
    #expect(try shell("$T tail $S s --group g >/dev/full 2>/dev/null || exit 3").status == 3)
    #expect(try news() == ["d"])
    #expect(try run(["tail", store, "s", "--group", "g", "--follow"]).status == 64)
    #expect(try run(["cursors", store, "--format", "tsv"]).text.contains("s\tg\t"))
  }

  @Test("a group that has been given nothing yet keeps what retain --unread would drop")
  func newGroup() throws {
    #expect(
      try run(["append", store, "s", "--create", "--partitions", "2"], input: "a\nb\nc\n").status
        == 0)
    #expect(try run(["tail", store, "s", "--group", "other", "--values"]).status == 0)
    #expect(try run(["tail", store, "s", "--group", "g", "--limit", "0"]).output.isEmpty)
    let outcome = try run(["retain", store, "s", "--unread", "--json"])
    #expect(outcome.status == 0 && outcome.text.contains(#""events":0"#), "\(outcome.text)")
    let news = try run(["tail", store, "s", "--group", "g", "--values"]).text
    #expect(news.split(separator: "\n").sorted() == ["a", "b", "c"])
  }

  @Test("retain --last-of-key keeps the last event of each key, where it is")
  func lastOfKey() throws {
    let input = (0..<60).map { "user\($0 % 3)\tvalue \($0)\n" }.joined()
    #expect(try run(["append", store, "s", "--create", "--as", "tsv"], input: input).status == 0)
    let outcome = try run(["retain", store, "s", "--last-of-key", "--json"])
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.text.contains(#""replaced":57"#))
    #expect(
      try run(["tail", store, "s", "--values"]).text == "value 57\nvalue 58\nvalue 59\n")
    #expect(try run(["compact", store]).status == 0)
    #expect(try run(["verify", store, "--deep"]).status == 0)
    #expect(try run(["append", store, "s"], input: "x\n").status == 0)
    #expect(try run(["tail", store, "s", "--from", "60", "--values"]).text == "x\n")
    #expect(try run(["retain", store, "s"]).status == 64)
  }

  @Test("append --producer passes over what it appended before")
  func producer() throws {
    func append(_ input: String, _ options: String...) throws -> String {
      let outcome = try run(
        ["append", store, "s", "--producer", "web", "--json"] + options, input: input)
      #expect(outcome.status == 0, "\(outcome.error)")
      return outcome.text
    }
    #expect(try append("a\nb\n", "--create").contains(#""events":2,"repeated":0"#))
    #expect(try append("a\nb\nc\n").contains(#""events":1,"repeated":2"#))
    #expect(try append("a\n").contains(#""events":0,"repeated":1"#))
    #expect(try run(["tail", store, "s", "--values"]).text == "a\nb\nc\n")
    // Half a line may be a file that is being written.
    let cut = try run(["append", store, "s", "--producer", "web"], input: "a\nb\nc\nd\nhal")
    #expect(cut.status == 65 && cut.error.contains("1 event appended before this"), "\(cut.error)")
    #expect(try append("a\nb\nc\nd\nhalf\n").contains(#""events":1,"repeated":4"#))
    #expect(try run(["tail", store, "s", "--values"]).text == "a\nb\nc\nd\nhalf\n")
    let named = place.file("named")
    #expect(
      try run(["append", named, "s", "--create", "--producer", ""], input: "a\n").status == 64)
    #expect(!FileManager.default.fileExists(atPath: named))
  }

  @Test("tail --follow ends when the stream is another one of the same name")
  func followedAnew() throws {
    #expect(try run(["append", store, "clicks", "--create"], input: "old\n").status == 0)
    try place.write([], to: "out")
    try place.write([], to: "err")
    let tail = Process()
    tail.executableURL = URL(fileURLWithPath: builtCommand)
    tail.arguments = ["tail", store, "clicks", "--follow", "--values", "--from", "start"]
    tail.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: place.file("out")))
    tail.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: place.file("err")))
    try tail.run()
    func text(_ name: String) throws -> String {
      String(decoding: try place.read(name), as: UTF8.self)
    }
    for _ in 0..<300 where try text("out").isEmpty { Thread.sleep(forTimeInterval: 0.1) }
    let writer = try Store.Blocking.open(at: store)
    try writer.blocking.dropStream("clicks")
    let stream = try writer.blocking.createStream("clicks", partitionCount: 1)
    for number in 0..<2 {
      try writer.blocking.append(NewEvent(Bytes("new \(number)")), to: stream)
    }
    try writer.blocking.close()
    for _ in 0..<300 where tail.isRunning { Thread.sleep(forTimeInterval: 0.1) }
    if tail.isRunning { tail.terminate() }
    tail.waitUntilExit()
    #expect(tail.terminationStatus == 1)
    #expect(try text("out") == "old\n")
    #expect(try text("err").contains("another one has its name now"))
  }

  @Test("tail --follow prints what another process appends, and ends by a signal or a gone reader")
  func follow() throws {
    #expect(try run(["append", store, "clicks", "--create"], input: "old\n").status == 0)
    // The appending process waits for what follows each line to be printed before the next.
    let outcome = try shell(
      """
      mkfifo $D/pipe
      $T tail $S clicks --follow --values --from start >$D/out & tail=$!
      wait_for() { for i in $(seq 600); do grep -q "$1" $D/out && return; sleep 0.05; done; exit 9; }
      $T append $S clicks <$D/pipe 2>/dev/null & append=$!
      exec 3>$D/pipe
      wait_for old
      for line in one two three; do echo $line >&3; wait_for $line; done
      exec 3>&-
      wait $append || exit 8
      kill -TERM $tail; wait $tail; echo $? >$D/status
      cat $D/out $D/status
      """)
    #expect(outcome.text == "old\none\ntwo\nthree\n143\n", "\(outcome.status) \(outcome.error)")
    let gone = try shell(
      "timeout 30 $T tail $S clicks --follow --from start | head -1; exit ${PIPESTATUS[0]}")
    #expect(gone.status == 141, "\(gone.error)")
    #expect(gone.text.hasSuffix("\told\n"))
  }

  @Test("retain drops by age, size and cursors; cursors are listed and forgotten")
  func retention() throws {
    #expect(try run(["append", store, "clicks", "--create"], input: "a\nb\n").status == 0)
    #expect(try run(["cursors", store, "--format", "tsv"]).text.split(separator: "\n").count == 1)
    #expect(try run(["cursors", store, "clicks", "--remove", "nobody"]).status == 1)
    #expect(try run(["cursors", store, "--remove", "nobody"]).status == 64)
    let none = try run(["retain", store, "clicks", "--unread", "--json"])
    #expect(
      none.text == #"{"schema":"turbidite.retain/1","events":0,"partitions":[],"unread":[]}"# + "\n"
    )
    let all = try run(["retain", store, "clicks", "--size", "0", "--json"])
    #expect(all.status == 0, "\(all.error)")
    #expect(all.text.contains(#""partitions":[{"partition":0,"from":0,"to":2}]"#), "\(all.text)")
    #expect(try run(["tail", store, "clicks"]).output.isEmpty)
    #expect(try run(["append", store, "clicks"], input: "c\n").status == 0)
    #expect(try run(["tail", store, "clicks"]).text.hasPrefix("0\t2\t"))
  }

  @Test("what makes no sense has its status, and changes nothing")
  func refusals() throws {
    for verb in ["append", "tail", "streams", "cursors"] {
      let outcome = try run([verb, store, "clicks"], input: "a\n")
      #expect(outcome.status == 66, "\(verb): \(outcome.error)")
      #expect(outcome.error.contains("there is no store"), "\(verb): \(outcome.error)")
    }
    #expect(try run(["append", store, "clicks", "--create"], input: "a\n").status == 0)
    for arguments in [
      ["append", "clicks", "--partitions", "3"], ["append", "clicks", "--as", "raw"],
      ["append", "clicks", "--as", "tsv", "--key-field", "k"],
      ["tail", "clicks", "--from", "yesterday"],
      ["tail", "clicks", "--from", "2026-02-30T00:00:00Z"],
      ["tail", "clicks", "--limit", "-1"], ["tail", "clicks", "--json", "--values"],
      ["tail", "clicks", "--partition", "1"], ["append", "clicks", "--partition", "1"],
      ["retain", "clicks"], ["retain", "clicks", "--age", "7"],
      ["retain", "clicks", "--size", "-1"],
      ["append", "clicks", "--create", "--partitions", "2"],
    ] {
      let outcome = try run([arguments[0], store] + arguments.dropFirst(), input: "a\n")
      #expect(outcome.status == 64, "\(arguments): \(outcome.error)")
    }
    for verb in ["tail", "streams", "cursors", "append", "retain"] {
      let rest = verb == "retain" ? ["--unread"] : []
      #expect(try run([verb, store, "nothing"] + rest, input: "a\n").status == 1, "\(verb)")
    }
    for line in ["{\"k\":", "{\"k\":}", "{\"k\":{}}", "[1]", "{\"k\":\"a\"} x", "{\"k\" \"a\"}"] {
      let outcome = try run(
        ["append", store, "clicks", "--key-field", "k"], input: "{\"k\":\"good\"}\n\(line)\n")
      #expect(outcome.status == 65, "\(line): \(outcome.error)")
      #expect(outcome.error.contains("standard input:2:"))
    }
    let events = try run(["streams", store, "--format", "tsv"]).text
    #expect(events.hasSuffix("clicks\t1\t7\t0\n"), "the good lines stay: \(events)")
  }

  @Test("moments are read as they are written")
  func moments() {
    var random = SeededGenerator(seed: 9)
    for _ in 0..<2_000 {
      let moment = Int64.random(in: 0..<253_402_300_800_000_000, using: &random)
      let rounded = [moment, moment / 1_000_000 * 1_000_000, moment / 1000 * 1000][
        Int.random(in: 0..<3, using: &random)]
      let text = Moment.text(microseconds: rounded)
      #expect(Moment.microseconds(text) == rounded, "\(text)")
    }
    #expect(Moment.microseconds("1970-01-01T00:00:00Z") == 0)
    for text in [
      "", "Z", "1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
      "1970-01-01T24:00:00Z", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00.0000001Z",
      "1970-01-01t00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+01:00",
    ] {
      #expect(Moment.microseconds(text) == nil, "\(text)")
    }
    #expect(Moment.text(microseconds: -5) == "-5")
    #expect(Moment.text(microseconds: .max) == "\(Int64.max)")
  }

  @Test("the member of any line is found or the line is refused, and nothing traps")
  func members() throws {
    var random = SeededGenerator(seed: 10)
    let pieces = [
      "{", "}", "[", "]", ",", ":", "\"k\"", "\"a\\u0041\"", "1", " ", "null", "\"", "é",
    ]
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...12, using: &random)
      let text = (0..<count).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
      do { _ = try ObjectReader.member("k", of: Array(text.utf8)) } catch {
        #expect(error.column <= text.utf8.count + 1)
      }
    }
    let line = Array(#" {"a":{"k":1},"k":"v\n","k":2} "#.utf8)
    #expect(try ObjectReader.member("k", of: line) == Array("v\n".utf8))
    #expect(try ObjectReader.member("b", of: line) == nil)
  }
}
