// Questions — what the records say, asked of the store and of the text file.
//
// Room:    Tools/Demo.

import Foundation
import Turbidite

/// The answers to both questions.
private struct Answers: Equatable {
  struct Package: Equatable, Comparable {
    var kibibytes: Int
    var key: String

    static func < (one: Package, other: Package) -> Bool {
      one.kibibytes == other.kibibytes ? one.key > other.key : one.kibibytes < other.kibibytes
    }
  }

  private(set) var packages: [Package] = []
  private(set) var countBySection: [String: Int] = [:]

  mutating func note(key: String, _ stanza: ArraySlice<UInt8>) {
    let fields = Fields(stanza)
    countBySection[fields["Section"] ?? "(none)", default: 0] += 1
    guard let size = fields["Installed-Size"].flatMap({ Int($0) }) else { return }
    packages.append(Package(kibibytes: size, key: key))
    if packages.count >= 4096 { trim() }
  }

  /// Keeps the ten largest.
  mutating func trim() { packages = Array(packages.sorted(by: >).prefix(10)) }

  var sections: [(name: String, count: Int)] {
    countBySection.map { ($0.key, $0.value) }.sorted {
      $0.1 == $1.1 ? $0.0 < $1.0 : $0.1 > $1.1
    }
  }
}

/// Answers both questions by one scan, and checks the answers against the text file's.
func ask(_ sourcePath: String, _ storePath: String) throws {
  let source = try StanzaFile(path: sourcePath)
  let store = try openStore(storePath, mode: .existing)
  var answers = Answers()
  var count = 0
  let beginning = ContinuousClock.now
  let scan = try store.blocking.scan(.prefix("pkg/"))
  while let entry = try scan.next() {
    answers.note(key: entry.key.text ?? entry.key.description, entry.value.array[...])
    count += 1
  }
  answers.trim()
  let seconds = (ContinuousClock.now - beginning) / .seconds(1)
  try store.blocking.close()

  say("A scan walked over \(grouped(count)) records in \(oneDecimal(seconds)) s.")
  say("\nThe ten largest packages, installed:")
  for package in answers.packages {
    let parts = package.key.split(separator: "/")
    let size = "\(grouped(package.kibibytes / 1024)) MiB"
    say("  " + padLeft(size, 12) + "  \(parts[1]) \(parts[2]) (\(parts.last ?? ""))")
  }
  say("\nPackages a section, the first fifteen of \(answers.sections.count):")
  for section in answers.sections.prefix(15) {
    say("  " + padLeft(grouped(section.count), 12) + "  \(section.name)")
  }

  var expected = Answers()
  for stanza in source.stanzas { expected.note(key: stanza.key, source.bytes(of: stanza)) }
  expected.trim()
  guard count == source.stanzas.count else {
    throw Disagreement("the store has \(count) records, the text file \(source.stanzas.count)")
  }
  guard answers == expected else {
    throw Disagreement("the text file gives other answers than the store")
  }
  say("\nThe text file, read without the store, gives the same answers.")
}

/// Gets every record by its key, and scans them all: both must be the source's, byte for byte.
func verify(_ sourcePath: String, _ storePath: String) throws {
  let source = try StanzaFile(path: sourcePath)
  let store = try openStore(storePath, mode: .readOnly)
  var byteCount = 0
  let beginning = ContinuousClock.now
  for stanza in source.stanzas {
    guard let value = try store.blocking.get(Bytes(stanza.key)) else {
      throw Disagreement("\(stanza.key) is missing")
    }
    guard value.array[...] == source.bytes(of: stanza) else {
      throw Disagreement("\(stanza.key) has other bytes than the text file")
    }
    byteCount += value.count
  }
  let seconds = (ContinuousClock.now - beginning) / .seconds(1)
  let rate = Int(Double(source.stanzas.count) / max(seconds, 0.001))
  say("All \(grouped(source.stanzas.count)) records, \(grouped(byteCount)) bytes, are the same")
  say("byte for byte as in the text file (\(grouped(rate)) gets a second).")

  let sorted = source.stanzas.sorted { Bytes($0.key) < Bytes($1.key) }
  let scan = try store.blocking.scan(.prefix("pkg/"))
  for stanza in sorted {
    guard let entry = try scan.next(), entry.key == Bytes(stanza.key),
      entry.value.array[...] == source.bytes(of: stanza)
    else { throw Disagreement("the scan does not come to \(stanza.key) when it should") }
  }
  guard try scan.next() == nil else { throw Disagreement("the scan yields what nobody wrote") }
  say("An ordered scan yields the same records in key order, and nothing else.")
  try store.blocking.close()
}
