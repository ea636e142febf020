// JobPlace — a small store of words, and jobs of programs over it, each a process.

import Foundation
import Testing

@testable import TurbiditeCLI

/// A store of words in a directory of its own.
struct JobPlace {
  let place: Workplace

  /// Keys `line0000` and so on, each with a line of words.
  let lines: [(key: String, words: [String])]

  private static let words = [
    "sand", "mud", "silt", "gravel", "été", "fan", "lobe", "the", "The", "a", "channel", "levee",
  ]

  init(lineCount: Int = 300, shards: Int = 2, seed: UInt64 = 6) throws {
    place = try Workplace()
    var random = SeededGenerator(seed: seed)
    lines = (0..<lineCount).map { number in
      let digits = String(10_000 + number).dropFirst()
      let words = (0..<Int.random(in: 1...9, using: &random)).map { _ in
        JobPlace.words.randomElement(using: &random) ?? ""
      }
      return ("line\(digits)", words)
    }
    try load("store", shards: shards)
  }

  var store: String { place.file("store") }

  /// Puts the lines into a store of that name.
  func load(_ name: String, shards: Int) throws {
    let text = lines.map { "\($0.key)\t\($0.words.joined(separator: " "))\n" }.joined()
    let outcome = try runProgram(
      builtCommand, ["load", place.file(name), "-", "--create", "--shards", "\(shards)"],
      input: Array(text.utf8))
    try #require(outcome.status == 0, "\(outcome.error)")
  }

  /// How often each word is there.
  var counts: [String: Int] {
    Dictionary(lines.flatMap(\.words).map { ($0, 1) }, uniquingKeysWith: +)
  }

  /// Lines of a word, a tab and its count, in the order of their bytes.
  var counted: String { JobPlace.text(counts) }

  static func text(_ counts: [String: Int]) -> String {
    sorted(counts.map { "\($0.key)\t\($0.value)" })
  }

  /// Lines in the order of their bytes, each ended.
  static func sorted(_ lines: [String]) -> String {
    lines.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { $0 + "\n" }.joined()
  }

  /// The lines of all the files of a directory of results, sorted.
  func results(_ name: String) throws -> String {
    var lines: [String] = []
    for part in try FileManager.default.contentsOfDirectory(atPath: place.file(name)).sorted() {
      #expect(part.hasPrefix("part-"))
      let text = String(decoding: try place.read("\(name)/\(part)"), as: UTF8.self)
      #expect(text.isEmpty || text.hasSuffix("\n"))
      lines += text.split(separator: "\n").map(String.init)
    }
    return JobPlace.sorted(lines)
  }

  func job(_ arguments: String...) throws -> Outcome { try run(["mapreduce", store] + arguments) }

  func run(_ arguments: [String], input: String = "") throws -> Outcome {
    try runProgram(builtCommand, arguments, input: Array(input.utf8))
  }

  /// Writes a program of lines, and gives its path between quotes.
  func program(_ name: String, _ text: String) throws -> String {
    try place.write(Array(text.utf8), to: name)
    return "'\(place.file(name))'"
  }

  /// What the store's directory of jobs holds.
  var jobs: [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: store + "/jobs")) ?? []
  }

  func requireClean(_ comment: String = "") throws {
    #expect(jobs.isEmpty, "\(comment): \(jobs)")
    let verified = try run(["verify", store])
    #expect(verified.status == 0, "\(comment): \(verified.error)\(verified.text)")
  }
}

/// Programs that count words, as they are found in books.
enum WordCount {
  static let awkMapper = #"awk '{ for (i = 1; i <= NF; i++) print $i "\t" 1 }'"#
  static let awkReducer = """
    awk -F '\\t' '
      $1 != key { if (NR > 1) print key "\\t" sum; key = $1; sum = 0 }
      { sum += $2 }
      END { if (NR > 0) print key "\\t" sum }'
    """
  static let shellMapper = #"tr -s ' ' '\n'"#
  static let shellReducer = "uniq -c"
  static let pythonMapper = """
    #!/usr/bin/env python3
    import sys

    for line in sys.stdin:
        line = line.strip()
        words = line.split()
        for word in words:
            print('%s\\t%s' % (word, 1))
    """
  static let pythonReducer = """
    #!/usr/bin/env python3
    import sys

    current_word = None
    current_count = 0
    word = None

    for line in sys.stdin:
        line = line.strip()
        word, count = line.split('\\t', 1)
        try:
            count = int(count)
        except ValueError:
            continue
        if current_word == word:
            current_count += count
        else:
            if current_word:
                print('%s\\t%s' % (current_word, current_count))
            current_count = count
            current_word = word

    if current_word == word:
        print('%s\\t%s' % (current_word, current_count))
    """
}
