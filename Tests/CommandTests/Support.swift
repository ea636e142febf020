// Support — seeded bytes, files and programs for the tests of the command.

import Foundation

@testable import TurbiditeCLI

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// Bytes of one of four kinds: anything, text, text with controls, few letters.
  mutating func bytes(upTo limit: Int) -> [UInt8] {
    let count = Int.random(in: 0...limit, using: &self)
    switch Int.random(in: 0..<4, using: &self) {
    case 0: return (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    case 1:
      let text = (0..<count).map { _ in
        "aé€😀\\\"\t\n\u{0}\u{7f}\u{85}\u{202e}z".randomElement(using: &self) ?? "a"
      }
      return Array(String(text).utf8)
    case 2: return (0..<count).map { _ in UInt8.random(in: 0...127, using: &self) }
    default:
      return (0..<count).map { _ in
        [0x5c, 0x09, 0x0a, 0x78, 0x30, 0xff].randomElement(using: &self) ?? 0
      }
    }
  }

  /// A record with a key that is not empty.
  mutating func record(upTo limit: Int = 40) -> Record {
    var key = bytes(upTo: limit)
    if key.isEmpty { key = [0] }
    return Record(key: key, value: bytes(upTo: limit))
  }
}

/// The command, built beside the test bundle.
let builtCommand: String = {
  // The executable that runs the tests lies in the directory of the products.
  let bundle = Bundle.allBundles.map(\.bundlePath).first { $0.hasSuffix(".xctest") }
  let place = bundle.map { URL(fileURLWithPath: $0).deletingLastPathComponent() }
  let beside =
    (place ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent())
    .appendingPathComponent("turbidite").path
  return FileManager.default.isExecutableFile(atPath: beside) ? beside : ".build/debug/turbidite"
}()

/// A directory that goes when the value's owner is done.
final class Workplace {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/turbidite-command-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
  }

  func read(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: file(name))))
  }

  /// An input over `bytes`, which no signal ends.
  func input(_ bytes: [UInt8], name: String = "in") throws -> Input {
    try write(bytes, to: name)
    return Input(
      try Descriptor.reading(file(name)), name: name, wakeup: Descriptor(number: -1))
  }

  /// What `body` writes.
  func output(_ body: (Output) throws -> Void) throws -> [UInt8] {
    let name = UUID().uuidString
    let output = Output(try Descriptor.creating(file(name)), name: name)
    try body(output)
    try output.flush()
    try output.descriptor.close()
    return try read(name)
  }
}

/// How a program ended, and what it said.
struct Outcome {
  var status: Int32
  var isSignal: Bool
  var output: [UInt8]
  var error: String

  var text: String { String(decoding: output, as: UTF8.self) }
}

/// Runs a program with files for its three streams, so that no pipe can fill up.
func runProgram(
  _ path: String, _ arguments: [String], input: [UInt8] = [], output: String? = nil
)
  throws -> Outcome
{
  let place = try Workplace()
  try place.write(input, to: "stdin")
  let process = Process()
  process.executableURL = URL(fileURLWithPath: path)
  process.arguments = arguments
  for name in ["stdout", "stderr"] { try place.write([], to: name) }
  let files = try (
    FileHandle(forReadingFrom: URL(fileURLWithPath: place.file("stdin"))),
    FileHandle(forWritingTo: URL(fileURLWithPath: output ?? place.file("stdout"))),
    FileHandle(forWritingTo: URL(fileURLWithPath: place.file("stderr")))
  )
  process.standardInput = files.0
  process.standardOutput = files.1
  process.standardError = files.2
  try process.run()
  process.waitUntilExit()
  return Outcome(
    status: process.terminationStatus, isSignal: process.terminationReason == .uncaughtSignal,
    output: try place.read("stdout"),
    error: String(decoding: try place.read("stderr"), as: UTF8.self))
}

/// Runs a Python program on `input` and gives its standard output.
func runPython(_ program: String, input: [UInt8]) throws -> Outcome {
  try runProgram("/usr/bin/env", ["python3", "-c", program], input: input)
}
