import Foundation
import Testing

@testable import TurbiditeCLI

/// The built command with other people's mappers and reducers.
@Suite("Jobs of programs", .onThreadsOfItsOwn)
struct MapReduceProcessTests {
  @Test("awk counts words, with and without a combiner, as counting by hand does")
  func awk() throws {
    let words = try JobPlace()
    for combiner in [[], ["--combine", WordCount.awkReducer]] {
      for split in ["1K", "32M"] {
        let outcome = try words.run(
          [
            "mapreduce", words.store, "--map", WordCount.awkMapper, "--reduce",
            WordCount.awkReducer, "--values-only", "--split", split, "--reducers", "3",
          ] + combiner)
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.text == words.counted)
      }
    }
    try words.requireClean()
  }

  @Test("the Python programs of every tutorial run unchanged")
  func python() throws {
    let words = try JobPlace()
    let mapper = "python3 " + (try words.program("mapper.py", WordCount.pythonMapper))
    let reducer = "python3 " + (try words.program("reducer.py", WordCount.pythonReducer))
    let outcome = try words.job(
      "--map", mapper, "--reduce", reducer, "--values-only", "--split", "4K", "--cmdenv",
      "PYTHONIOENCODING=utf-8")
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.text == words.counted)
    let combined = try words.job(
      "--map", mapper, "--combine", reducer, "--reduce", reducer, "--values-only", "--split", "2K",
      "--cmdenv", "PYTHONIOENCODING=utf-8")
    #expect(combined.text == words.counted, "\(combined.error)")
  }

  @Test("tr and uniq give what sort and uniq give")
  func shell() throws {
    let words = try JobPlace()
    let text = words.lines.map { $0.words.joined(separator: " ") + "\n" }.joined()
    let expected = try runProgram(
      "/bin/sh", ["-c", #"export LC_ALL=C; tr -s ' ' '\n' | sort | uniq -c | sort"#],
      input: Array(text.utf8)
    ).text
    #expect(expected.split(separator: "\n").count == words.counts.count)
    let outcome = try words.job(
      "--map", WordCount.shellMapper, "--reduce", WordCount.shellReducer, "--values-only",
      "--split", "3K", "--output", words.place.file("out"))
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(try words.results("out") == expected)
    // Without a reducer comes what was printed, sorted.
    let sorted = try words.job("--map", WordCount.shellMapper, "--values-only")
    #expect(sorted.text == JobPlace.sorted(words.lines.flatMap(\.words)))
    // Without a mapper the reducer gets the records.
    let records = try words.job("--reduce", "cut -f 1", "--reducers", "1")
    #expect(records.text == words.lines.map { $0.key + "\n" }.joined(), "\(records.error)")
  }

  @Test("a range of a keyspace, a stream and a named keyspace are read")
  func inputs() throws {
    let words = try JobPlace()
    let range = try words.job(
      "--map", "cat", "--from", "line0010", "--to", "line0020", "--split", "100")
    #expect(
      range.text.split(separator: "\n").map { $0.prefix(8) } == (10..<20).map { "line00\($0)" })
    let prefix = try words.job("--map", "cut -f 1", "--prefix", "line010")
    #expect(prefix.text == (0..<10).map { "line010\($0)\n" }.joined())
    #expect(try words.job("--map", "cat", "--from", "b", "--to", "a").status == 64)
    #expect(
      try words.job("--map", "cat", "--from", "x").text.isEmpty, "no record is no failure")

    let events = words.lines.map { $0.words.joined(separator: " ") + "\n" }.joined()
    #expect(
      try words.run(
        ["append", words.store, "log", "--create", "--partitions", "3"], input: events
      ).status == 0)
    let streamed = try words.job(
      "--input", "stream:log", "--map", WordCount.awkMapper, "--reduce", WordCount.awkReducer,
      "--values-only", "--split", "2K")
    #expect(streamed.text == words.counted, "\(streamed.error)")
    #expect(try words.job("--input", "stream:no", "--map", "cat").status == 1)
    #expect(try words.job("--input", "keyspace:no", "--map", "cat").status == 1)
    #expect(words.jobs.isEmpty)

    let named = try words.job(
      "--map", WordCount.awkMapper, "--reduce", WordCount.awkReducer, "--values-only", "--output",
      "keyspace:counts")
    #expect(named.status == 0 && named.output.isEmpty, "\(named.error)")
    let scanned = try words.job("--input", "keyspace:counts", "--map", "cat")
    #expect(scanned.text == words.counted)
    try words.requireClean()
  }

  @Test("results go to a directory, a keyspace and a stream, and no name is taken twice")
  func outputs() throws {
    let words = try JobPlace()
    let counting = [
      "mapreduce", words.store, "--map", WordCount.awkMapper, "--reduce", WordCount.awkReducer,
      "--values-only", "--reducers", "5",
    ]
    func count(into output: String, _ options: String...) throws -> Outcome {
      try words.run(counting + ["--output", output] + options)
    }
    let directory = words.place.file("out")
    #expect(try count(into: directory).status == 0)
    #expect(try words.results("out") == words.counted)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).count == 5)
    #expect(try count(into: "stream:counts").status == 0)
    let tail = try words.run(["tail", words.store, "counts", "--json"])
    let events = try runPython(
      """
      import json, sys
      for line in sys.stdin:
          event = json.loads(line)
          print(event["key"] + "\\t" + event["value"])
      """, input: tail.output)
    #expect(events.text == words.counted, "\(tail.text.prefix(300))")
    #expect(try count(into: "keyspace:k").status == 0)
    for output in [directory, "stream:counts", "keyspace:k", "keyspace:counts"] {
      let taken = try words.job("--map", "exit 3", "--output", output)
      #expect(taken.status == 75, "\(output): \(taken.status) \(taken.error)")
      #expect(taken.error.contains("is there already"), "\(taken.error)")
    }
    #expect(try count(into: "keyspace:k", "--replace").status == 0)
    #expect(try words.job("--input", "keyspace:k", "--map", "cat").text == words.counted)
    for output in [
      words.place.file("no/parent"), words.store + "/inside", "/", ".", "..",
      "keyspace:unfinished/x",
      "stream:unfinished/x",
    ] {
      let refused = try words.job("--map", "exit 3", "--output", output)
      #expect(![0, 70].contains(refused.status), "\(output): \(refused.status) \(refused.error)")
      #expect(words.jobs.isEmpty, "\(output)")
    }
    let twice = try words.job("--map", #"printf 'k\t1\nk\t2\n'"#, "--output", "keyspace:twice")
    #expect(twice.status != 0 && twice.error.contains("more than once"), "\(twice.error)")
    #expect(!(try words.run(["info", words.store]).text.contains("twice")))
    #expect(try words.run(["jobs", "clean", words.store]).status == 0)
    try words.requireClean()
  }

  @Test("programs get Hadoop's variables and those that are given")
  func environment() throws {
    let words = try JobPlace(lineCount: 40)
    let mapper = """
      cat >/dev/null; printf '%s\\t%s %s %s %s\\n' m$mapreduce_task_partition \
      $mapreduce_task_ismap $mapreduce_job_reduces $mapreduce_job_maps "$GREETING"
      """
    let reducer = "cat; echo r$mapreduce_task_partition $mapreduce_task_ismap $mapred_reduce_tasks"
    let outcome = try words.job(
      "--map", mapper, "--reduce", reducer, "--split", "400", "--cmdenv", "GREETING=a  b=c")
    let lines = outcome.text.split(separator: "\n").map(String.init)
    let maps = lines.count { $0.hasPrefix("m") }
    #expect(maps > 1, "\(outcome.error)")
    for number in 0..<maps {
      #expect(lines.contains("m\(number)\ttrue 2 \(maps) a  b=c"), "\(lines)")
    }
    #expect(lines.contains("r0 false 2") && lines.contains("r1 false 2"), "\(lines)")
    #expect(try words.job("--map", "cat", "--cmdenv", "=x").status == 64)
  }

  @Test("what programs report is counted once, whatever was tried before, and shown")
  func reports() throws {
    let words = try JobPlace(lineCount: 50)
    let mapper = """
      awk '{ print; print "reporter:counter:mud,lines,1" >"/dev/stderr" }
        END { print "reporter:status:half way" >"/dev/stderr" }'
      if test ! -e '\(words.place.file("tried"))'; then
        touch '\(words.place.file("tried"))'; exit 1
      fi
      """
    let outcome = try words.job(
      "--map", mapper, "--reduce", "cat; echo reporter:counter:mud,reducers,1 >&2", "--output",
      words.place.file("out"), "--json")
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.text.contains(#""counter:mud,lines":50"#), "\(outcome.text)")
    #expect(outcome.text.contains(#""counter:mud,reducers":2"#), "\(outcome.text)")
    #expect(outcome.error.contains("half way"), "\(outcome.error)")
  }

  @Test("frames carry any bytes, and lines refuse what they cannot hold")
  func binary() throws {
    let words = try JobPlace(lineCount: 1)
    let records = [
      (#"a\x09b"#, #"x\x0ay"#), (#"a\x0a"#, ""), (#"\x00"#, #"\x00\x00"#), (#"\xff\xfe"#, #"\x09"#),
      ("zz", String(repeating: "v", count: 90_000)),
    ]
    for (key, value) in records {
      #expect(try words.run(["put", words.store, key, value]).status == 0)
    }
    let before = try words.run(["scan", words.store]).output
    let identity = """
      import struct, sys
      source, target = sys.stdin.buffer, sys.stdout.buffer
      while header := source.read(8):
          keys, values = struct.unpack("<II", header)
          target.write(header + source.read(keys) + source.read(values))
      """
    let program = "python3 " + (try words.program("identity.py", identity))
    for options in [
      ["--map", "cat"], ["--map", program, "--reduce", program], ["--reduce", "cat"],
    ] {
      let outcome = try words.run(
        ["mapreduce", words.store, "--binary", "--output", "keyspace:copy", "--replace"] + options)
      #expect(outcome.status == 0, "\(outcome.error)")
      #expect(try words.run(["scan", words.store, "--keyspace", "copy"]).output == before)
    }

    let refused = try words.job("--map", "cat")
    #expect(refused.status == 65, "\(refused.error)")
    #expect(refused.error.contains("key"), "\(refused.error)")
    for (key, what) in [(#"a\x09"#, "tab in the key"), (#"a\x0a"#, "newline in the key")] {
      let outcome = try words.job("--map", "cat", "--prefix", key)
      #expect(outcome.status == 65 && outcome.error.contains(what), "\(outcome.error)")
      #expect(outcome.error.contains(key), "\(outcome.error)")
    }
    let value = try words.job("--map", "cat", "--values-only", "--prefix", #"a\x09"#)
    #expect(value.status == 0, "without keys the input is text, and a value may be several lines")
    let unmapped = try words.job("--reduce", "cat", "--values-only", "--prefix", #"a\x09"#)
    #expect(unmapped.text == value.text, "no mapper is one that prints what it reads")
    let plain = try words.job("--map", "cat", "--values-only", "--prefix", #"a\x0a"#)
    #expect(plain.status == 0 && plain.text == "\n", "a key that is not given hinders nothing")
  }
}
