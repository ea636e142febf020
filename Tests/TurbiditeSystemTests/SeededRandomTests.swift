import Testing
import TurbiditeSimulation
import TurbiditeSystem

@Suite("Randomness and clocks")
struct SeededRandomTests {
  @Test("xoshiro256** and SplitMix64 give the numbers of their authors' programs")
  func vectors() {
    var xoshiro = Xoshiro256(1, 2, 3, 4)
    let expected: [UInt64] = [
      11520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360,
    ]
    #expect((0..<5).map { _ in xoshiro.next() } == expected)
    var split = SplitMix64(state: 1_234_567)
    #expect(
      (0..<3).map { _ in split.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      ])
  }

  @Test("A seed gives one sequence, and another seed another")
  func seeds() {
    func draws(_ seed: UInt64) -> [UInt64] {
      let random = SeededRandom(seed: seed)
      return (0..<100).map { _ in random.next() }
    }
    #expect(draws(1) == draws(1))
    #expect(Set(draws(1) + draws(2)).count == 200)
    #expect(SystemRandom().next() != SystemRandom().next())
  }

  @Test("Draws below a bound are below it, and reach all of it about equally often")
  func below() {
    let random = SeededRandom(seed: 5)
    for bound in [1, 2, 3, 7, 10] {
      var counts = [Int](repeating: 0, count: bound)
      for _ in 0..<bound * 1000 { counts[random.below(bound)] += 1 }
      #expect(counts.allSatisfy { abs($0 - 1000) < 200 }, "\(bound): \(counts)")
    }
    for _ in 0..<100 { #expect(random.below(.max) >= 0) }
  }

  @Test("A manual clock moves when told, never back, and its wall follows or jumps")
  func manualClock() {
    let clock = SimulatedClock(nanoseconds: 5, wallSeconds: 100)
    clock.sleep(nanoseconds: 2_000_000_000)
    clock.advance(to: 7)
    #expect(clock.monotonicNanoseconds() == 2_000_000_005)
    #expect(clock.wallSeconds() == 102)
    clock.setWall(seconds: 50)
    clock.advance(by: .max)
    #expect(clock.monotonicNanoseconds() == .max)
    #expect(clock.wallSeconds() > 50)
  }

  @Test("The system's clock goes on, and a sleep lasts at least as long as asked")
  func systemClock() {
    let clock = SystemClock()
    let before = clock.monotonicNanoseconds()
    clock.sleep(nanoseconds: 1_000_000)
    #expect(clock.monotonicNanoseconds() >= before + 1_000_000)
    #expect(clock.wallSeconds() > 1_700_000_000)
  }
}
