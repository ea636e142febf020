// StreamProof — producers and consumers of a stream are killed, and each event counts once.
//
// Room:    Tools/Torture.

import Turbidite
import TurbiditeSimulation

/// What a run of kills came to.
package struct StreamSummary: Sendable {
  package var killCount = 0
  /// Of them, those that died at a chosen system call.
  package var exactKills = 0
  package var acknowledgements = 0
  /// Events found, in the last check of each store.
  package var eventCount = 0
  /// Of them, those that a consumer had counted.
  package var countedCount = 0
  package var storeCount = 1
  package var canTrace = false
  package var seconds = 0.0

  /// One line; nothing that was not done is counted in it.
  package var line: String {
    let exact =
      canTrace ? "\(exactKills) at chosen system calls" : "chosen system calls: skipped, no strace"
    return
      "SIGKILL, streams: \(killCount) kills (\(exact)), \(acknowledgements) acknowledgements;"
      + " \(eventCount) events in \(storeCount) stores, \(countedCount) of them counted by"
      + " consumers; lost, doubled, out of order or counted twice: 0; \(Int(seconds)) s"
  }
}

/// Kills children that append to a stream and count its events, and checks after each.
///
/// Method: of each producer every event up to its next number is there once, and those of a key are
///         in their order; the number is at least the last one acknowledged; offsets are dense; and
///         what consumers counted of a key is the number of its events before the cursor.
package struct StreamProof {
  private let settings: ProofSettings
  private let random: SeededRandom
  private let tracer: Tracer?
  private var summary = StreamSummary()
  private var acknowledged = [0, 0]
  private var found = (events: 0, counted: 0)

  package init(_ settings: ProofSettings) {
    self.settings = settings
    random = SeededRandom(seed: settings.seed)
    tracer = Tracer.find()
    summary.canTrace = tracer != nil
  }

  private var path: String { "\(settings.directory)/store-\(summary.storeCount)" }

  /// Runs until the kills are done or the time is over.
  ///
  /// - Throws: ``TortureFailure``, with the directory kept.
  package mutating func run() throws -> StreamSummary {
    let (start, deadline) = (ProofSettings.now, settings.deadline)
    try makeDirectory(settings.directory)
    while summary.killCount < settings.rounds, ProofSettings.now < deadline,
      !settings.isCancelled()
    {
      do {
        try round()
      } catch {
        throw TortureFailure(
          "kill \(summary.killCount + 1), seed \(settings.seed), store \(path): \(error);"
            + " acknowledged before it: \(acknowledged)")
      }
    }
    summary.eventCount += found.events
    summary.countedCount += found.counted
    summary.seconds = ProofSettings.now - start
    return summary
  }

  private mutating func round() throws {
    if random.isOne(in: 25) {
      try removeDirectory(path)
      summary.eventCount += found.events
      summary.countedCount += found.counted
      summary.storeCount += 1
      acknowledged = [0, 0]
      found = (0, 0)
    }
    let plain = settings.child + [path, "\(random.next() >> 1)", Child.streamWord]
    let isExact = tracer != nil && random.below(10) < 3
    let words = isExact ? tracer?.words(killing: plain, random) ?? plain : plain
    let child = try ChildProcess(words, scratch: settings.directory)
    if isExact {
      child.listen(milliseconds: 500)
    } else if child.listenForOpening(milliseconds: 5000) {
      child.listen(milliseconds: random.below(60))
    }
    let wasFirst = child.hasClosed
    let end = try child.end()
    try require(end.wasKilled, "the child ended by itself: \(end.explanation)")
    summary.killCount += 1
    if isExact && wasFirst { summary.exactKills += 1 }
    for sentence in end.sentences where [.buffered, .synced].contains(sentence.kind) {
      summary.acknowledgements += 1
      acknowledged[sentence.lane] = max(acknowledged[sentence.lane], sentence.number)
    }
    try check(mode: random.isOne(in: 2) ? .readOnly : .existing)
  }

  private mutating func check(mode: Store.Mode) throws {
    let store: Store
    do throws(StoreError) {
      store = try Store.Blocking.open(at: path, mode: mode, options: Workload.options)
    } catch {
      if case .noStore = error { return try require(acknowledged == [0, 0], "the store is gone") }
      throw error
    }
    if try store.blocking.streams().isEmpty {
      try require(acknowledged == [0, 0], "the stream is gone")
      return try store.blocking.close()
    }
    let stream = try store.blocking.stream(StreamWorkload.streamName)
    let cursor = try EventCursor(StreamWorkload.cursorName, of: stream)
    let reached = try store.blocking.offsets(of: cursor)
    var numbers: [Set<Int>] = [[], []]
    var counts: [Bytes: Int] = [:]
    found = (0, 0)
    for partition in 0..<stream.partitionCount {
      let place = reached[partition] ?? 0
      var last: [String: Int] = [:]
      var offset: UInt64 = 0
      let scan = try store.blocking.events(of: stream, partition: partition)
      while let event = try scan.next() {
        try require(event.position.offset == offset, "\(event.position) where \(offset) was due")
        offset += 1
        let parts = (event.value.text ?? "").split(separator: "/").compactMap { Int($0) }
        try require(parts.count == 2, "an event is \(event.value)")
        let key = StreamWorkload.key(parts[1])
        try require(event.key == key, "event \(event.value) has the key \(event.key ?? "")")
        try require(
          numbers[parts[0]].insert(parts[1]).inserted, "\(event.value) is there twice")
        let name = "\(parts[0]) \(key)"
        try require(last[name] ?? -1 < parts[1], "\(event.value) lies behind \(last[name] ?? -1)")
        last[name] = parts[1]
        if event.position.offset < place { counts[key, default: 0] += 1 }
      }
      try require(place <= offset, "the cursor stands at \(place) of \(offset)")
      found.events += Int(offset)
      found.counted += Int(place)
    }
    for (lane, name) in StreamWorkload.producerNames.enumerated() {
      let next = Int(try store.blocking.nextNumber(of: try EventProducer(name, of: stream)))
      try require(next >= acknowledged[lane], "\(name) is at \(next) of \(acknowledged[lane])")
      try require(numbers[lane] == Set(0..<next), "\(name) is at \(next), with other events")
      acknowledged[lane] = next
    }
    for number in 0..<StreamWorkload.keyCount {
      let key = StreamWorkload.key(number)
      let counted = try store.blocking.get(StreamWorkload.countKey(key))?.text ?? "0"
      try require(
        counted == "\(counts[key] ?? 0)", "\(counted) of \(key) counted, not \(counts[key] ?? 0)")
    }
    try store.blocking.close()
  }
}
