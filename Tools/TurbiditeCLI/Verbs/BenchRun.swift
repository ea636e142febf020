// BenchRun — workloads on a store of our own, timed call by call.
//
// Room:    Tools/TurbiditeCLI.
// Limits:  One thread. The suite that compares with other engines is in Benchmarks.

import Turbidite
import TurbiditeTorture

/// What `turbidite bench` can run.
enum BenchWorkload: String, Sendable, CaseIterable {
  case fillseq
  case fillrandom
  case overwrite
  case fillsync
  case compact
  case readrandom
  case readmissing
  case readseq
  case readreverse
  case seekrandom
  case ingest

  /// Whether it begins with an empty store.
  var fills: Bool { [.fillseq, .fillrandom, .ingest].contains(self) }

  /// Whether it is about keys that are there.
  var drawsKeys: Bool {
    [.overwrite, .fillsync, .readrandom, .readmissing, .seekrandom].contains(self)
  }

  /// What runs without a choice.
  static let usual: [BenchWorkload] = [
    .fillseq, .fillrandom, .overwrite, .fillsync, .readrandom, .readmissing, .readseq, .readreverse,
    .seekrandom, .compact, .readrandom, .readseq,
  ]
}

/// What a workload measured.
struct BenchResult: Sendable {
  var workload: BenchWorkload
  /// Calls, or entries of a scan.
  var operationCount: UInt64
  /// Bytes of keys and values.
  var byteCount: UInt64
  var elapsed: Duration
  /// What single calls took; empty where they are not timed.
  var latencies = Latencies()
}

/// What calls took, in nanoseconds.
struct Latencies: Sendable {
  /// So many are kept: beyond that every second one, then every fourth and so on.
  private let sampleLimit: Int
  private var samples: [UInt64] = []
  private var interval: UInt64 = 1
  private(set) var count: UInt64 = 0
  private(set) var longest: UInt64 = 0

  init(sampleLimit: Int = 1 << 22) { self.sampleLimit = sampleLimit }

  mutating func add(_ duration: Duration) {
    let parts = duration.components
    let nanoseconds =
      UInt64(clamping: parts.seconds) &* 1_000_000_000
      &+ UInt64(clamping: parts.attoseconds / 1_000_000_000)
    longest = max(longest, nanoseconds)
    if count % interval == 0 { samples.append(nanoseconds) }
    count += 1
    if samples.count == sampleLimit {
      samples = stride(from: 0, to: samples.count, by: 2).map { samples[$0] }
      interval *= 2
    }
  }

  /// The latencies that these shares of all calls stay within; nil without any.
  func percentiles(_ shares: [Double]) -> [UInt64]? {
    guard !samples.isEmpty else { return nil }
    let sorted = samples.sorted()
    return shares.map { sorted[min(sorted.count - 1, Int(Double(sorted.count) * $0))] }
  }
}

/// Runs workloads one after the other, each on what the ones before have left.
struct BenchRun {
  /// What the user chose.
  struct Settings {
    var recordCount: UInt64
    var valueByteCount: Int
    var seed: UInt64
    /// The longest that a workload of synced puts goes on.
    var syncSeconds = 5.0
  }

  private let settings: Settings
  private let directory: String
  private let global: GlobalOptions
  private var store: Store
  private var storeNumber = 0
  private var keys = KeyOrder.random
  /// What is in the store: records from 0 on, or lines of the user's.
  private var recordCount: UInt64 = 0
  private var wasFilled = false
  private var holdsLines = false
  private var random: UInt64

  /// Whether keys follow the numbers of records.
  private enum KeyOrder {
    case ascending
    case random
  }

  /// Begins in `directory`, which exists and is the run's own.
  init(_ settings: Settings, in directory: String, _ global: GlobalOptions) throws(StoreError) {
    self.settings = settings
    self.directory = directory
    self.global = global
    random = settings.seed
    store = try Store.Blocking.open(at: "\(directory)/store-0", mode: .create)
  }

  /// Closes what is open.
  func end() throws(StoreError) { try store.blocking.close() }

