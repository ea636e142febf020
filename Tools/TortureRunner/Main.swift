// turbidite-torture — runs a proof with real processes and prints its one line.
//
// Room:    Tools/TortureRunner.
//
// Usage:   turbidite-torture kills DIR ROUNDS SECONDS SEED
//          turbidite-torture repairs DIR ROUNDS SECONDS SEED
//          turbidite-torture streams DIR ROUNDS SECONDS SEED
//          turbidite-torture cuts DIR ROUNDS SECONDS SEED
//          turbidite-torture child STORE SEED PHASE
//
// DIR is made and, when all was well, removed. Exit statuses: 0 nothing lost, or skipped and said
// so; 64 usage; 70 the harness failed; 76 something is wrong with a store.

import Foundation
import TurbiditeTorture

@main
enum TortureRunner {
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    if words.first == "child" { Child.main(Array(words.dropFirst())) }
    guard words.count == 5, let rounds = Int(words[2]), let seconds = Double(words[3]),
      let seed = UInt64(words[4]), ["kills", "repairs", "streams", "cuts"].contains(words[0])
    else {
      print("usage: turbidite-torture kills|repairs|streams|cuts DIR ROUNDS SECONDS SEED")
      exit(64)
    }
    do {
      let own = try ownExecutablePath()
      let settings = ProofSettings(
        rounds: rounds, seconds: seconds, seed: seed, child: [own, "child"], directory: words[1])
      if words[0] == "kills" {
        var proof = KillProof(settings)
        print(try proof.run().line)
      } else if words[0] == "repairs" {
        var proof = RepairProof(settings)
        print(try proof.run().line)
      } else if words[0] == "streams" {
        var proof = StreamProof(settings)
        print(try proof.run().line)
      } else {
        try cuts(settings, own, words)
      }
      try removeDirectory(settings.directory)
    } catch {
      print("\(words[0]): FAILED: \(error)")
      exit(76)
    }
  }

  private static func cuts(_ settings: ProofSettings, _ own: String, _ words: [String]) throws {
    if let obstacle = CutFileSystem.obstacle { return print("power cuts: skipped, \(obstacle)") }
    let inside = "TURBIDITE_TORTURE_NAMESPACE"
    if ProcessInfo.processInfo.environment[inside] == nil {
      // Mounts in a namespace of our own are gone when we are.
      setenv(inside, "1", 1)
      let line = ["unshare", "--mount", "--propagation", "private", own] + words
      var list: [UnsafeMutablePointer<CChar>?] = line.map { strdup($0) } + [nil]
      execvp("unshare", &list)
      return print("power cuts: skipped, unshare could not be run (\(errno))")
    }
    let kinds = CutFileSystem.allCases.filter(\.isAvailable)
    for kind in CutFileSystem.allCases where !kinds.contains(kind) {
      print("power cuts, \(kind.rawValue): skipped, its mkfs is not installed")
    }
    for (index, kind) in kinds.enumerated() {
      var share = settings
      share.rounds =
        settings.rounds * (index + 1) / kinds.count - settings.rounds * index / kinds.count
      share.seconds = settings.seconds / Double(kinds.count)
      var proof = try CutProof(kind, share)
      print(try proof.run().line)
    }
  }
}
