// WriterPaceTests — what is left of flushes is told, and writers keep the pace that they are given.

import Testing
import TurbiditeSimulation

@testable import TurbiditeEngine

@Suite("Pace of writers")
struct WriterPaceTests {
  private let mebibyte = 1 << 20

  /// Rests in nanoseconds are told apart to a thousandth.
  private func expectRest(_ progress: FlushProgress, _ byteCount: Double, _ pace: Double) {
    let expected = byteCount * pace
    #expect(abs(Double(progress.restNanoseconds) - expected) <= expected / 1_000)
  }

  @Test("of flushes is left what their rate says, and nothing when they have ended")
  func progress() {
    var progress = FlushProgress()
    #expect(progress.restNanoseconds == 0)
    progress.begin(64 * mebibyte, now: 1_000)
    // Nothing is known yet; an eighth is for the end.
    expectRest(progress, Double(72 * mebibyte), 3)
    // Two nanoseconds a byte, beside eight MiB at three.
    progress.advance(32 * mebibyte, now: 1_000 + 64 << 20)
    expectRest(progress, Double(40 * mebibyte), (8 * 3 + 64) / 40)
    // Two at once go twice as fast.
    progress.begin(32 * mebibyte, now: 1_000 + 64 << 20)
    progress.advance(32 * mebibyte, now: 1_000 + 64 << 20)
    expectRest(progress, Double(44 * mebibyte), (8 * 3 + 64) / 72)
    progress.end(64 * mebibyte, done: 64 * mebibyte)
    expectRest(progress, Double(36 * mebibyte), (8 * 3 + 64) / 72)
    progress.end(32 * mebibyte, done: 0)
    #expect(progress.restNanoseconds == 0)
    // What these took is what the next will; a clock that leaps is believed in neither direction.
    progress.begin(mebibyte, now: 1_000)
    expectRest(progress, 1.125 * Double(mebibyte), (8 * 3 + 64) / 72)
    progress.advance(mebibyte / 2, now: .max)
    #expect(progress.restNanoseconds == 60_000_000_000)
    progress.advance(mebibyte / 4, now: 0)
    #expect(progress.restNanoseconds < 1_000_000)
  }

  @Test("a first step that takes long does not hold writers up")
  func firstStep() {
    var progress = FlushProgress()
    progress.begin(64 * mebibyte, now: 0)
    // Ten milliseconds for a quarter of a MiB are forty nanoseconds a byte.
    progress.advance(mebibyte / 4, now: 10_000_000)
    #expect(progress.restNanoseconds < 320_000_000)
  }

  @Test("a writer takes as long as it is given, whatever it would take by itself")
  func pace() {
    for own in [0, 20_000, 90_000] as [UInt64] {
      for batch in [100, 5_000, 120_000] {
        let clock = SimulatedClock(nanoseconds: 5_000_000_000)
        var pace = WriterPace()
        _ = pace.take(1 << 14, nanosecondsPerByte: 1, clock)
        let start = clock.monotonicNanoseconds()
        let count = 120_000_000 / batch
        var longest: UInt64 = 0
        for _ in 0..<count {
          clock.advance(by: own * UInt64(batch) / 120_000)
          let wait = pace.take(batch, nanosecondsPerByte: 1, clock)
          longest = max(longest, wait)
          clock.advance(by: wait)
        }
        // Each batch of 120,000 bytes may take 120 microseconds: the sum is what it may be.
        let passed = Double(clock.monotonicNanoseconds() - start)
        #expect(abs(passed / 120e6 - 1) < 0.01, "\(own) ns, \(batch) bytes: \(passed)")
        #expect(longest < 450_000, "no commit waits for the others")
      }
    }
  }

  @Test("who is slower than the pace never waits, and saves nothing up for later")
  func slow() {
    let clock = SimulatedClock(nanoseconds: 5_000_000_000)
    var pace = WriterPace()
    for _ in 0..<1_000 {
      clock.advance(by: 200_000)
      #expect(pace.take(120_000, nanosecondsPerByte: 1, clock) == 0)
    }
    var waits: UInt64 = 0
    for _ in 0..<10 { waits += pace.take(1_000_000, nanosecondsPerByte: 1, clock) }
    #expect(waits > 0)
  }
}
