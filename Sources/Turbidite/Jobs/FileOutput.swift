// FileOutput — lines of results in a file that appears whole or not at all.
//
// Room:    Turbidite/Jobs.
// Limits:  Parts that are done before those in front of them wait in memory: some megabytes each.

internal import TurbiditeEngine
internal import TurbiditeSystem

/// A file that gets its name in the end.
final class FileOutput: JobOutput {
  private let directory: PosixFileSystem
  private let name: String
  private let temporary: String
  private let file: any File
  private let state = Guarded(State())

  private struct State {
    /// The part whose lines are due.
    var next = 0
    /// Lines of later parts.
    var waiting: [Int: [UInt8]] = [:]
    var isWriting = false
    /// Where the next lines go.
    var offset: UInt64 = 0
  }

  init(_ path: String) throws(StoreError) {
    let (parent, name) = split(path)
    guard !name.isEmpty, name != ".", name != ".." else {
      throw .invalidArgument("\(path) names no file")
    }
    self.name = name
    directory = try rootDirectory(parent)
    temporary = ".unfinished-\(JobTarget.digits(of: name))"
    let isOurs: Bool
    do throws(SystemError) {
      file = try directory.open(temporary, .readWrite)
      // What a killed job has left has no lock, and what another has published not that name.
      let isLocked = try file.tryLock(.exclusive, from: 0, to: 1)
      let isInPlace = try directory.isInPlace(file)
      isOurs = isLocked && isInPlace
      if isOurs { try file.truncate(to: 0) }
    } catch {
      throw FileOutput.failure(error, path)
    }
    if !isOurs { throw .invalidArgument("another job is writing to \(path)") }
  }

  private static func failure(_ error: SystemError, _ path: String) -> StoreError {
    var error = error
    error.path = path
    return StoreError(error)
  }

  var number: UInt32? { nil }

  var isSerial: Bool { false }

  func makeWriter(part: Int) -> any JobOutputWriter { LineWriter(self, part) }

  /// Takes lines of a part, and writes what is due.
  ///
  /// - Parameter isEnd: whether they are the part's last.
  fileprivate func take(_ lines: [UInt8], of part: Int, isEnd: Bool) throws(StoreError) {
    guard isEnd else {
      // Due, and so nobody else's turn.
      return try write(lines)
    }
    state.withLock { $0.waiting[part] = lines }
    while true {
      let due = state.withLock { state -> [UInt8]? in
        guard !state.isWriting, let lines = state.waiting.removeValue(forKey: state.next) else {
          return nil
        }
        state.isWriting = true
        return lines
      }
      guard let due else { return }
      try write(due)
      state.withLock { state in
        state.isWriting = false
        state.next += 1
      }
    }
  }

  /// Whether lines of a part may be written before it has ended.
  fileprivate func isDue(_ part: Int) -> Bool {
    state.withLock { $0.next == part && !$0.isWriting }
  }

  /// By the only one whose turn it is.
  private func write(_ lines: [UInt8]) throws(StoreError) {
    let offset = state.withLock { $0.offset }
    let failure = Bytes.lending(lines) { span -> StoreError? in
      do throws(SystemError) {
        try file.write(span, at: offset)
        return nil
      } catch { return StoreError(error) }
    }
    if let failure { throw failure }
    state.withLock { $0.offset += UInt64(lines.count) }
  }

  func publish() throws(StoreError) {
    do throws(SystemError) {
      try file.sync()
      try directory.rename(temporary, to: name)
      try directory.syncDirectory("")
    } catch {
      throw FileOutput.failure(error, name)
    }
  }

  func discard() throws(StoreError) {
    do throws(SystemError) {
      if try directory.isInPlace(file) { try directory.remove(temporary) }
    } catch {
      throw FileOutput.failure(error, name)
    }
  }
}

/// Makes lines of results.
private final class LineWriter: JobOutputWriter {
  private let output: FileOutput
  private let part: Int
  private var lines = EscapedLines()

  init(_ output: FileOutput, _ part: Int) {
    self.output = output
    self.part = part
  }

  func add(_ key: RawSpan, _ value: Bytes) throws(StoreError) {
    lines.append(key, value)
    guard lines.bytes.count >= 256 << 10, output.isDue(part) else { return }
    try output.take(lines.take(), of: part, isEnd: false)
  }

  func finish() throws(StoreError) { try output.take(lines.take(), of: part, isEnd: true) }
}

/// Lines of a key and a value, with C's escapes for what a line cannot hold.
private struct EscapedLines {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ key: RawSpan, _ value: Bytes) {
    append(key)
    bytes.append(0x09)
    value.withSpan { append($0) }
    bytes.append(0x0a)
  }

  mutating func take() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }

  private mutating func append(_ content: RawSpan) {
    let start = bytes.count
    bytes.append(copying: content)
    guard bytes[start...].contains(where: { Self.escape($0) != nil }) else { return }
    let plain = Array(bytes[start...])
    bytes.removeSubrange(start...)
    for byte in plain {
      if let escape = Self.escape(byte) { bytes += [0x5c, escape] } else { bytes.append(byte) }
    }
  }

  private static func escape(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x09: 0x74
    case 0x0a: 0x6e
    case 0x0d: 0x72
    case 0x5c: 0x5c
    default: nil
    }
  }
}
