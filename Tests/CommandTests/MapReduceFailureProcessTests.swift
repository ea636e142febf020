import Foundation
import Testing

@testable import TurbiditeCLI

/// Programs of a job that fail, in every way that programs do.
@Suite("Jobs of programs that fail", .onThreadsOfItsOwn)
struct MapReduceFailureProcessTests {
  /// A command that fails, what is said of it, and options.
  struct Fault: Sendable, CustomTestStringConvertible {
    var command: String
    var message: String
    var options: [String] = []

    var testDescription: String { command }
  }

  /// A mapper in Python.
  private static func python(_ line: String) -> String { "python3 -c '\(line)'" }

  static let faults: [Fault] = [
    Fault(command: "kill -SEGV $$", message: "was killed by signal 11"),
    Fault(command: "cat >/dev/null; kill -KILL $$", message: "was killed by signal 9"),
    Fault(command: "exec kill -TERM $$", message: "was killed by signal 15"),
    Fault(command: "cat; exit 3", message: "exited with status 3"),
    Fault(command: "exit 127", message: "exited with status 127"),
    Fault(command: "kill -ABRT $$", message: "was killed by signal 6"),
    Fault(command: "sleep 600", message: "ran out of time", options: ["--timeout", "0.3"]),
    Fault(
      command: "trap '' TERM; cat; while :; do sleep 0.01; done", message: "ran out of time",
      options: ["--timeout", "0.3"]),
    Fault(
      command: "kill -STOP $$", message: "ran out of time", options: ["--timeout", "0.3"]),
    Fault(
      command: "head -c 68000000 /dev/zero | tr '\\0' x",
      message: "printed a record of more than"),
    Fault(
      command: "head -c 66000 /dev/zero | tr '\\0' x",
      message: "an emitted key has 66000 bytes, over 65536"),
    Fault(
      command: "exec yes", message: "printed more than it may", options: ["--printed", "1M"]),
    Fault(
      command: python("b = bytearray(1 << 30)"), message: "exited with status 1",
      options: ["--program-memory", "128M"]),
    Fault(
      command: "while :; do :; done", message: "used up its processor time",
      options: ["--cpu", "1"]),
    Fault(
      command: "printf 12345", message: "printed a frame that ends after 5 bytes",
      options: ["--binary"]),
    Fault(
      command: "echo it hurts >&2; exit 2", message: "it said: it hurts"),
  ]

  @Test(
    "what fails whatever it reads is told with its task, and no record is blamed",
    arguments: faults)
  func mapper(_ fault: Fault) throws {
    let words = try JobPlace(lineCount: 20)
    let outcome = try words.run(
      ["mapreduce", words.store, "--map", fault.command, "--attempts", "1"] + fault.options)
    #expect(outcome.status == 70, "\(outcome.error)")
    #expect(outcome.output.isEmpty)
    #expect(outcome.error.contains("the mapper of map task 0 "), "\(outcome.error)")
    #expect(outcome.error.contains(fault.message), "\(outcome.error)")
    #expect(outcome.error.contains("with nothing to read"), "\(outcome.error)")
    #expect(!outcome.error.contains("line0"), "\(outcome.error)")
    // Nothing is set aside for it either.
    let lenient = try words.run(
      ["mapreduce", words.store, "--map", fault.command, "--attempts", "1", "--quarantine", "3"]
        + fault.options)
    #expect(lenient.status == 70, "\(lenient.error)")
    #expect(try words.run(["jobs", "clean", words.store]).status == 0)
    try words.requireClean()
  }

