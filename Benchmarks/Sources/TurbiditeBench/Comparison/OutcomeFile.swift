// OutcomeFile — outcomes as JSON: between processes, and for whoever wants the raw numbers.
//
// Room:    Benchmarks.

import FoundationEssentials
import Glibc

func encoded(_ outcomes: [Outcome]) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys]
  let lines = try outcomes.map { String(decoding: try encoder.encode($0), as: UTF8.self) }
  return "[\n" + lines.joined(separator: ",\n") + "\n]\n"
}

/// With what a reader must know to repeat them.
func encoded(_ outcomes: [Outcome], _ terms: RunTerms) throws -> String {
  let head = String(decoding: try JSONEncoder().encode(terms), as: UTF8.self)
  return "{\"run\": \(head),\n\"outcomes\": " + (try encoded(outcomes)) + "}\n"
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
