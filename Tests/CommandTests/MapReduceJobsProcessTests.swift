import Foundation
import Testing

@testable import TurbiditeCLI

#if canImport(Glibc)
import Glibc
#endif

/// Jobs as things that lie in a store: listed, gone on with, removed, and each the same however it
/// is worked on.
@Suite("Jobs of programs, begun and ended", .onThreadsOfItsOwn)
struct MapReduceJobsProcessTests {
  @Test("the number of workers, shards and parts, and the memory, change no result")
  func same() throws {
    let words = try JobPlace(lineCount: 400, shards: 1)
    try words.load("sixteen", shards: 16)
    var found: [String: Int] = [:]
    for store in ["store", "sixteen"] {
      for (workers, split, memory) in [
        ("1", "32M", "256M"), ("2", "1K", "1M"), ("7", "1K", "1M"), ("7", "500", "256M"),
      ] {
        let options = ["--workers", workers, "--split", split, "--memory", memory]
        let path = words.place.file(store)
        let counted = try words.run(
          [
            "mapreduce", path, "--map", WordCount.awkMapper, "--combine", WordCount.awkReducer,
            "--reduce", WordCount.awkReducer, "--values-only", "--reducers", "3",
          ] + options)
        #expect(counted.text == words.counted, "\(options): \(counted.error)")
        // A reducer that shows the order in which its values come.
        let listed = try words.run(
          [
            "mapreduce", path, "--map", #"awk '{ print NF % 3 "\t" $1 }'"#, "--reduce", "cat -n",
            "--reducers", "3", "--output", words.place.file("out"),
          ] + options)
        #expect(listed.status == 0, "\(listed.error)")
        found[try words.results("out"), default: 0] += 1
        try FileManager.default.removeItem(atPath: words.place.file("out"))
      }
    }
    #expect(found.count == 1 && found.values.first == 8)
    #expect(found.keys.first?.split(separator: "\n").count == 400)
  }

