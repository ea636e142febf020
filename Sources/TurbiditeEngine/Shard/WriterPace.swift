// WriterPace — how writers share out the room for memtables while one is flushed.
//
// Room:    Engine/Shard.
// Source:  Token bucket: Turner, "New Directions in Communications", IEEE Communications 24(10),
//          1986.

import TurbiditeSystem

/// What the flushes under way have done, and how fast.
struct FlushProgress {
  private var runningCount = 0
  /// The bytes of their memtables, and how many of these they have come by.
  private var byteCount = 0
  private var doneByteCount = 0
  /// When they began after a time without any, and how many bytes they have come by since.
  private var start: UInt64 = 0
  private var pacedByteCount = 0
  /// How the flushes before these went, until one has ended as they went where this was measured: a
  /// memtable of 64 MiB in a fifth of a second.
  private var expectedNanosecondsPerByte = 3.0
  private var nanosecondsPerByte = 3.0

  /// What is expected counts like so many bytes that these flushes have come by.
  ///
  /// Their first steps alone say little: the log is synced in them, or a thread was waited for.
  private static let expectedByteCount = 8 << 20

  mutating func begin(_ byteCount: Int, now: UInt64) {
    if runningCount == 0 {
      start = now
      pacedByteCount = 0
      nanosecondsPerByte = expectedNanosecondsPerByte
    }
    runningCount += 1
    self.byteCount += byteCount
  }

  mutating func advance(_ byteCount: Int, now: UInt64) {
    doneByteCount += byteCount
    pacedByteCount += byteCount
    let expected = Double(Self.expectedByteCount)
    // A clock that goes backwards tells nothing.
    let passed = Double(now > start ? now - start : 0)
    nanosecondsPerByte =
      (expectedNanosecondsPerByte * expected + passed) / (expected + Double(pacedByteCount))
  }

  /// - Parameter done: what was told of it to ``advance(_:now:)``.
  mutating func end(_ byteCount: Int, done: Int) {
    runningCount -= 1
    self.byteCount -= byteCount
    doneByteCount -= done
    if runningCount == 0 { expectedNanosecondsPerByte = nanosecondsPerByte }
  }

  /// What the flushes under way will still take; 0 where none is.
  ///
  /// When all entries are through, an eighth is left: to sync the table and to install it.
  var restNanoseconds: UInt64 {
    let rest = (1.125 * Double(byteCount) - Double(doneByteCount)) * nanosecondsPerByte
    // A machine that slept in the middle of a flush tells nothing of the next.
    return UInt64(max(0, min(60e9, rest)))
  }
}

/// How much of the room for memtables writers have taken lately; the leader's.
struct WriterPace {
  private var byteCount = 0
  private var last: UInt64 = 0
  private var owedNanoseconds = 0.0

  /// Whether writers were faster than their pace when last looked at.
  var isBehind: Bool { owedNanoseconds > 0 }

  /// What an entry takes in a memtable beside its bytes: sizes and tag, and its place in a leaf.
  static let entryByteCount = 40

  /// The clock is asked once for so many bytes.
  private static let smallestByteCount = 16 << 10

  /// Accounts for `byteCount` bytes, which may take `nanosecondsPerByte` each.
  ///
  /// - Returns: how long the writer must wait to keep that pace.
  mutating func take(
    _ byteCount: Int, nanosecondsPerByte: Double, _ clock: any TimeSource
  ) -> UInt64 {
    self.byteCount += byteCount
    guard self.byteCount >= Self.smallestByteCount else { return 0 }
    let now = clock.monotonicNanoseconds()
    let due = Double(self.byteCount) * nanosecondsPerByte
    let passed = Double(now > last ? now - last : 0)
    owedNanoseconds = min(20e6, max(0, owedNanoseconds + due - passed))
    last = now
    self.byteCount = 0
    // Short sleeps are saved up, because the system cannot keep them; and what is slept counts as
    // time that passed when next looked at.
    return owedNanoseconds > 200e3 ? UInt64(owedNanoseconds) : 0
  }
}
