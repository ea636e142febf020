// FormatVectorTests — the test vectors of FORMAT.md.

import Testing

@testable import TurbiditeEngine

/// What FORMAT.md computes by hand, the code computes, too.
@Suite("Format vectors")
struct FormatVectorTests {
  @Test("the checksum of section 2.4")
  func checksum() {
    let seed = ChecksumSeed(store: StoreID(high: 1, low: 2), fileNumber: 3)
    #expect(seed.at(0) == 0x5ef7_2a52_7f10_82a6)
    #expect(seed.at(64) == 0x1936_d86c_158f_e766)
    #expect(Array("abc".utf8).withView { $0.hash(seed: seed.at(64)) } == 0x9561_9623_ec13_d8b0)
  }

  @Test("the slots of section 5")
  func slots() {
    for (key, slot) in [("a", 3692), ("boat/17", 3690), ("user0001", 122)] {
      #expect(Array(key.utf8).withView { $0.hash() >> 52 } == UInt64(slot))
    }
  }
}
