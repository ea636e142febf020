// Main — the command: its verbs, and how each end becomes an exit status.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite`.
@main
struct TurbiditeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "turbidite",
    abstract: "Look into, fill and mend Turbidite stores.",
    discussion: """
      Data goes to standard output, everything else to standard error. Verbs that only look open \
      the store read-only and write nothing. Exit statuses: 0 done; 1 absent; 64 usage; 65 bad \
      record; 66 no store or file; 69 closed; 70 your program, or a bug; 73 no room; 74 input or \
      output; 75 in use; 76 damage; 77 not permitted; 78 format or configuration; 128 + n ended \
      by signal n.
      """,
    version: libraryVersion,
    groupedSubcommands: [
      CommandGroup(
        name: "Looking",
        subcommands: [
          InfoCommand.self, StatsCommand.self, FilesCommand.self, ShardsCommand.self,
          InspectCommand.self,
        ]),
      CommandGroup(
        name: "Data",
        subcommands: [
          GetCommand.self, PutCommand.self, RemoveCommand.self, ScanCommand.self,
          DumpCommand.self, LoadCommand.self,
        ]),
      CommandGroup(
        name: "Streams",
        subcommands: [
          StreamsCommand.self, AppendCommand.self, TailCommand.self, CursorsCommand.self,
          RetainCommand.self,
        ]),
      CommandGroup(name: "Jobs", subcommands: [MapReduceCommand.self, JobsCommand.self]),
      CommandGroup(name: "Checking", subcommands: [VerifyCommand.self, RepairCommand.self]),
      CommandGroup(name: "Upkeep", subcommands: [CompactCommand.self, CheckpointCommand.self]),
      CommandGroup(
        name: "Proof", subcommands: [TortureCommand.self, TortureChildCommand.self]),
      CommandGroup(name: "Measuring", subcommands: [BenchCommand.self]),
      CommandGroup(name: "Other", subcommands: [VersionCommand.self]),
    ])

  /// Parses, runs, and ends the process.
  static func main() {
    Descriptor.occupyStandard()
    Signals.install()
    if let place = CommandLine.firstNotText {
      end(after: CommandFailure.argumentNotText(place), console: GlobalOptions.plainConsole)
    }
    let arguments = GlobalOptions.afterVerb(Array(CommandLine.arguments.dropFirst()))
    do {
      var command = try parseAsRoot(arguments)
      let console = (command as? any Verb)?.global.console
      do {
        try command.run()
      } catch {
        end(after: error, console: console ?? GlobalOptions.plainConsole)
      }
    } catch {
      end(after: error, console: GlobalOptions.plainConsole)
    }
    // A signal that came after the last look at it.
    if let signal = Signals.pending { Signals.end(by: signal) }
    endProcess(0)
  }

  /// Says what went wrong, and ends with the status that says it too.
  private static func end(after error: any Error, console: Console) -> Never {
    switch error {
    case let error as StoreError:
      for line in Statement(error).lines(style: console.style) { console.emit(line) }
      console.detail(error.particulars)
      endProcess(error.exitStatus)
    case CommandFailure.stated(let statement):
      for line in statement.lines(style: console.style) { console.emit(line) }
      endProcess(statement.status)
    case CommandFailure.absent(let what):
      console.note("turbidite: \(what)")
      endProcess(ExitStatus.notFound)
    case CommandFailure.brokenPipe: Signals.end(by: Signals.brokenPipe)
    case CommandFailure.interrupted:
      if let signal = Signals.pending { Signals.end(by: signal) }
      endProcess(ExitStatus.internalError)
    default: end(afterParsing: error)
    }
  }

  /// Help and versions go to standard output, and its failure counts; the rest is a usage error.
  private static func end(afterParsing error: any Error) -> Never {
    let status = exitCode(for: error).rawValue
    var text = fullMessage(for: error)
    if !text.isEmpty, text.last != "\n" { text += "\n" }
    guard status == 0 else {
      Console.write(text)
      endProcess(status)
    }
    let output = Output.standard()
    do throws(CommandFailure) {
      try output.write(text)
      try output.flush()
    } catch {
      end(after: error, console: GlobalOptions.plainConsole)
    }
    endProcess(0)
  }
}
