// LogFrameTests — what a reader of a segment takes for a frame, and what it does not.

import Testing

@testable import TurbiditeEngine

@Suite("Log frame")
struct LogFrameTests {
  private let coder = FrameCoder(
    seed: ChecksumSeed(store: StoreID(high: 1, low: 2), fileNumber: 3))

  /// A frame sealed at `offset`, with `payload` as it lies on disk.
  private func frame(
    _ payload: [UInt8], at offset: Int, syncedPosition: UInt64 = 8
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    FrameCoder.begin(&bytes, entryCount: 2, compressedFrom: nil)
    bytes += payload
    coder.seal(
      &bytes, from: 0, at: UInt64(offset), kind: .commit, firstSequence: 77, isCompressed: false,
      syncedPosition: syncedPosition)
    return bytes
  }

  private func finding(_ bytes: [UInt8], at offset: Int = 0) -> FrameFinding {
    bytes.withView { coder.frame(in: $0, at: offset) }
  }

  @Test("a frame is read where it was written, and nowhere else")
  func wholeFrame() {
    let bytes = frame(Array(1...21), at: 0)
    guard case .frame(let found) = finding(bytes) else {
      Issue.record("the frame is not found")
      return
    }
    #expect(found.byteCount == bytes.count)
    #expect(found.firstSequence == 77)
    #expect(found.endSequence == 79)
    #expect(found.syncedPosition == 8)
    #expect(found.entryCount == 2)
    #expect(found.stored.bytes() == Array(1...21))
    let moved = [UInt8](repeating: 0, count: 64) + bytes
    guard case .bad = finding(moved, at: 64) else {
      Issue.record("a frame that was moved is taken")
      return
    }
  }

  @Test("every changed byte is found")
  func flips() {
    let bytes = frame(Array(1...21), at: 0)
    for (offset, mask) in bytes.indices.flatMap({ offset in [1, 0x80].map { (offset, $0) } }) {
      var changed = bytes
      changed[offset] ^= UInt8(mask)
      guard case .bad = finding(changed) else {
        Issue.record("byte \(offset) ^ \(mask) is not noticed")
        continue
      }
    }
  }

  @Test("every cut is found, also where the length reaches behind the end")
  func cuts() {
    let bytes = frame(Array(1...21), at: 0)
    for count in 1..<bytes.count {
      guard case .bad = finding(Array(bytes.prefix(count))) else {
        Issue.record("a frame cut to \(count) bytes is taken")
        continue
      }
    }
    for length: UInt32 in [21, 23, 1 << 20, 1 << 28, 1 << 29 - 1] {
      var changed = bytes
      changed.store(length | 1 << 29, at: 8)
      guard case .bad = finding(changed) else {
        Issue.record("a length of \(length) is not noticed")
        continue
      }
    }
  }

  /// A frame holds 32 bits of a position, and its reader knows one that is not far from it.
  @Test("a synced position is that nearest to the reader's, wherever in the log")
  func positions() {
    for base: UInt64 in [0, 1 << 33, 1 << 34 - 4, 1 << 34, 1 << 61] {
      for distance: Int64 in [0, 4, -4, 64 << 20, -(64 << 20), 1 << 32, -(1 << 32)] {
        let position = Int64(base) + distance
        guard position >= 0 else { continue }
        let bytes = frame([1, 2], at: 0, syncedPosition: UInt64(position))
        let coder = FrameCoder(seed: coder.seed, near: base)
        guard case .frame(let found) = bytes.withView({ coder.frame(in: $0, at: 0) }) else {
          Issue.record("the frame is not found")
          continue
        }
        #expect(found.syncedPosition == UInt64(position))
      }
    }
  }

  /// A frame behind a hole was written later than what is missing: it must not be reached.
  @Test("zeros are the end, whatever stands behind them")
  func zeros() {
    for hole in stride(from: 40, through: 160, by: 8) {
      let bytes = [UInt8](repeating: 0, count: hole) + frame([1, 2, 3], at: hole)
      guard case .end = finding(bytes) else {
        Issue.record("\(hole) zero bytes are taken for something")
        continue
      }
    }
  }
}
