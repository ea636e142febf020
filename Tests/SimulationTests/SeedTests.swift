// SeedTests — many lives of a store, each from one number.

import Dispatch
import Foundation
import Synchronization
import Testing
import TurbiditeSimulation

/// Whatever fails, and whenever the machine stops: an open store shows exactly what was
/// acknowledged, and a reopened one a prefix that holds what was promised.
@Suite("Seeds")
struct SeedTests {
  @Test("random calls, failures and crashes leave no violation")
  func seeds() {
    let count = environmentCount("TURBIDITE_SEEDS", default: 100)
    let first = environmentCount("TURBIDITE_SEED", default: 1)
    let figures = Mutex(SimulationFigures())
    let deadline = Deadline()
    DispatchQueue.concurrentPerform(iterations: count) { index in
      guard !deadline.isOver, figures.withLock({ $0.violations.count < 5 }) else { return }
      let found = Simulation(seed: UInt64(first + index)).run(callCount: 120)
      figures.withLock { $0.add(found) }
    }
    let total = figures.withLock { $0 }
    print("seeds: \(total.line)")
    let rare = total.rarePaths.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    print("seeds: rare paths:", rare.isEmpty ? "none in this build" : rare.joined(separator: ", "))
    for violation in total.violations.prefix(5) { Issue.record("\(violation)") }
  }

  private static func traces(_ seed: UInt64) -> [UInt64] {
    let simulation = Simulation(seed: seed)
    _ = simulation.run(callCount: 80)
    return simulation.traces
  }

  @Test("the same seed gives the same trace of disk operations, another seed another")
  func sameSeedSameTrace() {
    for seed in UInt64(1)...8 {
      #expect(Self.traces(seed) == Self.traces(seed), "seed \(seed)")
      #expect(Self.traces(seed) != Self.traces(seed + 100))
    }
  }

  /// Where a child of `otherProcessSameTrace` is to write its traces.
  private static let traceFile = ProcessInfo.processInfo.environment["TURBIDITE_TRACE_FILE"]

  private static var manyTraces: String {
    (UInt64(1)...8).map { "\($0): \(traces($0))\n" }.joined()
  }

  @Test("a child writes its traces", .enabled(if: traceFile != nil))
  func writeTraces() throws {
    let path = try #require(Self.traceFile)
    try Self.manyTraces.write(toFile: path, atomically: false, encoding: .utf8)
  }

  /// In one process all hashing has one seed, and an order that follows from it looks firm.
  @Test("the same seed gives the same trace in another process, whatever hashing begins with")
  func otherProcessSameTrace() throws {
    let own = Self.manyTraces
    for isDeterministic in [true, false] {
      let path = NSTemporaryDirectory() + "turbidite-traces-" + UUID().uuidString
      defer { unlink(path) }
      let child = Process()
      child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      child.arguments = [
        "--testing-library", "swift-testing", "--filter", "SeedTests/writeTraces",
      ]
      var variables = ProcessInfo.processInfo.environment
      variables["TURBIDITE_TRACE_FILE"] = path
      variables["SWIFT_DETERMINISTIC_HASHING"] = isDeterministic ? "1" : nil
      child.environment = variables
      child.standardOutput = FileHandle.nullDevice
      // Its summary is not to be taken for ours.
      child.standardError = FileHandle.nullDevice
      try child.run()
      child.waitUntilExit()
      #expect(child.terminationStatus == 0)
      let found = try String(contentsOfFile: path, encoding: .utf8)
      #expect(found == own, "deterministic hashing: \(isDeterministic)")
    }
  }
}