  @Test("a reducer and a combiner that fail are told as what they are")
  func others() throws {
    let words = try JobPlace(lineCount: 20)
    let reducer = try words.job(
      "--map", "cat", "--reduce", "cat >/dev/null; kill -BUS $$", "--attempts", "1")
    #expect(reducer.status == 70, "\(reducer.error)")
    #expect(reducer.error.contains("the reducer of reduce task "), "\(reducer.error)")
    #expect(reducer.error.contains("was killed by signal 7"), "\(reducer.error)")
    let combiner = try words.job(
      "--map", "cat", "--combine", "cat >/dev/null; exit 4", "--reduce", "cat")
    #expect(combiner.status == 70, "\(combiner.error)")
    #expect(
      combiner.error.contains("the combiner of map task 0 exited with status 4"),
      "\(combiner.error)")
    for options in [
      ["--map", "no-such-program"], ["--map", "cat", "--reduce", "/no/such/program"],
      ["--map", "cat", "--combine", "no-such-program", "--reduce", "cat"],
      ["--map", words.store],
    ] {
      let outcome = try words.run(["mapreduce", words.store, "--quarantine", "9"] + options)
      #expect(outcome.status == 70, "\(options): \(outcome.error)")
      #expect(outcome.error.contains("could not be started"), "\(options): \(outcome.error)")
    }
    #expect(try words.run(["jobs", "clean", words.store]).status == 0)
    try words.requireClean()
  }

  @Test("what prints nothing, ignores its input or leaves children with its output is no failure")
  func odd() throws {
    let words = try JobPlace(lineCount: 3_000)
    for (command, expected) in [
      ("true", ""), ("cat >/dev/null", ""), ("echo once", "once\n"),
      ("sleep 600 & cat >/dev/null; echo held", "held\n"), ("head -n 1 | cut -f 1", "line0000\n"),
      ("printf 'no newline'", "no newline\n"), ("exec <&-; echo closed", "closed\n"),
    ] {
      let start = ContinuousClock.now
      let outcome = try words.job("--map", command, "--reducers", "1", "--attempts", "1")
      #expect(outcome.status == 0, "\(command): \(outcome.error)")
      #expect(outcome.text == expected, "\(command)")
      #expect(start.duration(to: .now) < .seconds(60), "\(command)")
    }
    try words.requireClean()
  }

  @Test("a program that fails twice and then does not has its results in once")
  func retry() throws {
    let words = try JobPlace(lineCount: 60)
    let flaky = """
      echo . >>'\(words.place.file("tries"))'
      test $(wc -l <'\(words.place.file("tries"))') -ge 3 || { cat; kill -KILL $$; }
      """
    for (option, command) in [
      ("--map", flaky + "; exec \(WordCount.awkMapper)"), ("--reduce", flaky + "; exec cat"),
      ("--combine", flaky + "; exec \(WordCount.awkReducer)"),
    ] {
      var programs = [
        "--map": WordCount.awkMapper, "--combine": WordCount.awkReducer,
        "--reduce": WordCount.awkReducer,
      ]
      programs[option] = option == "--reduce" ? flaky + "; \(WordCount.awkReducer)" : command
      try words.place.write([], to: "tries")
      let outcome = try words.run(
        ["mapreduce", words.store, "--values-only", "--reducers", "1"]
          + programs.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
      #expect(outcome.status == 0, "\(option): \(outcome.error)")
      #expect(outcome.text == words.counted, "\(option)")
    }
    try words.place.write([], to: "tries")
    let once = try words.job("--map", flaky + "; exec cat", "--attempts", "2")
    #expect(once.status == 70, "two attempts are not three")
  }

  @Test("the record that breaks a program is found, and so many as are allowed are set aside")
  func quarantine() throws {
    let words = try JobPlace(lineCount: 200)
    let bad = ["line0003", "line0100", "line0199"]
    // It prints before it fails: nothing of that may be left.
    let mapper = "awk '/^(\(bad.joined(separator: "|")))/ { fflush(); exit 9 } { print }'"
    let rest = words.lines.filter { !bad.contains($0.key) }
      .map { "\($0.key)\t\($0.words.joined(separator: " "))\n" }.joined()
    for (option, name) in [("--map", "mapper of map"), ("--reduce", "reducer of reduce")] {
      let arguments = [
        "mapreduce", words.store, option, mapper, "--split", "2K", "--attempts", "2", "--output",
      ]
      let none = try words.run(arguments + ["-"])
      #expect(none.status == 70, "\(none.error)")
      #expect(none.error.contains("the \(name) task "), "\(none.error)")
      #expect(none.error.contains("exited with status 9 at key line"), "\(none.error)")
      #expect(bad.contains { none.error.contains($0) }, "\(none.error)")
      #expect(try words.run(["jobs", "clean", words.store]).status == 0)

      let few = try words.run(arguments + ["-", "--quarantine", "2"])
      #expect(few.status == 70 && few.output.isEmpty, "\(few.error)")
      // The same job goes on once more are allowed.
      let enough = try words.run(arguments + ["-", "--quarantine", "3"])
      #expect(enough.status == 0, "\(enough.error)")
      #expect(enough.text == rest)
      #expect(enough.error.contains("3 records set aside"), "\(enough.error)")
      let listed = try words.run(["jobs", words.store, "--json"]).text
      #expect(listed.contains(#""state":"finished""#) && listed.contains(#""set_aside":3"#))
      let id = try #require(words.jobs.first)
      let list = String(
        decoding: try words.place.read("store/jobs/\(id)/quarantine"), as: UTF8.self)
      for key in bad { #expect(list.contains("key \(key)"), "\(list)") }
      let kept = try FileManager.default.contentsOfDirectory(atPath: words.store + "/jobs/\(id)")
      #expect(Set(kept) == ["LOCK", "finished", "quarantine"])
      // What is kept is a list, and hinders nobody who wants the same again.
      #expect(try words.run(arguments + ["-", "--quarantine", "3"]).text == rest)
      #expect(try words.run(["jobs", "clean", words.store]).status == 0)
    }
    try words.requireClean()
  }

  @Test("a record at which a key too long is printed is found as one that crashes is")
  func longKey() throws {
    let words = try JobPlace(lineCount: 100)
    // Not by sprintf, whose room is 8 KiB in mawk.
    let long = #"s = "x"; while (length(s) < 70000) s = s s; print substr(s, 1, 70000)"#
    let mapper = "awk '/^line0042/ { \(long) } { print $1 }'"
    let outcome = try words.job("--map", mapper)
    #expect(outcome.status == 70, "\(outcome.error)")
    #expect(outcome.error.contains("70000 bytes, over 65536 at key line0042"), "\(outcome.error)")
    let lenient = try words.job("--map", mapper, "--quarantine", "1")
    #expect(lenient.status == 0, "\(lenient.error)")
    #expect(lenient.text.split(separator: "\n").count == 99)
  }

  @Test("a record at which a program hangs is found")
  func hang() throws {
    let words = try JobPlace(lineCount: 8)
    let mapper = "while read -r key rest; do test $key != line0005 || sleep 600; echo $key; done"
    let outcome = try words.job(
      "--map", mapper, "--timeout", "1", "--attempts", "1", "--quarantine", "1")
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(
      outcome.text == words.lines.map(\.key).filter { $0 != "line0005" }.map { $0 + "\n" }.joined())
  }
}
