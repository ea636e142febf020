// JobTests — a job's results are those of a loop over the input, however it is cut and run.

import Foundation
import Synchronization
import Testing
import TurbiditeSimulation

@testable import Turbidite

/// Lines of words, some of which come often.
struct JobText {
  let lines: [(key: String, words: [String])]

  init(seed: UInt64, lineCount: Int) {
    let random = SeededRandom(seed: seed)
    lines = (0..<lineCount).map { line in
      let words = (0..<random.next() % 12).map { _ in
        let rank = UInt64(1) << (random.next() % 13)
        return "w\(random.next() % rank)"
      }
      return (String(format: "line/%06d", line), words)
    }
  }

  func load(into store: Store) throws {
    var batch = Store.Batch()
    for (key, words) in lines {
      batch.put(Bytes(key), Bytes(words.joined(separator: " ")))
    }
    try store.blocking.commit(batch)
  }

  /// Each word with the numbers of its lines, in their order.
  var places: [String: [Int]] {
    var places: [String: [Int]] = [:]
    for (number, line) in lines.enumerated() {
      for word in line.words { places[word, default: []].append(number) }
    }
    return places
  }
}

extension JobRecord {
  /// The number of the line.
  var lineNumber: Int { Int(String(Bytes(copying: key).description.dropFirst(5)))! }
}

/// An error of the caller's own.
struct Refusal: Error {}

@Suite("Jobs")
struct JobTests {
  struct Shape: CustomTestStringConvertible, Sendable {
    var workers: Int
    var shards: Int
    var memory = 256 << 20
    var split: Int?
    var flushes = false
    var testDescription: String {
      "\(workers) workers, \(shards) shards, \(memory >> 20) MiB, splits of \(split ?? 0)"
        + (flushes ? ", flushed" : "")
    }
    var options: JobOptions {
      JobOptions(workerCount: workers, memoryByteCount: memory, splitByteCount: split)
    }
  }

  static let shapes = [
    Shape(workers: 1, shards: 1), Shape(workers: 1, shards: 1, split: 3_000, flushes: true),
    Shape(workers: 2, shards: 1, split: 10_000, flushes: true),
    Shape(workers: 7, shards: 16, split: 2_000, flushes: true),
    Shape(workers: 2, shards: 16, split: 5_000),
    Shape(workers: 7, shards: 1, split: 1),
  ]

  private func store(_ shape: Shape, _ text: JobText, in scratch: ScratchDirectory) throws -> Store
  {
    var options = Store.Options(shardCount: shape.shards)
    options.blockByteCount = 512
    let store = try Store.Blocking.open(
      at: scratch.file("store"),
      options: options)
    try text.load(into: store)
    if shape.flushes { try store.blocking.flush() }
    return store
  }

  /// What a reducer makes of each word's lines.
  private func index<Value: JobValue, Output>(
    _ store: Store, _ shape: Shape, _ value: @escaping @Sendable (Int) -> Value,
    _ reducer: Reducer<Value, Output>
  ) throws -> JobResult<Output> {
    try store.blocking.mapReduce(
      over: .scan(), options: shape.options,
      map: { record, emit in
        let number = record.lineNumber
        record.value.forEachWord { emit($0, value(number)) }
      },
      reduce: reducer)
  }

