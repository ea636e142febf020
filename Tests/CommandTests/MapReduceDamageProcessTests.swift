import Foundation
import Testing

@testable import TurbiditeCLI

/// What a job keeps between two runs, changed by others.
@Suite("Jobs of programs, damaged", .onThreadsOfItsOwn)
struct MapReduceDamageProcessTests {
  /// Leaves a job whose map tasks and first reducer are done, and gives the command that goes on.
  private func halfDone(_ words: JobPlace, _ gate: String) throws -> [String] {
    let arguments = [
      "mapreduce", words.store, "--map", WordCount.awkMapper, "--reduce",
      "test -e '\(gate)' || test $mapreduce_task_partition = 0 || exit 5; "
        + WordCount.awkReducer, "--values-only", "--split", "2K", "--workers", "1", "--attempts",
      "1",
    ]
    #expect(try words.run(arguments).status == 70)
    return arguments
  }

  @Test("a flipped bit or a cut ends in an error or in the right answer, never in another one")
  func damage() throws {
    let words = try JobPlace()
    let gate = words.place.file("gate")
    var random = SeededGenerator(seed: 9)
    var (errors, answers) = (0, 0)
    for round in 0..<24 {
      let arguments = try halfDone(words, gate)
      let job = words.store + "/jobs/" + (try #require(words.jobs.first))
      let files = try FileManager.default.contentsOfDirectory(atPath: job).sorted().filter {
        $0 != "LOCK" && $0 != "input"
      }
      #expect(files.contains("reduce-00000.out"))
      let name = round < 6 ? "reduce-00000.out" : round < 10 ? "cuts" : files[round % files.count]
      let file = URL(fileURLWithPath: job + "/" + name)
      var bytes = [UInt8](try Data(contentsOf: file))
      guard !bytes.isEmpty else { continue }
      let place = Int.random(in: 0..<bytes.count, using: &random)
      if round % 3 == 0 { bytes.removeSubrange(place...) } else { bytes[place] ^= 1 << (place % 7) }
      try Data(bytes).write(to: file)
      _ = FileManager.default.createFile(atPath: gate, contents: nil)
      let outcome = try words.run(arguments)
      if outcome.status == 0 {
        answers += 1
        #expect(outcome.text == words.counted, "\(name) at \(place)")
      } else {
        errors += 1
        #expect(outcome.status == 76, "\(name) at \(place): \(outcome.error)")
      }
      #expect(try words.run(["jobs", "clean", words.store]).status == 0)
      try FileManager.default.removeItem(atPath: gate)
    }
    #expect(answers >= 6)
    #expect(errors > 0)
  }

  @Test("a reducer whose results no target can take is told so, and asked again once it is mended")
  func mended() throws {
    let words = try JobPlace()
    let program = try words.program("reduce.sh", "cat\n")
    let arguments = [
      "mapreduce", words.store, "--values-only", "--map", WordCount.awkMapper, "--reduce",
      "sh \(program)", "--output", "keyspace:counts",
    ]
    let twice = try words.run(arguments)
    #expect(twice.status == 70)
    #expect(twice.error.contains("more than once"), "\(twice.error)")
    _ = try words.program("reduce.sh", WordCount.awkReducer + "\n")
    #expect(try words.run(arguments).status == 0)
    let empty = try words.job(
      "--values-only", "--map", WordCount.awkMapper, "--reduce", "printf '\\tone\\n'", "--output",
      "keyspace:empty")
    #expect(empty.status == 70)
    #expect(empty.error.contains("reducer of reduce task"), "\(empty.error)")
    #expect(empty.error.contains("an empty key"), "\(empty.error)")
  }

  @Test("what is no store gets no directory of jobs, and paths are those of where a job was begun")
  func places() throws {
    let words = try JobPlace()
    let nothing = words.place.file("nothing")
    try FileManager.default.createDirectory(atPath: nothing, withIntermediateDirectories: true)
    #expect(try words.run(["mapreduce", nothing, "--map", "cat"]).status == 66)
    #expect(try FileManager.default.contentsOfDirectory(atPath: nothing).isEmpty)
    #expect(try words.run(["mapreduce", nothing + "/absent", "--map", "cat"]).status == 66)
  }
}
