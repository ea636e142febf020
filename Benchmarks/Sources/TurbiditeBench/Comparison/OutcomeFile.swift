// OutcomeFile — outcomes as JSON: between processes, and for whoever wants the raw numbers.
//
// Room:    Benchmarks.

import FoundationEssentials
import Glibc

/// A comparison as it is kept.
struct OutcomeFile: Codable {
  var run: RunTerms
  var outcomes: [Outcome]

  init(run: RunTerms, outcomes: [Outcome]) {
    self.run = run
    self.outcomes = outcomes
  }

  init(path: String) throws {
    self = try JSONDecoder().decode(Self.self, from: Data(contents(ofFile: path).utf8))
  }

  func write(to path: String) throws {
    let head = String(decoding: try JSONEncoder().encode(run), as: UTF8.self)
    let text = "{\"run\": \(head),\n\"outcomes\": " + (try encoded(outcomes)) + "}\n"
    try turbidite_bench.write(text, toFile: path)
  }
}

/// One outcome a line.
func encoded(_ outcomes: [some Encodable]) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys]
  let lines = try outcomes.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
  return "[\n" + lines.joined(separator: ",\n") + "\n]\n"
}

func decodedOutcomes(fromFile path: String) throws -> [Outcome] {
  try JSONDecoder().decode([Outcome].self, from: Data(contents(ofFile: path).utf8))
}

/// Writes a whole file.
func write(_ text: String, toFile path: String) throws {
  guard let file = fopen(path, "w") else { throw Stop("cannot write \(path): errno \(errno)") }
  let isWritten = fputs(text, file) >= 0
  guard fclose(file) == 0, isWritten else { throw Stop("cannot write \(path): errno \(errno)") }
}
