// JobData — the text and the numbers that the jobs read, and the answers that they must give.
//
// Room:    Benchmarks.
// Limits:  The same size gives the same bytes on every machine whose `pow` rounds alike. Answers
//          are counted while the bytes are made, so they fit them everywhere.

import ArgumentParser
import Glibc

/// How much of the input a tool gets.
enum JobShare: String, Codable, Sendable {
  case whole
  /// The first tenth, to the end of a line.
  case tenth

  var factor: Double { self == .whole ? 1 : 10 }
}

/// Files, made once and kept.
struct JobData {
  private let directory: String
  private let byteCount: Int

  /// Finds the data below a directory, or has them made, in a process of their own: what this one
  /// holds counts as the peak of each program that it starts.
  init(megabytes: Int, below parent: String) throws {
    directory = "\(parent)/data-1-\(megabytes)"
    byteCount = megabytes * 1_000_000
    if access(directory, F_OK) == 0 { return }
    complain("jobs: makes 2 x \(megabytes) MB in \(directory)")
    let unfinished = directory + ".unfinished"
    try makeDirectory(unfinished)
    let arguments = JobDataCommand.arguments(directory: unfinished, byteCount: byteCount)
    guard try turbidite_bench.run(arguments) == 0, rename(unfinished, directory) == 0 else {
      throw Stop("cannot make \(directory)")
    }
  }

  /// Data that are not there yet.
  fileprivate init(directory: String, byteCount: Int) {
    self.directory = directory
    self.byteCount = byteCount
  }

  fileprivate func make() throws {
    let vocabulary = Vocabulary(count: 585_000)
    for task in JobTask.allCases {
      let name = "\(directory)/\(task.fileName)"
      let description = try write(task, vocabulary, to: name)
      try turbidite_bench.write(description + "\n", toFile: name + ".about")
    }
  }

  func input(_ task: JobTask, _ share: JobShare) -> String {
    "\(directory)/\(task.fileName)" + (share == .tenth ? ".tenth" : "")
  }

  /// Lines `key TAB value` in the order of the bytes.
  func answer(_ task: JobTask, _ share: JobShare) -> String { input(task, share) + ".answer" }

  /// How many lines, words and keys there are.
  func description(of task: JobTask) -> String {
    let text = contents(ofFile: "\(directory)/\(task.fileName).about")
    return String(text.split(separator: "\n").first ?? "?")
  }

  /// Writes the input, its first tenth, and the answers to both; says what they are.
  private func write(_ task: JobTask, _ vocabulary: Vocabulary, to path: String) throws -> String {
    var file = try LineFile(path)
    var tenth: LineFile? = try LineFile(path + ".tenth")
    var numbers = RandomNumbers(seed: task == .wordCount ? 1 : 2)
    let zipfian = Zipfian(count: vocabulary.count)
    // Nil is a word that has not come; a sum may be 0.
    var sums = [Int?](repeating: nil, count: vocabulary.count)
    var line: [UInt8] = []
    var (lineCount, wordCount) = (0, 0)
    while file.byteCount < byteCount {
      line.removeAll(keepingCapacity: true)
      switch task {
      case .wordCount:
        for _ in 0..<10 {
          let word = zipfian.next(&numbers)
          if !line.isEmpty { line.append(UInt8(ascii: " ")) }
          line += vocabulary[word]
          sums[word] = (sums[word] ?? 0) + 1
          wordCount += 1
        }
      case .groupSum:
        let word = zipfian.next(&numbers)
        let number = numbers.below(10_000)
        line += vocabulary[word]
        line.append(UInt8(ascii: "\t"))
        line += "\(number)".utf8
        sums[word] = (sums[word] ?? 0) + number
        wordCount += 1
      }
      line.append(UInt8(ascii: "\n"))
      lineCount += 1
      try file.append(line)
      try tenth?.append(line)
      if let part = tenth, part.byteCount >= byteCount / 10 {
        try part.close()
        tenth = nil
        try writeAnswer(sums, vocabulary, to: path + ".tenth.answer")
      }
    }
    try tenth?.close()
    try file.close()
    let keyCount = try writeAnswer(sums, vocabulary, to: path + ".answer")
    return "\(task.fileName): \(file.byteCount) bytes, \(lineCount) lines, "
      + "\(wordCount) words, \(keyCount) distinct"
  }

  @discardableResult
  private func writeAnswer(
    _ sums: [Int?], _ vocabulary: Vocabulary, to path: String
  ) throws -> Int {
    var file = try LineFile(path)
    var keyCount = 0
    for word in vocabulary.sorted {
      guard let sum = sums[word] else { continue }
      try file.append(Array(vocabulary[word]) + Array("\t\(sum)\n".utf8))
      keyCount += 1
    }
    try file.close()
    return keyCount
  }
}

/// Hidden: makes the data.
struct JobDataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "job-data", shouldDisplay: false)

  @Argument var directory: String
  @Argument var byteCount: Int

  func run() throws { try JobData(directory: directory, byteCount: byteCount).make() }

  /// How it is called.
  static func arguments(directory: String, byteCount: Int) -> [String] {
    ["/proc/self/exe", configuration.commandName ?? "", directory, "\(byteCount)"]
  }
}

/// Words of 8 to 18 letters, all different; the rank of a word says nothing about its length.
private struct Vocabulary {
  private var letters: [UInt8] = []
  private var starts = [0]
  /// The ranks of the words in the order of their bytes.
  private(set) var sorted: [Int] = []

  init(count: Int) {
    var numbers = RandomNumbers(seed: 0)
    var words: [String] = []
    var seen: Set<String> = []
    while words.count < count {
      let size = 8 + numbers.below(11)
      let word = (0..<size).map { _ in UInt8(ascii: "a") + UInt8(numbers.below(26)) }
      let text = String(decoding: word, as: UTF8.self)
      guard seen.insert(text).inserted else { continue }
      words.append(text)
      letters += word
      starts.append(letters.count)
    }
    sorted = words.indices.sorted { words[$0] < words[$1] }
  }

  var count: Int { starts.count - 1 }

  subscript(rank: Int) -> ArraySlice<UInt8> { letters[starts[rank]..<starts[rank + 1]] }
}

/// A file that is written from its beginning to its end.
private struct LineFile {
  private let path: String
  private let file: UnsafeMutablePointer<FILE>
  private(set) var byteCount = 0

  init(_ path: String) throws {
    guard let file = fopen(path, "w") else { throw Stop("cannot write \(path): errno \(errno)") }
    self.path = path
    self.file = file
  }

  mutating func append(_ line: [UInt8]) throws {
    guard fwrite(line, 1, line.count, file) == line.count else {
      throw Stop("cannot write \(path): errno \(errno)")
    }
    byteCount += line.count
  }

  func close() throws {
    guard fclose(file) == 0 else { throw Stop("cannot write \(path): errno \(errno)") }
  }
}

/// Makes a directory and those above it.
func makeDirectory(_ path: String) throws {
  guard try run(["mkdir", "-p", path]) == 0 else { throw Stop("cannot make \(path)") }
}
