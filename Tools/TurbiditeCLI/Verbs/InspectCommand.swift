// InspectCommand — one file of a store, looked into.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// `turbidite inspect PATH`.
struct InspectCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Look into one log segment, table or manifest.",
    discussion: """
      A damaged file is shown as far as it makes sense, with a mark in each list where it stops \
      doing so. The exit status is 76 then.
      """)

  @Argument(help: "The file.") var path: String
  @Flag(help: "List the blocks, frames or edits.") var blocks = false
  @Flag(help: "List the entries.") var entries = false
  @Flag(help: "Show the first bytes of each damaged place.") var hex = false
  @Option(
    help: ArgumentHelp(
      "Show bytes of the file instead, 256 unless a length is given; 0x starts a hexadecimal.",
      valueName: "offset[:length]"))
  var hexdump: String?
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if let hexdump {
      guard ByteWindow(hexdump) != nil else {
        throw ValidationError("--hexdump takes OFFSET or OFFSET:LENGTH, not \(hexdump)")
      }
      if blocks || entries || hex || global.reportFormat == .json {
        throw ValidationError("--hexdump stands alone")
      }
    }
  }

  func run() throws {
    let report = Report(global)
    if let window = hexdump.flatMap(ByteWindow.init) {
      try dump(window, to: report)
      return try report.finish()
    }
    var options = InspectionOptions()
    options.blocks = blocks
    options.entries = entries
    let inspection: Inspection
    do throws(StoreError) {
      inspection = try inspect(file: path, options: options)
    } catch {
      guard case .noStore(_, let reason) = error else { throw error }
      throw CommandFailure.stated(
        Statement(
          status: error.exitStatus, what: "the file cannot be opened: \(reason)", place: path,
          remedy: "check the path"))
    }
    if global.reportFormat == .json {
      try report.write(json(inspection))
    } else {
      try write(inspection, to: report)
    }
    try report.finish()
    guard inspection.damage.isEmpty else {
      let first = inspection.damage[0]
      let more = inspection.damage.count - 1
      throw CommandFailure.stated(
        Statement(
          status: ExitStatus.corruption,
          what: "damaged: \(first.finding)" + (more > 0 ? ", and \(more) more findings" : ""),
          place: "\(path) at offset \(first.offset)",
          remedy: "keep a copy of the store's directory before anything else"))
    }
  }

  private func write(_ inspection: Inspection, to report: Report) throws(CommandFailure) {
    var properties = Table([.words("property"), .words("value")])
    properties.add(["kind", inspection.kind])
    for property in inspection.properties { properties.add([property.name, property.value]) }
    try report.write(properties)
    for section in inspection.sections {
      try report.write("\n")
      try report.heading(section.title)
      var table = Table(section.columns.map { .words($0) })
      for row in section.rows where row.count == section.columns.count { table.add(row) }
      try report.write(table)
    }
    guard !inspection.damage.isEmpty else { return }
    try report.write("\n")
    try report.heading("damage")
    var table = Table([.number("offset"), .words("finding")])
    for damage in inspection.damage { table.add(["\(damage.offset)", damage.finding]) }
    try report.write(table)
    guard hex else { return }
    for damage in inspection.damage {
      try report.write("\n")
      let start = damage.offset & ~15
      try dump(ByteWindow(offset: start, length: InspectCommand.shownByteCount), to: report)
    }
  }

  /// A header and some: enough to see zeros, text, or another file's bytes in the place.
  private static let shownByteCount: UInt64 = 128

  private func json(_ inspection: Inspection) -> [UInt8] {
    JSONWriter.document("inspection/1") { json in
      json.member("path", path)
      json.member("kind", inspection.kind)
      json.array("properties") { json in
        for property in inspection.properties {
          json.object { json in
            json.member("name", property.name)
            json.member("value", property.value)
          }
        }
      }
      json.array("sections") { json in
        for section in inspection.sections {
          json.object { json in
            json.member("title", section.title)
            json.array("columns") { json in for column in section.columns { json.element(column) } }
            json.array("rows") { json in
              for row in section.rows {
                json.array { json in for cell in row { json.element(cell) } }
              }
            }
          }
        }
      }
      json.array("damage") { json in
        for damage in inspection.damage {
          json.object { json in
            json.member("file", damage.file)
            json.member("offset", damage.offset)
            json.member("finding", damage.finding)
          }
        }
      }
    }
  }

  /// Sixteen bytes a row, read a piece at a time.
  private func dump(_ window: ByteWindow, to report: Report) throws(CommandFailure) {
    let file = try regularFile()
    var offset = window.offset
    var rest = window.length
    while rest > 0 {
      let bytes: [UInt8]
      do throws(DescriptorFailure) {
        bytes = try file.read(at: offset, limit: Int(min(rest, 4096)))
      } catch {
        throw .system(error, at: path)
      }
      if bytes.isEmpty { break }
      for start in stride(from: 0, to: bytes.count, by: 16) {
        let row = Array(bytes[start..<min(start + 16, bytes.count)])
        try report.write(HexDump.row(row, offset: offset + UInt64(start)) + "\n")
      }
      offset += UInt64(bytes.count)
      rest -= UInt64(bytes.count)
      try Signals.check()
    }
    do throws(DescriptorFailure) { try file.close() } catch { throw .system(error, at: path) }
  }

  /// The file, for reading at any offset, which a pipe or a device does not do.
  private func regularFile() throws(CommandFailure) -> Descriptor {
    do throws(DescriptorFailure) {
      let file = try Descriptor.readingWithoutWait(path)
      if file.regularByteCount != nil { return file }
      try file.close()
    } catch {
      throw .system(error, at: path)
    }
    throw .usage("\(path) is no regular file")
  }
}

/// A part of a file, as `OFFSET[:LENGTH]` says it.
struct ByteWindow: Sendable, Hashable {
  var offset: UInt64
  var length: UInt64

  init(offset: UInt64, length: UInt64) {
    self.offset = offset
    self.length = length
  }

  /// nil when the text is no window, or one that no file reaches.
  init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 2, let offset = ByteWindow.number(parts[0]) else { return nil }
    guard let length = parts.count == 2 ? ByteWindow.number(parts[1]) : 256 else { return nil }
    guard offset <= UInt64(Int64.max) - length.clamped else { return nil }
    self.offset = offset
    self.length = length.clamped
  }

  private static func number(_ text: Substring) -> UInt64? {
    if text.hasPrefix("0x") { return hexadecimal(text.dropFirst(2)) }
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt64(text)
  }

  private static func hexadecimal(_ digits: Substring) -> UInt64? {
    guard digits.utf8.allSatisfy({ Digits.value($0) != nil }) else { return nil }
    return UInt64(digits, radix: 16)
  }
}

extension UInt64 {
  /// At most half of what a file can hold, so that a sum with an offset stays in range.
  fileprivate var clamped: UInt64 { Swift.min(self, UInt64(Int64.max) / 2) }
}
