// RecordWriter — records as a program's input.
//
// Room:    ProgramJobs.

import Turbidite
import TurbiditeEngine
import TurbiditePrograms

/// Gives a program its records.
///
/// The feeder's thread alone uses it.
final class RecordWriter {
  private let input: ProgramInput
  private let form: LineParser.Form
  private var bytes: [UInt8] = []

  /// Repetitions are written in blocks of about so many bytes.
  private static let blockByteCount = 64 << 10

  init(_ input: ProgramInput, _ form: LineParser.Form) {
    self.input = input
    self.form = form
  }

  /// Gives a key and what follows it in its line or frame, `times` times.
  ///
  /// - Returns: false once the program takes nothing more.
  func write(_ key: RawSpan, _ rest: RawSpan, times: Int = 1) -> Bool {
    bytes.removeAll(keepingCapacity: true)
    bytes.append(key, rest, as: form)
    let one = bytes.count
    let perBlock = max(1, min(times, Self.blockByteCount / max(1, one)))
    for _ in 1..<max(1, perBlock) { bytes.append(key, rest, as: form) }
    var left = times
    while left >= perBlock {
      guard bytes.withUnsafeBytes({ input.write($0) }) else { return false }
      left -= perBlock
    }
    bytes.removeLast(one * (perBlock - left))
    return bytes.withUnsafeBytes { input.write($0) }
  }

  /// Gives a line whose key and value have a tab between them, or a frame.
  func writeRecord(_ key: RawSpan, _ value: RawSpan) -> Bool {
    bytes.removeAll(keepingCapacity: true)
    if form == .frames {
      bytes.append(key, value, as: form)
    } else {
      bytes.append(copying: key)
      bytes.append(0x09)
      bytes.append(copying: value)
      bytes.append(0x0a)
    }
    return bytes.withUnsafeBytes { input.write($0) }
  }

  /// Gives the groups that are selected, each value as often as it comes.
  ///
  /// - Returns: the groups that were come by.
  func write(
    _ reader: GroupReader, _ selection: RecordSelection,
    isCancelled: () -> Bool
  ) throws(JobStop) -> Int {
    var index = 0
    var isTaken = true
    do throws(StoreError) {
      while isTaken, index < selection.range.upperBound, try reader.next() {
        defer { index += 1 }
        if index & 0x3ff == 0, isCancelled() { throw .cancelled }
        guard selection.contains(index) else { continue }
        try reader.withGroup { (key, _) throws(StoreError) in
          while isTaken, try reader.nextValue() {
            let times = reader.repeatCount
            reader.skipRepetitions()
            isTaken = reader.withValue { write(key, $0, times: times) }
          }
        }
      }
    } catch { throw error == .cancelled ? .cancelled : .store(error) }
    return index
  }
}
