// TextFile — small facts of a job in files of lines, whole or not at all.
//
// Room:    ProgramJobs.
// Format:  FORMAT.md section 9: a name, a tab, a value, with C's escapes; the last line is `end`
//          and a checksum.

import Turbidite
import TurbiditeEngine
import TurbiditeSystem

/// Lines of a name and a value.
enum TextFile {
  /// More is no file of ours.
  private static let largestByteCount: UInt64 = 256 << 20

  static func text(of fields: [(name: String, value: String)]) -> String {
    let text = fields.map { "\(escaped($0.name))\t\(escaped($0.value))\n" }.joined()
    return text + "end\t\(checksum(of: text))\n"
  }

  private static func checksum(of text: String) -> String {
    String(Bytes(text).withBytes { FieldScan.hash(of: $0) }, radix: 16)
  }

  /// Writes a file under its final name, durably.
  static func write(
    _ fields: [(name: String, value: String)], to path: String, in fileSystem: any FileSystem
  ) throws(StoreError) {
    let temporary = path + ".new"
    let bytes = Bytes(text(of: fields))
    do throws(SystemError) {
      do throws(SystemError) { try fileSystem.remove(temporary) } catch {
        guard error.isAbsent else { throw error }
      }
      let file = try fileSystem.open(temporary, .create)
      try bytes.withBytes { span throws(SystemError) in try file.write(span, at: 0) }
      try file.sync()
      try fileSystem.rename(temporary, to: path)
      try fileSystem.syncDirectory("")
    } catch { throw StoreError(error) }
  }

  /// Reads a file; nil where there is none.
  static func read(
    _ path: String, in fileSystem: any FileSystem
  ) throws(StoreError) -> [(name: String, value: String)]? {
    let file: any File
    let byteCount: UInt64
    do throws(SystemError) {
      file = try fileSystem.open(path, .read)
      byteCount = try file.size()
    } catch {
      if error.isAbsent { return nil }
      throw StoreError(error)
    }
    func damage(_ finding: String) -> StoreError {
      .corrupt(Damage(file: path, offset: 0, finding: finding))
    }
    guard byteCount <= largestByteCount else { throw damage("\(byteCount) bytes") }
    let bytes = try file.bytes(at: 0, atMost: Int(byteCount))
    guard let text = String(validating: bytes, as: UTF8.self) else { throw damage("no text") }
    var fields: [(String, String)] = []
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.popLast() == "", let end = lines.popLast(), end.hasPrefix("end\t") else {
      throw damage("no end")
    }
    guard end.dropFirst(4) == checksum(of: lines.map { $0 + "\n" }.joined()) else {
      throw damage("another checksum")
    }
    for line in lines {
      let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
      guard parts.count == 2, let name = plain(parts[0]), let value = plain(parts[1]) else {
        throw damage("a line that is no name and value: \(line)")
      }
      fields.append((name, value))
    }
    return fields
  }

  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func plain(_ text: Substring) -> String? {
    var result = ""
    var scalars = text.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      guard scalar == "\\" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      switch scalars.next() {
      case "\\": result += "\\"
      case "n": result += "\n"
      case "t": result += "\t"
      case "r": result += "\r"
      default: return nil
      }
    }
    return result
  }
}
