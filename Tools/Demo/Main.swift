// Main — the steps that Tools/demo runs, each a process of its own.
//
// Room:    Tools/Demo.

import Foundation
import Turbidite

@main
private enum Demo {
  static func main() {
    do {
      try run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      FileHandle.standardError.write(Data("turbidite-demo: \(error)\n".utf8))
      exit(70)
    }
  }

  private static func run(_ arguments: [String]) throws {
    switch arguments.first {
    case "describe" where arguments.count == 2: try describe(arguments[1])
    case "load" where arguments.count == 3:
      try load(arguments[1], arguments[2], diesHalfWay: false)
    case "load" where arguments.count == 4 && arguments[3] == "--die-half-way":
      try load(arguments[1], arguments[2], diesHalfWay: true)
    case "ask" where arguments.count == 3: try ask(arguments[1], arguments[2])
    case "text" where arguments.count == 2: try printText(arguments[1])
    case "words" where arguments.count == 2: try countWords(arguments[1])
    case "sizes" where arguments.count == 2: try sumSizes(arguments[1])
    case "info" where arguments.count == 2: try showInfo(arguments[1])
    case "verify" where arguments.count == 3: try verify(arguments[1], arguments[2])
    default:
      let usage =
        "usage: turbidite-demo describe|load|ask|text|words|sizes|info|verify ...; see Tools/demo\n"
      FileHandle.standardError.write(Data(usage.utf8))
      exit(64)
    }
  }

  private static func describe(_ sourcePath: String) throws {
    let source = try StanzaFile(path: sourcePath)
    say(
      "\(grouped(source.stanzas.count)) records in \(grouped(source.text.count)) bytes of text.")
    if source.repetitionCount > 0 {
      say("\(grouped(source.repetitionCount)) more repeat one of these and are left out.")
    }
  }
}
