// TortureCommand — writers are killed on the user's own disk, and their promises are checked.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite
import TurbiditeTorture

/// `turbidite torture DIR`.
struct TortureCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "torture", abstract: "Kill writers on this disk, and check that nothing is lost.",
    discussion: """
      Makes a directory of its own in DIR, starts itself as a child that writes there, kills it at \
      random moments (and, where strace may trace, at chosen system calls), opens what is left and \
      compares all of it with what had been acknowledged; again and again. A kill is no power cut: \
      what the kernel holds is written all the same. Takes a few megabytes. Exit status 76 when \
      something is wrong; the directory is then kept and named, otherwise it is removed.
      """)

  @Argument(help: "A directory on the disk to be tried.") var directory: String
  @Option(help: "Kills: 1 to 1,000,000.") var rounds = 200
  @Option(help: "Stop after so many seconds: 1 to 1,000,000; no limit when not given.")
  var seconds: Int?
  @Option(help: "The random choices follow from it; 0 or more. Chosen by the clock when not given.")
  var seed: Int?
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    guard (1...1_000_000).contains(rounds) else {
      throw ValidationError("--rounds is 1 to 1000000")
    }
    guard (1...1_000_000).contains(seconds ?? 1) else {
      throw ValidationError("--seconds is 1 to 1000000")
    }
    guard seed ?? 0 >= 0 else { throw ValidationError("--seed is not negative") }
  }

  func run() throws {
    let drawn = UInt64.random(in: 0...UInt64(Int32.max))
    let seed = seed.map(UInt64.init) ?? drawn
    let place = "\(directory)/turbidite-torture-\(String(drawn, radix: 16))"
    let settings = ProofSettings(
      rounds: rounds, seconds: seconds.map(Double.init) ?? .infinity, seed: seed,
      child: [try ownExecutablePath(), TortureChildCommand.name], directory: place,
      isCancelled: { Signals.pending != nil })
    do throws(DescriptorFailure) { try createDirectory(place) } catch {
      throw CommandFailure.system(error, at: place)
    }
    let summary: KillSummary
    do {
      var proof = KillProof(settings)
      summary = try proof.run()
    } catch let failure as TortureFailure {
      throw CommandFailure.stated(
        Statement(
          status: ExitStatus.corruption, what: failure.description, place: place,
          remedy: "the directory is kept; run again with --seed \(seed)"))
    }
    try removeDirectory(place)
    try Signals.check()
    try report(summary, seed)
  }

  private func report(_ summary: KillSummary, _ seed: UInt64) throws {
    let report = Report(global)
    switch global.reportFormat {
    case .text: try report.write("\(summary.line); seed \(seed)\n")
    case .tsv:
      var table = Table([.words("kills"), .words("exact"), .words("acknowledged"), .words("lost")])
      table.add([
        "\(summary.killCount)", "\(summary.exactKills)", "\(summary.acknowledgements)", "0",
      ])
      try report.write(table)
    case .json:
      try report.write(
        JSONWriter.document("torture/1") { json in
          json.member("seed", Int(clamping: seed))
          json.member("kills", summary.killCount)
          json.member("exact_kills", summary.exactKills)
          json.member("can_trace", summary.canTrace)
          json.member("acknowledgements", summary.acknowledgements)
          json.member("lost", 0)
        })
    }
    try report.finish()
  }
}

/// The child of `turbidite torture`: not for people.
struct TortureChildCommand: ParsableCommand {
  static let name = "torture-child"
  static let configuration = CommandConfiguration(
    commandName: name, abstract: "The writer that torture kills.", shouldDisplay: false)

  @Argument var words: [String]

  func run() throws { Child.main(words) }
}
