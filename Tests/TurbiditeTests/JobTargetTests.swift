// JobTargetTests — a job's output is there whole or not at all, and its trouble has a name.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

@Suite("Job targets and failures")
struct JobTargetTests {
  private func open(
    _ scratch: ScratchDirectory, _ mode: Store.Mode = .openOrCreate
  ) throws -> Store {
    try Store.Blocking.open(at: scratch.file("store"), mode: mode)
  }

  private let text = JobText(seed: 4, lineCount: 800)

  private var counts: [(key: Bytes, value: Bytes)] {
    text.places.map { (Bytes($0), Bytes("\($1.count)")) }.sorted { $0.0 < $1.0 }
  }

  private let words: JobMap<Int> = { record, emit in record.value.forEachWord { emit($0, 1) } }

  private func entries(_ store: Store, _ name: String) throws -> [Entry] {
    let scan = try store.blocking.scan(in: store.blocking.keyspace(name))
    var entries: [Entry] = []
    while let entry = try scan.next() { entries.append(entry) }
    return entries
  }

  private var expected: [Entry] { counts.map { Entry(key: $0.key, value: $0.value) } }

  @Test("a keyspace, a stream and a file get the results, in order, and survive a reopening")
  func targets() throws {
    let scratch = ScratchDirectory()
    var store = try open(scratch)
    try text.load(into: store)
    let summary = try store.blocking.mapReduce(
      over: .scan(), into: .keyspace("counts"), map: words, reduce: .count)
    #expect(summary.groupCount == expected.count)
    try store.blocking.mapReduce(
      over: .scan(), into: .stream("counts stream", partitionCount: 2), map: words, reduce: .sum)
    try store.blocking.mapReduce(
      over: .scan(), into: .file(scratch.file("counts.tsv")), map: words, reduce: .sum)
    #expect(try store.blocking.keyspaces() == ["counts"])
    #expect(try entries(store, "counts") == expected)
    try store.blocking.close()
    store = try open(scratch)
    #expect(try entries(store, "counts") == expected)
    let stream = try store.blocking.stream("counts stream")
    var seen: [Entry] = []
    for partition in 0..<2 {
      let events = try store.blocking.events(of: stream, partition: partition, from: 0)
      var last: Bytes?
      while let event = try events.next() {
        let key = try #require(event.key)
        if let last { #expect(last < key) }
        last = key
        seen.append(Entry(key: key, value: event.value))
      }
    }
    #expect(seen.sorted { $0.key < $1.key } == expected)
    let file = try String(contentsOfFile: scratch.file("counts.tsv"), encoding: .utf8)
    #expect(file == counts.map { "\($0.key)\t\($0.value)\n" }.joined())
    try store.blocking.close()
    #expect(try verify(storeAt: scratch.file("store"), deep: true).isClean)
  }

  @Test("lines of a file are in the order of the keys, whichever part is done first")
  func slowParts() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try text.load(into: store)
    let first = try #require(counts.first?.key)
    try store.blocking.mapReduce(
      over: .scan(), into: .file(scratch.file("counts.tsv")), options: JobOptions(workerCount: 4),
      map: words,
      reduce: Reducer<Int, Int>.group { key, values in
        if key == first { usleep(200_000) }
        return values.reduce(0, +)
      })
    let file = try String(contentsOfFile: scratch.file("counts.tsv"), encoding: .utf8)
    #expect(file == counts.map { "\($0.key)\t\($0.value)\n" }.joined())
  }

