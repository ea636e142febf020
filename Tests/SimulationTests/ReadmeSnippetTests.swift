// ReadmeSnippetTests — what README shows of the simulation does what it says.

import Foundation
import Testing
import Turbidite
import TurbiditeSimulation

@Suite("README's simulation")
struct ReadmeSnippetTests {
  /// The lines below the marks are README's, to the letter: the test reads both.
  @Test("the snippet runs, and is the one in README")
  func snippet() throws {
    // begin
    let machine = SimulatedMachine(seed: 1)
    let store = try machine.open()
    try store.blocking.put("ledger/1", "10", durability: .synced)
    for survivors in machine.disk.crashSurvivors() {  // what a power loss may leave, in bounds
      let found = try machine.crashed(.these(survivors)).open()
      let value = try found.blocking.get("ledger/1")
      precondition(value == "10")
    }
    // end
    try expectShown("begin", "end", after: "import Turbidite\nimport TurbiditeSimulation\n\n")
  }

  @Test("the consumer of a stream counts each event once, and is the one in README")
  func streams() async throws {
    // begin streams
    func count(_ store: Store, _ clicks: EventStream) async throws {
      let cursor = try EventCursor("counter", of: clicks)
      let reached = try store.blocking.offsets(of: cursor)
      for try await events in store.tail(clicks, from: .offsets(reached)) {
        var batch = Store.Batch()
        let before = try await store.get("count")?.text.flatMap { Int($0) } ?? 0
        batch.put("count", Bytes("\(before + events.count)"))
        for event in events { batch.move(cursor, behind: event.position) }
        try await store.commit(batch)
      }
    }
    // end streams
    try expectShown("begin streams", "end streams", after: "")
    let path = NSTemporaryDirectory() + "turbidite-readme-" + UUID().uuidString
    defer { #expect(throws: Never.self) { try FileManager.default.removeItem(atPath: path) } }
    let store = try await Store.open(at: path)
    let clicks = try await store.createStream("clicks", partitionCount: 8)
    for round in 1...3 {
      // The consumer is stopped somewhere, and begins again.
      let consumer = Task { try await count(store, clicks) }
      try await store.append(
        contentsOf: (0..<1000).map { NewEvent(Bytes("\($0)"), key: Bytes("user \($0 % 50)")) },
        to: clicks)
      while round == 3, try await store.get("count") != "3000" { await Task.yield() }
      consumer.cancel()
      await #expect(throws: StoreError.self) { try await consumer.value }
    }
    #expect(try await store.get("count") == "3000")
    try await store.close()
  }

  @Test("the jobs count words and sum sizes, and are those in README")
  func jobs() async throws {
    // begin jobs
    func report(_ store: Store) async throws {
      // 1. Words, counted on all processors; results come in the order of the keys.
      let words = try await store.mapReduce(
        over: .scan(.prefix("pkg/")),
        map: { record, emit in record.value.forEachWord { emit($0, 1) } },
        reduce: .sum)
      print("the word Debian stands there \(words["Debian"] ?? 0) times")

      // 2. Into a keyspace that appears whole or not at all: what each section takes installed.
      try await store.mapReduce(
        over: .scan(.prefix("pkg/")), into: .keyspace("sizes", replacing: true),
        map: { record, emit in
          var section: Bytes = "none"
          record.value.forEachField(separatedBy: UInt8(ascii: "\n")) { line in
            if let name = line.after("Section: ") { section = Bytes(copying: name) }
          }
          record.value.forEachField(separatedBy: UInt8(ascii: "\n")) { line in
            if let size = line.after("Installed-Size: ")?.decimal { emit(section, size) }
          }
        }, reduce: .sum)
      for try await sum in store.scan(in: try store.keyspace("sizes")) { print(sum.key, sum.value) }
    }
    // end jobs
    try expectShown("begin jobs", "end jobs", after: "")
    let path = NSTemporaryDirectory() + "turbidite-readme-" + UUID().uuidString
    defer { #expect(throws: Never.self) { try FileManager.default.removeItem(atPath: path) } }
    let store = try await Store.open(at: path)
    for number in 0..<200 {
      let section = number % 3 == 0 ? "" : "Section: s\(number % 5)\n"
      try await store.put(
        Bytes("pkg/\(number)"), Bytes("Installed-Size: \(number)\n\(section)Name: Debian Debian"))
    }
    try await report(store)
    try await report(store)
    let sizes = try store.keyspace("sizes")
    let expected = (0..<200).filter { $0 % 3 != 0 && $0 % 5 == 2 }.reduce(0, +)
    #expect(try await store.get("s2", in: sizes)?.text == "\(expected)")
    #expect(
      try await store.get("none", in: sizes)?.text
        == "\((0..<200).filter { $0 % 3 == 0 }.reduce(0, +))")
    try await store.close()
  }

  /// Expects the lines of this file between two marks to stand in README, to the letter.
  private func expectShown(_ begin: String, _ end: String, after opening: String) throws {
    let here = URL(fileURLWithPath: #filePath)
    let source = try String(contentsOf: here, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    let first = try #require(source.firstIndex(of: "    // \(begin)"))
    let last = try #require(source.firstIndex(of: "    // \(end)"))
    let lines = source[(first + 1)..<last].map { $0.dropFirst(4) }
    let root = here.deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let readme = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    #expect(readme.contains(opening + lines.joined(separator: "\n") + "\n```"))
  }
}
