// JobRaceTests — jobs beside jobs, and whatever else they must not be moved by.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite

@Suite("Jobs beside others")
struct JobRaceTests {
  private func open(_ scratch: ScratchDirectory, shards: Int = 1) throws -> Store {
    var options = Store.Options(shardCount: shards)
    options.blockByteCount = 512
    return try Store.Blocking.open(at: scratch.file("store"), options: options)
  }

  /// Entries `k000000` and so on, with their numbers.
  private func load(_ store: Store, _ count: Int) throws {
    var batch = Store.Batch()
    for number in 0..<count {
      batch.put(Bytes(String(format: "k%06d", number)), Bytes("\(number)"))
    }
    try store.blocking.commit(batch)
  }

  @Test("while a job writes to a target another one is refused, and the first is whole")
  func sameTarget() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try load(store, 2_000)
    let file = scratch.file("out.tsv")
    for target in [JobTarget.keyspace("x"), .stream("y"), .file(file)] {
      let refused = Guarded<StoreError?>(nil)
      let begun = Atomic<Bool>(false)
      let summary = try store.blocking.mapReduce(
        over: .scan(), into: target, options: JobOptions(workerCount: 1),
        map: { record, emit in
          if !begun.exchange(true, ordering: .relaxed) {
            do throws(StoreError) {
              try store.blocking.mapReduce(
                over: .scan(), into: target, map: { record, emit in emit(record.key, 2) },
                reduce: .sum)
            } catch { refused.withLock { $0 = error } }
          }
          emit(record.key, 1)
        }, reduce: .sum)
      #expect(summary.groupCount == 2_000)
      guard case .invalidArgument(let what)? = refused.withLock({ $0 }) else {
        Issue.record("\(String(describing: refused.withLock { $0 }))")
        continue
      }
      #expect(what.hasPrefix("another job is writing to"))
    }
    #expect(try store.blocking.count(over: .scan(in: store.blocking.keyspace("x"))) == 2_000)
    #expect(try store.blocking.count(over: .events(of: store.blocking.stream("y"))) == 2_000)
    let text = try String(contentsOfFile: file, encoding: .utf8)
    #expect(text.split(separator: "\n").allSatisfy { $0.hasSuffix("\t1") })
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == [
        "out.tsv", "store",
      ])
  }

  @Test("two jobs that start together do not mix their results")
  func together() throws {
    for _ in 0..<5 {
      let scratch = ScratchDirectory()
      let store = try open(scratch)
      try load(store, 1_000)
      let successes = Atomic<Int>(0)
      DispatchQueue.concurrentPerform(iterations: 2) { job in
        do throws(StoreError) {
          try store.blocking.mapReduce(
            over: .scan(), into: .keyspace("x"), options: JobOptions(workerCount: 1),
            map: { record, emit in emit(Bytes("\(job)/\(Bytes(copying: record.key))"), job) },
            reduce: .sum)
          successes.add(1, ordering: .relaxed)
        } catch {
          if case .invalidArgument = error { return }
          _ = Issue.record("\(error)")
        }
      }
      #expect(successes.load(ordering: .relaxed) == 1)
      #expect(try store.blocking.count(over: .scan(in: store.blocking.keyspace("x"))) == 1_000)
      #expect(try store.blocking.keyspaces() == ["x"])
    }
  }

  @Test("a handle of the keyspace in the making is of no use for the finished one")
  func oldHandle() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try load(store, 10)
    let handle = Guarded<Keyspace?>(nil)
    try store.blocking.mapReduce(
      over: .scan(), into: .keyspace("x"),
      map: { record, emit in
        let unfinished = try store.blocking.keyspace(JobTarget.unfinishedName(of: "x"))
        handle.withLock { $0 = unfinished }
        emit(record.key, 1)
      }, reduce: .sum)
    let old = try #require(handle.withLock { $0 })
    #expect(throws: StoreError.self) { try store.blocking.put("intruder", "1", in: old) }
    #expect(try store.blocking.get("intruder", in: store.blocking.keyspace("x")) == nil)
  }

  @Test("a keyspace whose changes are recorded is not replaced")
  func recorded() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try load(store, 3)
    let changes = try store.blocking.createStream("log", partitionCount: 1)
    let keyspace = try store.blocking.createKeyspace("x", recordingChangesIn: changes)
    try store.blocking.put("a", "1", in: keyspace)
    for target in [JobTarget.keyspace("x", replacing: true), .stream("log", replacing: true)] {
      #expect(throws: StoreError.self) {
        try store.blocking.mapReduce(
          over: .scan(), into: target, map: { record, emit in emit(record.key, 1) }, reduce: .sum)
      }
    }
    #expect(try store.blocking.get("a", in: keyspace) == "1")
    #expect(try store.blocking.count(over: .events(of: changes)) == 1)
  }

  @Test("targets may have the longest names that there are")
  func longNames() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try load(store, 3)
    let name = String(repeating: "n", count: 255)
    for target in [JobTarget.keyspace(name), .file(scratch.file(name))] {
      let summary = try store.blocking.mapReduce(
        over: .scan(), into: target, map: { record, emit in emit(record.key, 1) }, reduce: .sum)
      #expect(summary.groupCount == 3)
    }
  }

  @Test("the largest of several NaNs is the same, whoever read which")
  func notNumbers() throws {
    let scratch = ScratchDirectory()
    let store = try open(scratch)
    try load(store, 2_000)
    try store.blocking.flush()
    let results = try [1, 2].map { workers in
      try store.blocking.mapReduce(
        over: .scan(), options: JobOptions(workerCount: workers, splitByteCount: 1),
        map: { (record: JobRecord, emit: Emitter<Double>) in
          let number = Int(String(Bytes(copying: record.key).description.dropFirst()))!
          if number == 0, workers > 1 { usleep(100_000) }
          if number == 900 { emit("a", -Double.nan) }
          if number == 1_600 { emit("a", Double.nan) }
        }, reduce: .max)["a"]?.bitPattern
    }
    #expect(results == [Double.nan.bitPattern, Double.nan.bitPattern])
  }

  @Test(
    "values keep their order, whatever is stolen and put on disk",
    arguments: 0..<environmentCount("TURBIDITE_JOB_ROUNDS", default: 10))
  func fuzz(_ seed: Int) throws {
    let random = SeededRandom(seed: UInt64(seed))
    let scratch = ScratchDirectory()
    let store = try open(scratch, shards: [1, 4, 16][seed % 3])
    let n = 3000
    try load(store, n)
    if seed % 2 == 0 { try store.blocking.flush() }
    let workers = 1 + Int(random.next() % 9)
    let split = [1, 300, 2000, 20_000, 1 << 30][Int(random.next() % 5)]
    let memory = [1 << 20, 3 << 20, 256 << 20][Int(random.next() % 3)]
    let slow = Int(random.next() % 3000)
    let pad = [10, 200, 3000][Int(random.next() % 3)]
    let opts = JobOptions(workerCount: workers, memoryByteCount: memory, splitByteCount: split)
    let map: JobMap<Bytes> = { r, emit in
      let i = Int(String(Bytes(copying: r.key).description.dropFirst()))!
      if i % 97 == slow % 97 { usleep(UInt32(1000 + slow)) }
      emit(Bytes("hot"), Bytes("\(i),"))
      emit(Bytes("hot2"), Bytes(Array("\(i),".utf8) + [UInt8](repeating: 0x2e, count: pad)))
      emit(Bytes("k\(i % 50)"), Bytes(Array("\(i),".utf8)))
      emit(Bytes("k\(i % 50)"), Bytes(Array("\(i),".utf8)))
      emit(Bytes("u\(i)" + String(repeating: "x", count: pad)), Bytes("\(i),"))
    }
    let a = try store.blocking.mapReduce(
      over: .scan(), options: opts, map: map, reduce: .group { _, v in v.map { $0 } })
    var expected: [Bytes: [Bytes]] = [:]
    for i in 0..<n {
      expected[Bytes("hot"), default: []].append(Bytes("\(i),"))
      expected[Bytes("hot2"), default: []].append(
        Bytes(Array("\(i),".utf8) + [UInt8](repeating: 0x2e, count: pad)))
      for _ in 0..<2 { expected[Bytes("k\(i % 50)"), default: []].append(Bytes("\(i),")) }
      expected[Bytes("u\(i)" + String(repeating: "x", count: pad)), default: []].append(
        Bytes("\(i),"))
    }
    #expect(a.dictionary == expected)
    #expect(a.map(\.key) == expected.keys.sorted())
    let c = try store.blocking.mapReduce(
      over: .scan(), options: opts, map: map, reduce: .combining { Bytes($0.array + $1.array) })
    #expect(c.dictionary == expected.mapValues { Bytes($0.flatMap { $0.array }) })
  }
}
