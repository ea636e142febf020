// VersionCommand — which turbidite this is.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite version`.
struct VersionCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Say which version this is, and which format it writes.")

  @OptionGroup var global: GlobalOptions

  func run() throws {
    let report = Report(global)
    switch global.reportFormat {
    case .text: try report.write("turbidite \(libraryVersion) (format \(formatVersion))\n")
    case .tsv:
      var table = Table([.words("version"), .words("format")])
      table.add([libraryVersion, "\(formatVersion)"])
      try report.write(table)
    case .json:
      try report.write(
        JSONWriter.document("version/1") { json in
          json.member("version", libraryVersion)
          json.member("format", formatVersion)
        })
    }
    try report.finish()
  }
}
