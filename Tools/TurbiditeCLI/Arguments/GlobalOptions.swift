// GlobalOptions — the flags that every verb has.
//
// Room:    Tools/TurbiditeCLI.
// Limits:  They are accepted before the verb as well: `GlobalOptions.afterVerb` moves them.

import ArgumentParser

/// The form of an answer.
enum ReportFormat: String, Sendable, CaseIterable, ExpressibleByArgument {
  case text
  case json
  case tsv
}

extension Choice: ExpressibleByArgument {}
extension Progress.Wish: ExpressibleByArgument {}
extension RecordFormat: ExpressibleByArgument {}

/// The flags that every verb has.
struct GlobalOptions: ParsableArguments {
  @Flag(help: "Answer in JSON; the same as --format json.")
  var json = false

  @Option(help: "The form of the answer.")
  var format: ReportFormat?

  @Option(help: "Colours: auto looks at the terminal and NO_COLOR.")
  var color = Choice.auto

  @Flag(name: .shortAndLong, help: "Say nothing but data and errors.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "Say more on standard error.")
  var verbose = false

  @Option(help: "The progress line: auto shows it when standard error is a terminal.")
  var progress = Progress.Wish.auto

  mutating func validate() throws {
    if json, let format, format != .json {
      throw ValidationError("--json and --format \(format.rawValue) contradict each other")
    }
    if quiet, verbose { throw ValidationError("--quiet and --verbose contradict each other") }
  }

  /// The form that was asked for, if one was.
  var chosenFormat: ReportFormat? { json ? .json : format }
  /// The form of a report.
  var reportFormat: ReportFormat { chosenFormat ?? .text }

  /// Standard error as these flags want it.
  var console: Console {
    Console(
      loudness: quiet ? .quiet : verbose ? .verbose : .normal,
      style: Style(choice: color, isTerminal: Descriptor.error.isTerminal))
  }

  /// The colours of standard output.
  var style: Style { Style(choice: color, isTerminal: Descriptor.output.isTerminal) }

  /// A progress line.
  func makeProgress(_ title: String, total: UInt64?) -> Progress {
    Progress(
      title: title, total: total, wish: progress, isTerminal: Descriptor.error.isTerminal,
      loudness: console.loudness)
  }

  /// The arguments with the global flags that precede the verb moved behind it.
  ///
  /// The parser gives each flag to the command after whose name it stands; people write both
  /// `turbidite --json info X` and `turbidite info X --json`.
  static func afterVerb(_ arguments: [String]) -> [String] {
    let flags: Set = ["--json", "--quiet", "--verbose", "-q", "-v", "-qv", "-vq"]
    let options: Set = ["--format", "--color", "--progress"]
    var moved: [String] = []
    var index = 0
    while index < arguments.count {
      let argument = arguments[index]
      if options.contains(argument), index + 1 < arguments.count {
        moved.append(contentsOf: arguments[index...index + 1])
        index += 2
      } else if flags.contains(argument)
        || options.contains(where: { argument.hasPrefix($0 + "=") })
      {
        moved.append(argument)
        index += 1
      } else {
        break
      }
    }
    guard !moved.isEmpty, index < arguments.count, !arguments[index].hasPrefix("-") else {
      return arguments
    }
    var end = index + 1
    let parts = [
      ShardsCommand.configuration.commandName: ShardsCommand.parts,
      JobsCommand.configuration.commandName: JobsCommand.parts,
    ]
    if end < arguments.count, parts[arguments[index]]?.contains(arguments[end]) == true {
      end += 1
    }
    return arguments[index..<end] + moved + arguments[end...]
  }
}

/// A command with the global flags.
protocol Verb: ParsableCommand {
  /// The global flags.
  var global: GlobalOptions { get }
}

extension GlobalOptions {
  /// Standard error before any flag is known.
  static var plainConsole: Console {
    Console(
      loudness: .normal, style: Style(choice: .auto, isTerminal: Descriptor.error.isTerminal))
  }
}