  /// Runs one workload.
  ///
  /// - Parameter lines: for `ingest`: the user's file.
  mutating func run(_ workload: BenchWorkload, lines: Input?) throws -> BenchResult {
    if workload.fills {
      try startOver()
    } else if !wasFilled {
      global.console.note("\(workload.rawValue): the store is filled for it first")
      _ = try run(.fillrandom, lines: nil)
    }
    if recordCount == 0, workload.drawsKeys {
      throw CommandFailure.usage("\(workload.rawValue): there are no lines to work on")
    }
    switch workload {
    case .fillseq, .fillrandom:
      keys = workload == .fillseq ? .ascending : .random
      let result = try put(workload) { $0 }
      recordCount = settings.recordCount
      return result
    case .overwrite:
      return try put(workload) { [recordCount] number in Self.mix(number) % recordCount }
    case .fillsync: return try putSynced()
    case .compact:
      return try timed(workload, count: 1) { store, _ in
        try store.compact()
        return 0
      }
    case .readrandom: return try get(workload, isPresent: true)
    case .readmissing: return try get(workload, isPresent: false)
    case .readseq: return try walk(workload, reverse: false)
    case .readreverse: return try walk(workload, reverse: true)
    case .seekrandom: return try seek()
    case .ingest:
      guard let lines else { throw CommandFailure.usage("ingest needs --data FILE") }
      return try ingest(lines)
    }
  }

  /// An empty store in the place of the one before.
  private mutating func startOver() throws {
    guard wasFilled else { return wasFilled = true }
    try store.blocking.close()
    try removeDirectory("\(directory)/store-\(storeNumber)")
    storeNumber += 1
    store = try Store.Blocking.open(at: "\(directory)/store-\(storeNumber)", mode: .create)
    recordCount = 0
    holdsLines = false
  }

  // MARK: - Workloads

  private func put(
    _ workload: BenchWorkload, _ number: (UInt64) -> UInt64
  ) throws -> BenchResult {
    try timed(workload, count: settings.recordCount) { store, index in
      let record = number(index)
      let (key, value) = (key(record), value(record))
      try store.put(key, value)
      return key.count + value.count
    }
  }

  private func putSynced() throws -> BenchResult {
    try timed(.fillsync, count: settings.recordCount, seconds: settings.syncSeconds) {
      [recordCount] store, index in
      let (key, value) = (key(index % recordCount), value(index % recordCount))
      try store.put(key, value, durability: .synced)
      return key.count + value.count
    }
  }

  private mutating func get(_ workload: BenchWorkload, isPresent: Bool) throws -> BenchResult {
    random = Self.mix(random)
    return try timed(workload, count: recordCount) { [random, recordCount] store, index in
      let record = Self.mix(random ^ index) % recordCount
      var key = key(record)
      if !isPresent { key = Bytes(key.array + [0x7e]) }
      let found = try store.get(key)
      try check(found, isPresent ? record : nil, key)
      return key.count + (found?.count ?? 0)
    }
  }

  /// Ten entries behind a key drawn by chance, a seek and ten steps counting as one call.
  private mutating func seek() throws -> BenchResult {
    random = Self.mix(random)
    return try timed(.seekrandom, count: max(1, recordCount / 10)) {
      [random, recordCount] store, index in
      let scan = try store.scan(
        KeyRange(from: key(Self.mix(random ^ index) % recordCount), to: nil), limit: 11)
      var byteCount = 0
      while let entry = try scan.next() { byteCount += entry.key.count + entry.value.count }
      return byteCount
    }
  }

  private func walk(_ workload: BenchWorkload, reverse: Bool) throws -> BenchResult {
    var progress = global.makeProgress(workload.rawValue, total: recordCount)
    let now = Progress.clock()
    let scan = try store.blocking.scan(reverse: reverse)
    var (count, byteCount) = (UInt64(0), UInt64(0))
    while let entry = try scan.next() {
      count += 1
      byteCount += UInt64(entry.key.count + entry.value.count)
      if count % 1024 == 0 {
        try Signals.check()
        progress.update(records: count, bytes: byteCount, position: count)
      }
    }
    progress.clear()
    guard count == recordCount else {
      throw CommandFailure.stated(
        Statement(
          status: ExitStatus.corruption, what: "a scan found \(count) of \(recordCount) records",
          place: directory, remedy: "this is a bug: keep the directory and report it"))
    }
    return BenchResult(
      workload: workload, operationCount: count, byteCount: byteCount, elapsed: now())
  }