  @Test("named reducers agree with a loop", arguments: shapes)
  func named(_ shape: Shape) throws {
    let scratch = ScratchDirectory()
    let text = JobText(seed: 1, lineCount: 3_000)
    let store = try store(shape, text, in: scratch)
    let places = text.places
    let keys = places.keys.map { Bytes($0) }.sorted()

    func run<Value: JobValue, Output: Equatable>(
      _ value: @escaping @Sendable (Int) -> Value, _ reducer: Reducer<Value, Output>,
      _ expected: ([Int]) -> Output
    ) throws {
      let result = try index(store, shape, value, reducer)
      #expect(result.map(\.key) == keys)
      for element in result {
        #expect(element.value == expected(places[element.key.text!]!), "\(element.key)")
      }
      #expect(result.summary.recordCount == text.lines.count)
      #expect(result.summary.valueCount == text.lines.reduce(0) { $0 + $1.words.count })
      #expect(result.summary.groupCount == keys.count)
      if shape.split == 1 { #expect(result.summary.splitCount > 100) }
    }

    try run({ _ in 1 }, .count) { $0.count }
    try run({ $0 - 1_000 }, .sum) { $0.reduce(0) { $0 + $1 - 1_000 } }
    try run({ $0 - 1_000 }, .min) { $0.min()! - 1_000 }
    try run({ $0 - 1_000 }, .max) { $0.max()! - 1_000 }
    try run({ $0 }, Reducer<Int, Double>.mean) { Double($0.reduce(0, +)) / Double($0.count) }
    try run({ $0 }, .top(3)) { Array($0.sorted(by: >).prefix(3)) }
    try run({ Double($0) / 7 }, .max) { Double($0.max()!) / 7 }
    try run({ Bytes("\($0)") }, .min) { $0.map { Bytes("\($0)") }.min()! }
    try run({ Bytes("\($0)") }, .max) { $0.map { Bytes("\($0)") }.max()! }
    try run({ $0 }, Reducer<Int, Histogram>.histogram.map(\.count)) { $0.count }
    try run({ $0 % 100 }, Reducer<Int, Int>.distinct) { Set($0.map { $0 % 100 }).count }
  }

  @Test(
    "functions of the caller's see values and states in the order of the input", arguments: shapes)
  func closures(_ shape: Shape) throws {
    let scratch = ScratchDirectory()
    let text = JobText(seed: 2, lineCount: 1_500)
    let store = try store(shape, text, in: scratch)
    let places = text.places

    func run<Value: JobValue, Output: Equatable>(
      _ value: @escaping @Sendable (Int) -> Value, _ reducer: Reducer<Value, Output>,
      _ expected: ([Int]) -> Output
    ) throws {
      let result = try index(store, shape, value, reducer)
      #expect(Set(result.map(\.key)) == Set(places.keys.map { Bytes($0) }))
      for element in result {
        #expect(element.value == expected(places[element.key.text!]!), "\(element.key)")
      }
    }

    func joined(_ numbers: [Int]) -> Bytes { Bytes(numbers.map { "\($0)," }.joined()) }
    try run({ Bytes("\($0),") }, .combining { Bytes($0.array + $1.array) }, joined)
    try run({ $0 }, .combining { $0 &+ $1 }) { $0.reduce(0, &+) }
    // The first, and the last: associative, and the order tells.
    try run({ $0 }, .combining { first, _ in first }) { $0.first! }
    try run({ $0 }, .combining { _, last in last }) { $0.last! }
    try run(
      { $0 },
      .folding(Bytes(""), { $0.array += Array("\($1),".utf8) }, merge: { $0.array += $1.array }),
      joined)
    try run({ $0 }, .group { _, values in values.map { $0 } }) { $0 }
    try run({ $0 }, .group { _, values in values.next() }) { $0.first! as Int? }
    try run({ $0 }, .group { _, values in "\(values.reduce(0, +))" }) { "\($0.reduce(0, +))" }
  }

  @Test("a job with little memory gives the same, and puts the rest on disk", arguments: [1, 16])
  func spills(_ shards: Int) throws {
    let scratch = ScratchDirectory()
    let shape = Shape(workers: 2, shards: shards, memory: 1 << 20, split: 20_000, flushes: true)
    let text = JobText(seed: 3, lineCount: 5_000)
    let store = try store(shape, text, in: scratch)
    let map: JobMap<Int> = { record, emit in
      // Nearly every key is a key of its own.
      let number = record.lineNumber
      for copy in 0..<20 { emit(Bytes("\(number * copy) and something to make it longer"), number) }
    }
    let roomy = try store.blocking.mapReduce(
      over: .scan(), map: map, reduce: .group { _, values in values.map { $0 } })
    let narrow = try store.blocking.mapReduce(
      over: .scan(), options: shape.options, map: map,
      reduce: .group { _, values in values.map { $0 } })
    #expect(roomy.summary.spilledByteCount == 0)
    #expect(narrow.summary.spilledByteCount > 0)
    #expect(roomy.map(\.key) == narrow.map(\.key))
    #expect(roomy.map(\.value) == narrow.map(\.value))
    let sums = try store.blocking.mapReduce(
      over: .scan(), options: shape.options, map: map, reduce: .sum)
    #expect(sums.summary.spilledByteCount > 0)
    #expect(sums.map(\.value) == roomy.map { $0.value.reduce(0, +) })
    try store.blocking.close()
    let check = try verify(storeAt: scratch.file("store"))
    #expect(check.isClean)
    #expect(check.noteCount == 0)
  }
}
