// FilesCommand — every file of a store, also those that nothing refers to.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite files DIR`.
struct FilesCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "files", abstract: "List the files of a store, also those nothing refers to.",
    discussion: "--json gives an object a line.")

  @Argument(help: "The store's directory.") var directory: String
  @OptionGroup var global: GlobalOptions

  func run() throws {
    let files = try inventory(at: directory)
    let report = Report(global)
    if global.reportFormat == .json {
      for file in files {
        try report.write(
          JSONWriter.document("file/1") { json in
            json.member("path", file.path)
            json.member("kind", "\(file.kind)")
            json.member("bytes", file.byteCount)
            json.member("referenced", file.isReferenced)
            json.member("detail", file.detail)
          })
      }
      return try report.finish()
    }
    let isText = global.reportFormat == .text
    var table = Table([
      .words("file"), .words("kind"), .number("bytes"), .words("used"), .words("detail"),
    ])
    for file in files {
      let size = isText ? Numbers.grouped(file.byteCount) : "\(file.byteCount)"
      table.add([
        file.path, "\(file.kind)", size, file.isReferenced ? "yes" : "no", file.detail,
      ])
    }
    try report.write(table)
    let total = files.reduce(UInt64(0)) { $0 &+ UInt64($1.byteCount) }
    let unused = files.count { !$0.isReferenced }
    if isText {
      try report.write(
        "\(Numbers.counted(files.count, "file")), \(Numbers.byteText(total)),"
          + " \(unused) that nothing refers to\n"
      )
    }
    try report.finish()
  }
}