  @Test("results replace a keyspace only when asked, at once; handles of the old one say so")
  func replacing() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try text.load(into: store)
    let old = try store.blocking.createKeyspace("counts")
    try store.blocking.put("old", "1", in: old)
    #expect(throws: StoreError.self) {
      try store.blocking.mapReduce(
        over: .scan(), into: .keyspace("counts"), map: words, reduce: .count)
    }
    #expect(try entries(store, "counts") == [Entry(key: "old", value: "1")])
    try store.blocking.mapReduce(
      over: .scan(), into: .keyspace("counts", replacing: true), map: words, reduce: .count)
    #expect(try entries(store, "counts") == expected)
    #expect(throws: StoreError.notFound("keyspace counts")) {
      try store.blocking.get("old", in: old)
    }
    let new = try store.blocking.keyspace("counts")
    try store.blocking.put("more", "1", in: new)
    try store.blocking.flush()
    try store.blocking.close()
    let again = try open(scratch)
    #expect(try entries(again, "counts").count == expected.count + 1)
  }

  @Test("a job that fails or is killed leaves nothing that the next one does not clear")
  func leftovers() throws {
    let scratch = ScratchDirectory()
    var store = try open(scratch)
    try text.load(into: store)
    #expect(throws: StoreError.self) {
      try store.blocking.mapReduce(
        over: .scan(), into: .keyspace("counts"), map: words,
        reduce: Reducer<Int, Int>.group { key, values in
          if key == "w1" { throw Refusal() }
          return values.reduce(0, +)
        })
    }
    #expect(try store.blocking.keyspaces() == [])
    // What a killed job leaves.
    let name = JobTarget.unfinishedName(of: "counts")
    #expect(throws: StoreError.self) { try store.blocking.createKeyspace(name) }
    let unfinished = Keyspace(state: try store.engine.createKeyspace(name, nil, changes: nil))
    try store.blocking.put("w1", "nonsense", in: unfinished)
    try store.blocking.put("zzz", "nonsense", in: unfinished)
    try store.blocking.close()
    store = try open(scratch)
    try store.blocking.mapReduce(
      over: .scan(), into: .keyspace("counts"), map: words, reduce: .count)
    #expect(try store.blocking.keyspaces() == ["counts"])
    #expect(try entries(store, "counts") == expected)
  }

  @Test("what the caller's code throws is named with its key; a store's error stays what it is")
  func throwing() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try text.load(into: store)
    func failure(_ body: () throws -> Void) -> StoreError? {
      do {
        try body()
        return nil
      } catch { return error as? StoreError }
    }
    let inMap = failure {
      _ = try store.blocking.mapReduce(
        over: .scan(),
        map: { record, emit in
          if record.lineNumber == 17 { throw Refusal() }
          emit("a", 1)
        }, reduce: .sum)
    }
    #expect(inMap == .userCode("the map threw at key line/000017: Refusal()"))
    #expect(inMap?.exitStatus == 70)
    let inReducer = failure {
      _ = try store.blocking.mapReduce(
        over: .scan(), map: words, reduce: .group { key, _ -> Int in throw Refusal() })
    }
    guard case .userCode(let what)? = inReducer else {
      Issue.record("\(String(describing: inReducer))")
      return
    }
    #expect(what.hasPrefix("the reducer threw at key w"))
    let own = failure {
      _ = try store.blocking.mapReduce(
        over: .scan(),
        map: { _, emit in
          emit("a", 1)
          throw StoreError.notFound("mine")
        }, reduce: .sum)
    }
    #expect(own == .notFound("mine"))
    let overflow = failure {
      _ = try store.blocking.mapReduce(
        over: .scan(), map: { _, emit in emit("a", Int.max) }, reduce: .sum)
    }
    guard case .userCode? = overflow else {
      Issue.record("\(String(describing: overflow))")
      return
    }
    let long = failure {
      _ = try store.blocking.mapReduce(
        over: .scan(),
        map: { _, emit in
          emit(Bytes([UInt8](repeating: 1, count: 70_000)), 1)
        }, reduce: .sum)
    }
    guard case .invalidArgument? = long else {
      Issue.record("\(String(describing: long))")
      return
    }
    #expect(
      failure {
        _ = try store.blocking.mapReduce(
          over: .scan(), options: JobOptions(workerCount: 0), map: words, reduce: .sum)
      } == .invalidArgument("a job has 1 to 256 workers, not 0"))
    #expect(
      failure {
        _ = try store.blocking.mapReduce(
          over: .scan(), into: .keyspace("empty key"), map: { _, emit in emit("", 1) },
          reduce: .sum)
      } == .userCode("the map has emitted an empty key, which no keyspace can hold"))
    #expect(try store.blocking.keyspaces() == [])
  }

  @Test("a cancelled task ends its job with cancelled")
  func cancellation() async throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try text.load(into: store)
    let begun = Atomic<Bool>(false)
    let isCancelled = Atomic<Bool>(false)
    let job = Task {
      try await store.mapReduce(
        over: .scan(), into: .keyspace("counts"), options: JobOptions(splitByteCount: 1_000),
        map: { _, emit in
          begun.store(true, ordering: .relaxed)
          while !isCancelled.load(ordering: .relaxed) { usleep(1_000) }
          emit("a", 1)
        }, reduce: .sum)
    }
    while !begun.load(ordering: .relaxed) { await Task.yield() }
    job.cancel()
    isCancelled.store(true, ordering: .relaxed)
    await #expect(throws: StoreError.cancelled) { _ = try await job.value }
    #expect(try store.blocking.keyspaces() == [])
  }

  @Test("a job sees one moment, whatever is written meanwhile")
  func moment() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try text.load(into: store)
    let expected = text.lines.count
    let writes = Atomic<Int>(0)
    let result = try store.blocking.mapReduce(
      over: .scan(), options: JobOptions(workerCount: 2, splitByteCount: 500),
      map: { record, emit in
        let number = writes.add(1, ordering: .relaxed).newValue
        try store.blocking.put(Bytes("line/\(number)x"), "new")
        try store.blocking.delete(Bytes(copying: record.key))
        emit("lines", 1)
      }, reduce: .count)
    #expect(result["lines"] == expected)
    #expect(result["absent"] == nil)
  }

  @Test("events are mapped with their key, and whole where asked for")
  func events() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    let stream = try store.blocking.createStream("clicks", partitionCount: 3)
    var batch = Store.Batch()
    for number in 0..<1_000 {
      batch.append(
        NewEvent(
          Bytes("\(number)"), key: number % 4 == 0 ? nil : Bytes("user \(number % 7)"),
          timestamp: Int64(number), headers: [EventHeader("n", Bytes("\(number)"))]), to: stream)
    }
    try store.blocking.commit(batch)
    let byKey = try store.blocking.mapReduce(
      over: .events(of: stream),
      map: { record, emit in emit(record.key, record.value.decimal ?? -1) }, reduce: .sum)
    for user in 0..<7 {
      let sum = (0..<1_000).filter { $0 % 4 != 0 && $0 % 7 == user }.reduce(0, +)
      #expect(byKey[Bytes("user \(user)")] == sum)
    }
    #expect(byKey[""] == (0..<1_000).filter { $0 % 4 == 0 }.reduce(0, +))
    let one = try store.blocking.count(over: .events(of: stream, partition: 1, from: 5, upTo: 25)) {
      let event = try #require(try $0.event())
      return event.position.partition == 1 && (5..<25).contains(event.position.offset)
        && event.headers == [EventHeader("n", event.value)]
    }
    #expect(one == 20)
    #expect(throws: StoreError.self) {
      try store.blocking.count(over: .events(of: stream, partition: 3))
    }
  }

  @Test("parallel scans agree with a loop, and merge in the order of the keys")
  func scans() async throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try text.load(into: store)
    let options = JobOptions(workerCount: 3, splitByteCount: 700)
    let range = KeyRange(from: "line/000100", to: "line/000300")
    #expect(try store.blocking.count(over: .scan(), options: options) == text.lines.count)
    #expect(try await store.count(over: .scan(range), options: options) == 200)
    #expect(
      try await store.count(over: .scan(.prefix("line/0002")), options: options) {
        !$0.value.isEmpty
      } == text.lines[200..<300].filter { !$0.words.isEmpty }.count)
    let seen = Guarded<Set<Int>>([])
    try await store.forEachParallel(over: .scan(range), options: options) { record in
      let number = record.lineNumber
      seen.withLock { _ = $0.insert(number) }
    }
    #expect(seen.withLock { $0 } == Set(100..<300))
    let order = try await store.reduce(
      over: .scan(), into: [Int](), options: options, { $0.append($1.lineNumber) },
      merge: { $0 += $1 })
    #expect(order == Array(0..<text.lines.count))
  }

  @Test("a read-only store puts runs elsewhere, and writes nothing itself")
  func readOnly() throws {
    let scratch = ScratchDirectory()
    var store = try open(scratch)
    try text.load(into: store)
    try store.blocking.close()
    store = try open(scratch, .readOnly)
    let before = try FileManager.default.subpathsOfDirectory(atPath: scratch.path)
    let result = try store.blocking.mapReduce(
      over: .scan(),
      options: JobOptions(memoryByteCount: 1 << 20, temporaryDirectory: scratch.path),
      map: { record, emit in
        let number = record.lineNumber
        for copy in 0..<60 { emit(Bytes("\(number * 100 + copy) and more of it"), 1) }
      }, reduce: .count)
    #expect(result.count == text.lines.count * 60)
    #expect(result.summary.spilledByteCount > 0)
    #expect(try FileManager.default.subpathsOfDirectory(atPath: scratch.path) == before)
  }

  @Test("progress ends with everything, and counters add up over workers")
  func progress() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try text.load(into: store)
    let last = Guarded<JobProgress?>(nil)
    var options = JobOptions(workerCount: 3, splitByteCount: 500)
    options.progress = { progress in last.withLock { $0 = progress } }
    let result = try store.blocking.mapReduce(
      over: .scan(), options: options,
      map: { record, emit in
        emit.count("lines")
        record.value.forEachWord { _ in emit.count("words", by: 1) }
        emit("a", 1)
      }, reduce: .sum)
    #expect(result.summary.counters["lines"] == text.lines.count)
    #expect(result.summary.counters["words"] == text.lines.reduce(0) { $0 + $1.words.count })
    let end = try #require(last.withLock { $0 })
    #expect(end.stage == .reduce)
    #expect(end.recordCount == text.lines.count)
    #expect(end.finishedCount == end.partCount)
  }
}
