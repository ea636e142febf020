// SystemRandom — random numbers from the kernel.
//
// Room:    System.
// Source:  The standard library's generator, which calls getrandom(2).

/// Unpredictable numbers.
package final class SystemRandom: RandomSource {
  package init() {}

  package func next() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
}
