// LogFrameTests — what a reader of a segment takes for a frame, and what it does not.

import Testing

@testable import TurbiditeEngine

@Suite("Log frame")
struct LogFrameTests {
  private let coder = FrameCoder(
    seed: ChecksumSeed(store: StoreID(high: 1, low: 2), fileNumber: 3))

  /// A frame sealed at `offset`, with `payload` as it lies on disk.
  private func frame(_ payload: [UInt8], at offset: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: LogFrame.headerByteCount) + payload
    coder.seal(
      &bytes, from: 0, at: UInt64(offset), kind: .commit, firstSequence: 77, entryCount: 2,
      rawByteCount: payload.count, isCompressed: false, syncedPosition: 5)
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
    #expect(found.syncedPosition == 5)
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
    for length: UInt32 in [22, 1 << 20, 1 << 28, .max] {
      var changed = bytes
      changed.store(length, at: 8)
      guard case .bad = finding(changed) else {
        Issue.record("a length of \(length) is not noticed")
        continue
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
