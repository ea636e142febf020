// WriterPaceTests — what is left of flushes is told, and writers keep the pace that they are given.

import Testing
import TurbiditeSimulation

@testable import TurbiditeEngine

@Suite("Pace of writers")
struct WriterPaceTests {
  @Test("of flushes is left what their rate so far says, and nothing when they have ended")
  func progress() {
    var progress = FlushProgress()
    #expect(progress.restNanoseconds == 0)
    progress.begin(64 << 20, now: 1_000)
    #expect(progress.restNanoseconds == 0, "no rate is known")
    progress.advance(1 << 19, now: 2_000)
    #expect(progress.restNanoseconds == 0, "half a MiB says nothing")
    // Two nanoseconds a byte.
    progress.advance(32 << 20 - 1 << 19, now: 1_000 + 64 << 20)
    #expect(progress.restNanoseconds == UInt64(2 * (80 - 32) << 20))
    // Two at once go twice as fast.
    progress.begin(32 << 20, now: 1_000 + 64 << 20)
    progress.advance(32 << 20, now: 1_000 + 64 << 20)
    #expect(progress.restNanoseconds == UInt64((120 - 64) << 20))
    progress.end(64 << 20, done: 64 << 20)
    #expect(progress.restNanoseconds == UInt64(40 << 20))
    progress.end(32 << 20, done: 0)
    #expect(progress.restNanoseconds == 0)
    // The rate is that of the last until the next has its own; a clock that leaps is not believed.
    progress.begin(1 << 20, now: 0)
    #expect(progress.restNanoseconds == UInt64(1 << 20) * 5 / 4)
    progress.advance(1 << 20, now: .max)
    #expect(progress.restNanoseconds == 60_000_000_000)
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
