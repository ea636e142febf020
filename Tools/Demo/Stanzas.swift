// Stanzas — the records of the demonstration: paragraphs of a Debian package index.
//
// Room:    Tools/Demo.
// Source:  deb-control(5); Debian Policy § 5.1. Paragraphs are separated by empty lines; a field is
//          "Name: value".
// Limits:  The whole text is held in memory, some 50 MiB.

import Foundation

/// Why the demonstration stops.
struct Disagreement: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}

/// One record: a paragraph about a package, with the key it gets in the store.
struct Stanza {
  /// `pkg/<name>/<version>/<architecture>/<suite>`: the same package may be in several suites.
  var key: String
  /// Where the paragraph lies in the text, without the empty line behind it.
  var range: Range<Int>
}

/// The text file, cut into paragraphs.
struct StanzaFile {
  let text: [UInt8]
  /// In the order of the file.
  let stanzas: [Stanza]
  /// Paragraphs that repeat the key and the bytes of an earlier one.
  let repetitionCount: Int

  init(path: String) throws {
    text = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    var stanzas: [Stanza] = []
    var firstByKey: [String: Int] = [:]
    var repetitionCount = 0
    var suite = "unknown"
    for range in StanzaFile.paragraphs(of: text) {
      let fields = Fields(text[range])
      if let name = fields["Index"] { suite = name }
      guard let name = fields["Package"] else { continue }
      var key = "pkg/\(name)/\(fields["Version"] ?? "-")/\(fields["Architecture"] ?? "-")/\(suite)"
      if let first = firstByKey[key] {
        if text[stanzas[first].range] == text[range] {
          repetitionCount += 1
          continue
        }
        // Two components of one suite describe it differently: both are kept.
        key += "/\(stanzas.count)"
      }
      firstByKey[key] = stanzas.count
      stanzas.append(Stanza(key: key, range: range))
    }
    self.stanzas = stanzas
    self.repetitionCount = repetitionCount
  }

  /// The bytes of a record.
  func bytes(of stanza: Stanza) -> ArraySlice<UInt8> { text[stanza.range] }

  private static func paragraphs(of text: [UInt8]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    var position = 0
    while position < text.count {
      if text[position] == 0x0a, position + 1 == text.count || text[position + 1] == 0x0a {
        if position > start { ranges.append(start..<position + 1) }
        while position < text.count, text[position] == 0x0a { position += 1 }
        start = position
      } else {
        position += 1
      }
    }
    if start < text.count { ranges.append(start..<text.count) }
    return ranges
  }
}

/// The single-line fields of a paragraph.
struct Fields {
  private let paragraph: ArraySlice<UInt8>

  init(_ paragraph: ArraySlice<UInt8>) { self.paragraph = paragraph }

  /// The value of the first field of that name.
  subscript(name: String) -> String? {
    let wanted = Array(name.utf8) + [0x3a]
    for line in paragraph.split(separator: 0x0a) where line.starts(with: wanted) {
      let value = line.dropFirst(wanted.count).drop { $0 == 0x20 || $0 == 0x09 }
      return String(decoding: value, as: UTF8.self)
    }
    return nil
  }
}
