// RunTerms — when, where and how a comparison was run.
//
// Room:    Benchmarks.

import Glibc

struct RunTerms: Codable, Sendable {
  var machine: String
  var disk: String
  var command: String
  var date: String
  var recordCount: Int
  var roundCount: Int
  var minutes: Double

  var summary: String {
    let rounds = roundCount == 1 ? "1 round" : "\(roundCount) rounds"
    return "\(recordCount) records, \(rounds), \(rounded(minutes)) minutes"
  }

  /// As typed, without where the raw results go.
  static var command: String {
    var arguments = Array(CommandLine.arguments.dropFirst())
    if let place = arguments.firstIndex(of: "--json") {
      arguments.removeSubrange(place..<min(place + 2, arguments.count))
    }
    return (["Tools/bench"] + arguments).joined(separator: " ")
  }

  static var today: String {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    var text = [CChar](repeating: 0, count: 16)
    strftime(&text, text.count, "%Y-%m-%d", &parts)
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

/// The file system on which stores are made, and what it takes to sync it.
func diskLine() throws -> String {
  try withDirectory { directory in
    var (mount, kind) = ("", "unknown")
    for line in contents(ofFile: "/proc/mounts").split(separator: "\n") {
      let fields = line.split(separator: " ")
      let place = String(fields[1])
      let isAbove = place == "/" || directory.hasPrefix(place + "/")
      if isAbove, place.count >= mount.count { (mount, kind) = (place, String(fields[2])) }
    }
    let file = open(directory + "/probe", O_CREAT | O_WRONLY, 0o644)
    guard file >= 0 else { throw Stop("cannot write in \(directory): errno \(errno)") }
    defer { close(file) }
    let block = [UInt8](repeating: 1, count: 4096)
    let durations = try (0..<51).map { _ in
      let watch = Stopwatch()
      guard write(file, block, block.count) == block.count, fdatasync(file) == 0 else {
        throw Stop("cannot sync in \(directory): errno \(errno)")
      }
      return watch.milliseconds
    }
    return "\(kind); appending 4 KiB and fdatasync take \(rounded(median(durations), 2)) ms"
  }
}