  @Test("a job that failed is listed, goes on with what was done, and can be removed")
  func resume() throws {
    let words = try JobPlace()
    let gate = words.place.file("gate")
    let arguments = [
      "mapreduce", words.store, "--map", WordCount.awkMapper, "--reduce",
      "test -e '\(gate)' || exit 5; " + WordCount.awkReducer, "--values-only", "--split", "2K",
      "--output", "keyspace:counts",
    ]
    #expect(try words.run(["jobs", words.store]).status == 0)
    #expect(try words.run(arguments).status == 70)
    let listed = try words.run(["jobs", "list", words.store, "--json"]).text
    #expect(listed.contains(#""state":"unfinished""#), "\(listed)")
    let id = try #require(words.jobs.first)
    #expect(listed.contains(id))
    #expect(try words.run(["jobs", "resume", words.store, "no"]).status == 64)
    #expect(try words.run(["jobs", "resume", words.store, id]).status == 70)
    // What is written meanwhile is not for this job.
    #expect(try words.run(["put", words.store, "late", "late words"]).status == 0)
    #expect(try words.run(["rm", words.store, "line0000"]).status == 0)
    try words.place.write([], to: "gate")
    let resumed = try words.run(["jobs", "resume", words.store, id])
    #expect(resumed.status == 0, "\(resumed.error)")
    #expect(resumed.error.contains("tasks done before"), "\(resumed.error)")
    #expect(
      try words.job("--input", "keyspace:counts", "--map", "cat").text == words.counted)
    try words.requireClean()
  }

  @Test("a job begun afresh sees the store as it is, and one that goes on as it was")
  func fresh() throws {
    let words = try JobPlace(lineCount: 30)
    let gate = words.place.file("gate")
    let arguments = [
      "mapreduce", words.store, "--map", "cut -f 1", "--reduce", "test -e '\(gate)' && cat",
      "--reducers", "1", "--attempts", "1",
    ]
    #expect(try words.run(arguments).status == 70)
    #expect(try words.run(["put", words.store, "line9999", "x"]).status == 0)
    #expect(try words.run(arguments).status == 70)
    try words.place.write([], to: "gate")
    let old = try words.run(arguments)
    #expect(old.error.contains("going on with job"), "\(old.error)")
    #expect(old.text == words.lines.map { $0.key + "\n" }.joined())
    try FileManager.default.removeItem(atPath: gate)
    #expect(try words.run(["rm", words.store, "line0000"]).status == 0)
    #expect(try words.run(arguments).status == 70)
    #expect(try words.run(["rm", words.store, "line0001"]).status == 0)
    try words.place.write([], to: "gate")
    let fresh = try words.run(arguments + ["--fresh"])
    #expect(!fresh.error.contains("going on with job"), "\(fresh.error)")
    #expect(
      fresh.text == words.lines.dropFirst(2).map { $0.key + "\n" }.joined() + "line9999\n")
    try words.requireClean()
  }

  @Test("results that did not get out are not forgotten")
  func fullOutput() throws {
    let words = try JobPlace(lineCount: 30)
    let tries = words.place.file("tries")
    let arguments = ["mapreduce", words.store, "--map", "echo . >>'\(tries)'; cut -f 1"]
    let full = try runProgram(builtCommand, arguments, output: "/dev/full")
    #expect(full.status == 74, "\(full.error)")
    #expect(words.jobs.count == 1)
    let again = try words.run(arguments)
    #expect(again.text == words.lines.map { $0.key + "\n" }.joined(), "\(again.error)")
    #expect(try words.place.read("tries") == Array(".\n".utf8), "the mapper ran twice")
    try words.requireClean()
  }

  @Test("a job that another process works on is not touched")
  func busy() throws {
    let words = try JobPlace(lineCount: 30)
    let started = words.place.file("started")
    let arguments = [
      "mapreduce", words.store, "--map", "touch '\(started)'; exec sleep 600", "--output",
      words.place.file("out"),
    ]
    let process = Process()
    process.executableURL = URL(fileURLWithPath: builtCommand)
    process.arguments = arguments
    process.standardError = FileHandle.nullDevice
    try process.run()
    while !FileManager.default.fileExists(atPath: started), process.isRunning { usleep(10_000) }
    let second = try words.run(arguments)
    #expect(second.status == 75 && second.error.contains("another process"), "\(second.error)")
    let id = try #require(words.jobs.first)
    #expect(try words.run(["jobs", words.store, "--json"]).text.contains(#""state":"running""#))
    #expect(try words.run(["jobs", "clean", words.store, id]).status == 75)
    #expect(try words.run(["jobs", "clean", words.store]).status == 0)
    #expect(words.jobs == [id])
    // The store is open for others all the while.
    #expect(try words.run(["put", words.store, "meanwhile", "x"]).status == 0)
    process.terminate()
    process.waitUntilExit()
    #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGTERM)
    #expect(try words.run(["jobs", "clean", words.store, id]).status == 0)
    #expect(try words.run(["jobs", "clean", words.store, id]).status == 64)
    try words.requireClean()
  }

  @Test("what a removal that was killed has left is no job, and hinders none")
  func leftovers() throws {
    let words = try JobPlace(lineCount: 30)
    let out = words.place.file("out")
    let arguments = [
      "mapreduce", words.store, "--map", "cut -f 1", "--reduce", "test ! -e '\(out)-no' && cat",
      "--output", out,
    ]
    try words.place.write([], to: "out-no")
    #expect(try words.run(arguments + ["--attempts", "1"]).status == 70)
    let job = words.store + "/jobs/" + (try #require(words.jobs.first))
    for name in ["definition", "input/log"] {
      try FileManager.default.removeItem(atPath: "\(job)/\(name)")
    }
    try FileManager.default.removeItem(atPath: out + "-no")
    let outcome = try words.run(arguments)
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(!outcome.error.contains("going on"), "\(outcome.error)")
    #expect(try words.results("out") == words.lines.map { $0.key + "\n" }.joined())
    try words.requireClean()
  }

  @Test(
    "a job whose results are out and that could not be removed is not in its own way",
    arguments: ["out", "keyspace:out", "stream:out"])
  func published(_ output: String) throws {
    let words = try JobPlace(lineCount: 30)
    // A name that is not UTF-8, and so none that the removal knows.
    let arguments = [
      "mapreduce", words.store, "--map",
      "cut -f 1; cd '\(words.store)'/jobs/*/input && : >odd$(printf '\\377')",
      "--output", output == "out" ? words.place.file("out") : output,
    ]
    let stuck = try words.run(arguments)
    #expect(stuck.status != 0 && words.jobs.count == 1, "\(stuck.error)")
    let freed = try runProgram(
      "/bin/sh", ["-c", "cd '\(words.store)'/jobs/*/input && rm odd*"])
    #expect(freed.status == 0, "\(freed.error)")
    let outcome = try words.run(arguments)
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.error.contains("the results were out already"), "\(outcome.error)")
    try words.requireClean(output)
    let keys = words.lines.map { $0.key + "\n" }.joined()
    switch output {
    case "out": #expect(try words.results("out") == keys)
    default:
      let found = try words.job("--input", output, "--map", "cat").text
      #expect(found.split(separator: "\n").count == 30)
    }
    // Now it is another job, and the name is taken.
    #expect(try words.run(arguments).status == 75)
  }

  private static let refusal: String? = {
    do {
      let outcome = try JobPlace(lineCount: 1).job("--map", "cat", "--sandbox")
      return outcome.status == 69 ? outcome.error : nil
    } catch { return "\(error)" }
  }()

  @Test(
    "a program that is shut in writes nowhere and reaches nobody",
    .enabled(if: refusal == nil, "sandbox: skipped, programs cannot be shut in here"))
  func sandbox() throws {
    let words = try JobPlace(lineCount: 20)
    let mapper = """
      cat >/dev/null
      echo x >'\(words.place.file("written"))'; echo x >/var/tmp/turbidite-written
      echo x >/tmp/inner && cat /tmp/inner
      tail -n +3 /proc/net/dev | cut -d : -f 1
      """
    let outcome = try words.job("--map", mapper, "--sandbox", "--attempts", "1", "--reducers", "1")
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.text == "    lo\nx\n", "\(outcome.text)")
    for path in [words.place.file("written"), "/var/tmp/turbidite-written", "/tmp/inner"] {
      #expect(!FileManager.default.fileExists(atPath: path))
    }
    let counted = try words.job(
      "--map", WordCount.awkMapper, "--combine", WordCount.awkReducer, "--reduce",
      WordCount.awkReducer, "--values-only", "--sandbox", "--cmdenv", "LC_ALL=C")
    #expect(counted.text == words.counted, "\(counted.error)")
    try words.requireClean()
  }
}
