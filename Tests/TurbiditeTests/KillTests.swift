// KillTests — a real process writes to a real disk and is killed at any moment.

import Foundation
import Testing
import TurbiditeTorture

@testable import Turbidite

/// SIGKILL at any instant loses nothing that was acknowledged, and leaves no batch half there.
///
/// Method: `turbidite-torture child` runs four writers, each with a counter, over one store, and
///         says through a pipe which commits have returned. It is killed at random moments and,
///         where strace may trace, as it enters a chosen system call, while it opens, recovers,
///         writes, flushes or compacts. The whole contents follow from the counters and are
///         compared; each counter must be the last one acknowledged, or the one after it, which was
///         in flight. Stores grow over many rounds.
@Suite("Kill", .serialized)
struct KillTests {
  @Test("a store whose writer was killed holds every acknowledged batch, and whole ones only")
  func kill() throws {
    let rounds = environmentCount("TURBIDITE_KILL_ROUNDS", default: 200)
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let scratch = ScratchDirectory()
    var proof = KillProof(
      ProofSettings(
        rounds: rounds, seed: seed, child: [buildProduct("turbidite-torture"), "child"],
        directory: scratch.file("kills")))
    let summary = try proof.run()
    #expect(summary.killCount == rounds)
    print(summary.line)
  }
}

/// A repair that is killed at any instant leaves a whole new store or none, and the original as is.
@Suite("Repair kill", .serialized)
struct RepairKillTests {
  @Test("a killed repair leaves its result whole or absent, and can be run again")
  func kill() throws {
    let rounds = environmentCount("TURBIDITE_REPAIR_KILL_ROUNDS", default: 40)
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let scratch = ScratchDirectory()
    var proof = RepairProof(
      ProofSettings(
        rounds: rounds, seed: seed, child: [buildProduct("turbidite-torture"), "child"],
        directory: scratch.file("repairs")))
    let summary = try proof.run()
    #expect(summary.killCount == rounds)
    print(summary.line)
  }
}

/// SIGKILL at any instant neither loses nor doubles an event, and consumers count each once.
@Suite("Stream kill", .serialized)
struct StreamKillTests {
  @Test("of killed producers each event is there once, and counted once by killed consumers")
  func kill() throws {
    let rounds = environmentCount("TURBIDITE_STREAM_KILL_ROUNDS", default: 60)
    let seed = UInt64(environmentCount("TURBIDITE_SEED", default: 1))
    let scratch = ScratchDirectory()
    var proof = StreamProof(
      ProofSettings(
        rounds: rounds, seed: seed, child: [buildProduct("turbidite-torture"), "child"],
        directory: scratch.file("streams")))
    let summary = try proof.run()
    #expect(summary.killCount == rounds)
    #expect(summary.eventCount > rounds && summary.countedCount > rounds)
    print(summary.line)
  }
}

/// A power cut on a real file system takes no synced commit, and leaves a prefix.
///
/// Method: ext4 and XFS in files, on loop devices; the ioctl that shuts a file system down drops
///         what it has not written. The same writers, with durabilities mixed, and the same ledger.
@Suite("Power cut torture", .serialized)
struct PowerCutTortureTests {
  private static let obstacle = CutFileSystem.obstacle

  @Test(
    "after a power cut on ext4 and XFS every synced commit is there, as a prefix of all",
    .enabled(if: obstacle == nil, "power cuts: skipped, \(obstacle ?? "")"))
  func cuts() throws {
    let rounds = environmentCount("TURBIDITE_CUT_ROUNDS", default: 100)
    let seed = environmentCount("TURBIDITE_SEED", default: 1)
    let scratch = ScratchDirectory()
    // The disk below the image is not what is tried; memory is faster where there is some.
    let memory = "/dev/shm"
    let images =
      FileManager.default.isWritableFile(atPath: memory)
      ? "\(memory)/turbidite-cuts-\(UUID().uuidString)" : scratch.file("cuts")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: buildProduct("turbidite-torture"))
    process.arguments = ["cuts", images, "\(rounds)", "600", "\(seed)"]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let said = String(decoding: output, as: UTF8.self)
    print(said, terminator: "")
    #expect(process.terminationStatus == 0, "\(said)")
    let cutCount = said.matches(of: /: (\d+) cuts/).reduce(0) { $0 + (Int($1.output.1) ?? 0) }
    #expect(cutCount >= rounds, "\(said)")
  }
}