  /// Each line is a value; its number, with zeros before it, is the key.
  private mutating func ingest(_ lines: Input) throws -> BenchResult {
    var progress = global.makeProgress("ingest", total: lines.descriptor.regularByteCount)
    let now = Progress.clock()
    var (count, byteCount) = (UInt64(0), UInt64(0))
    var latencies = Latencies()
    var isAtEnd = false
    while !isAtEnd {
      var batch = Store.Batch()
      while batch.byteCount < Loader.batchByteCount {
        guard let line = try lines.nextLine(escapedBy: 1) else {
          isAtEnd = true
          break
        }
        batch.put(ascendingKey(count), Bytes(Array(lines.buffer[line.range])))
        count += 1
        byteCount += UInt64(16 + line.range.count)
      }
      let begin = ContinuousClock.now
      try store.blocking.commit(batch)
      latencies.add(begin.duration(to: .now))
      try Signals.check()
      progress.update(records: count, bytes: byteCount, position: lines.taken)
    }
    progress.clear()
    recordCount = count
    holdsLines = true
    return BenchResult(
      workload: .ingest, operationCount: count, byteCount: byteCount, elapsed: now(),
      latencies: latencies)
  }

  /// Calls `body` with numbers from 0 on, `count` times or for so many seconds.
  ///
  /// - Parameter body: returns the bytes of keys and values that went through the call.
  private func timed(
    _ workload: BenchWorkload, count: UInt64, seconds: Double = .infinity,
    _ body: (Store.Blocking, UInt64) throws -> Int
  ) throws -> BenchResult {
    var progress = global.makeProgress(workload.rawValue, total: count)
    progress.noun = "operation"
    var latencies = Latencies()
    var byteCount: UInt64 = 0
    let blocking = store.blocking
    let now = Progress.clock()
    var before = ContinuousClock.now
    for index in 0..<count {
      byteCount += UInt64(try body(blocking, index))
      let after = ContinuousClock.now
      latencies.add(before.duration(to: after))
      before = after
      if index % 256 == 255 || workload == .fillsync {
        try Signals.check()
        progress.update(records: index + 1, bytes: byteCount, position: index + 1)
        if Numbers.seconds(now()) > seconds { break }
      }
    }
    let elapsed = now()
    progress.clear()
    return BenchResult(
      workload: workload, operationCount: latencies.count, byteCount: byteCount, elapsed: elapsed,
      latencies: latencies)
  }

  // MARK: - Records

  /// Sixteen bytes.
  private func key(_ record: UInt64) -> Bytes {
    keys == .random && !holdsLines
      ? Bytes(Numbers.hexadecimal(Self.mix(record), width: 16)) : ascendingKey(record)
  }

  private func ascendingKey(_ record: UInt64) -> Bytes {
    let digits = String(record)
    return Bytes(String(repeating: "0", count: max(0, 16 - digits.utf8.count)) + digits)
  }

  /// Of which the second half repeats, so that it compresses.
  private func value(_ record: UInt64) -> Bytes {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(settings.valueByteCount)
    var state = record &+ settings.seed
    while bytes.count < settings.valueByteCount / 2 {
      state = Self.mix(state)
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: state >> UInt64(8 * shift))) }
    }
    bytes.removeLast(max(0, bytes.count - settings.valueByteCount / 2))
    let filler = bytes.first ?? 0x20
    while bytes.count < settings.valueByteCount { bytes.append(filler) }
    return Bytes(bytes)
  }

  private func check(_ found: Bytes?, _ record: UInt64?, _ key: Bytes) throws(CommandFailure) {
    let isRight = holdsLines ? (found == nil) == (record == nil) : found == record.map(value)
    guard isRight else {
      throw .stated(
        Statement(
          status: ExitStatus.corruption, what: "a get of \(key) gave a value that was never put",
          place: directory, remedy: "this is a bug: keep the directory and report it"))
    }
  }

  /// Different for different numbers: SplitMix64's output function (Steele, Lea and Flood, OOPSLA
  /// 2014, figure 17).
  private static func mix(_ number: UInt64) -> UInt64 {
    var value = number &+ 0x9E37_79B9_7F4A_7C15
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
