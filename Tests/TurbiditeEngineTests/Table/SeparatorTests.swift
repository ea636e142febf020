import Testing

@testable import TurbiditeEngine

/// A separator parts its neighbours and no shorter key does.
///
/// Method: every pair of strings of up to three bytes over four bytes that meet each case.
@Suite("Separator")
struct SeparatorTests {
  @Test("it is at or after the last key, before the next, and as short as any such key")
  func shortest() {
    let alphabet: [UInt8] = [0, 1, 2, 255]
    var keys: [[UInt8]] = [[]]
    var longest = keys
    for _ in 0..<3 {
      longest = longest.flatMap { key in alphabet.map { key + [$0] } }
      keys += longest
    }
    keys.sort { $0.lexicographicallyPrecedes($1) }
    for (index, last) in keys.enumerated() {
      for next in keys[(index + 1)...] {
        var separator: [UInt8] = []
        last.withView { last in
          next.withView { appendSeparator(last, before: $0, to: &separator) }
        }
        #expect(!separator.lexicographicallyPrecedes(last), "\(last) \(next) \(separator)")
        #expect(separator.lexicographicallyPrecedes(next), "\(last) \(next) \(separator)")
        let best = keys.lazy.filter {
          !$0.lexicographicallyPrecedes(last) && $0.lexicographicallyPrecedes(next)
        }.map(\.count).min()
        #expect(separator.count <= best ?? 0, "\(last) \(next) \(separator)")
      }
    }
  }
}
