// LogCompressionTests — which long frames are compressed while no disk is waited for.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

@Suite("Compression of long frames")
struct LogCompressionTests {
  @Test("frames that shrink are all compressed, others are tried ever less often")
  func pauses() {
    var trials = CompressionTrials()
    func framesTried(_ count: Int, shrink: Bool) -> [Int] {
      (0..<count).filter { _ in
        guard trials.isDue() else { return false }
        trials.note(shrink)
        return true
      }
    }
    #expect(framesTried(100, shrink: true).count == 100)
    let tried = framesTried(400, shrink: false)
    #expect(Array(tried.prefix(5)) == [0, 2, 5, 10, 19])
    #expect(zip(tried, tried.dropFirst()).map { $1 - $0 }.max() == 65)
    // The first that is tried and shrinks ends it.
    let last = framesTried(200, shrink: true)
    #expect(last.count >= 200 - 65)
    #expect(last.last == 199)
  }

  /// Of each frame of the log, whether it is compressed.
  private func frames(of store: Store, on machine: SimulatedMachine) throws -> [Bool] {
    var frames: [Bool] = []
    for number in try #require(store.engine.log).segmentNumbers {
      let file = try machine.disk.open(FileNames.logSegment(number), .read)
      let segment = try LogSegmentReader(file, number: number, store: store.engine.store)
      _ = try segment.walk { (frame) throws(StoreError) in
        if frame.kind == .commit { frames.append(frame.isCompressed) }
      }
    }
    return frames
  }

  @Test("what repeats itself is compressed in the log, what does not is not, and both are replayed")
  func inLog() throws {
    let machine = SimulatedMachine(seed: 1)
    let random = SeededRandom(seed: 1)
    let store = try machine.open()
    let noise = (0..<60).map { _ in
      (0..<10_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    for (number, bytes) in noise.enumerated() {
      try store.blocking.put(Bytes("noise\(number)"), Bytes(bytes))
    }
    for number in 0..<120 {
      try store.blocking.put(Bytes("same\(number)"), Bytes([UInt8](repeating: 7, count: 10_000)))
    }
    let compressed = try frames(of: store, on: machine)
    #expect(compressed.count == 180)
    #expect(!compressed.prefix(60).contains(true))
    #expect(!compressed.suffix(50).contains(false))
    store.engine.abandon()
    let again = try machine.open(Store.Options(), mode: .existing)
    for (number, bytes) in noise.enumerated() {
      #expect(try again.blocking.get(Bytes("noise\(number)")) == Bytes(bytes))
    }
    for number in 0..<120 {
      let value = try again.blocking.get(Bytes("same\(number)"))
      #expect(value == Bytes([UInt8](repeating: 7, count: 10_000)))
    }
    try again.blocking.close()
  }
}
