// Input — bytes from a descriptor, a line or a count at a time.
//
// Room:    Tools/TurbiditeCLI.
// Limits:  A line is at most as long as its form can make a record; the buffer grows as bytes
//          arrive, never ahead of them, so a length that lies costs no memory.

/// A buffered reader.
///
/// Not thread-safe.
final class Input {
  /// The longest value and key with every byte escaped by so many, and room for member names.
  static func longestLine(escapedBy count: Int) -> Int {
    count * (RecordLimits.valueByteCount + RecordLimits.keyByteCount) + 1024
  }
  /// One read's size.
  static let chunk = 256 << 10

  /// Where the bytes come from.
  let descriptor: Descriptor
  /// How errors name it.
  let name: String
  /// Invariant: `0 <= start <= end <= buffer.count`; the bytes in between wait to be taken.
  private(set) var buffer: [UInt8]
  private var start = 0
  private var end = 0
  private var isAtEnd = false
  private let wakeup: Descriptor
  /// The bytes taken so far.
  private(set) var taken: UInt64 = 0
  private var lineCount: UInt64 = 0

  init(_ descriptor: Descriptor, name: String, wakeup: Descriptor = Signals.wakeup) {
    self.descriptor = descriptor
    self.name = name
    self.wakeup = wakeup
    buffer = [UInt8](repeating: 0, count: Input.chunk)
  }

  /// Opens a file, or standard input for `-`.
  static func open(_ path: String) throws(CommandFailure) -> Input {
    if path == "-" { return Input(.input, name: "standard input") }
    do throws(DescriptorFailure) {
      return Input(try Descriptor.reading(path), name: path)
    } catch {
      throw .system(error, at: path)
    }
  }

  /// Gives the file back; standard input stays open.
  func close() throws(CommandFailure) {
    guard descriptor != .input else { return }
    do throws(DescriptorFailure) {
      try descriptor.close()
    } catch {
      throw .system(error, at: name)
    }
  }

  /// The first bytes, without taking them: fewer than `count` only when the input has no more.
  func peek(_ count: Int) throws(CommandFailure) -> [UInt8] {
    while end - start < count, try fill() {}
    return Array(buffer[start..<min(end, start + count)])
  }

  /// Whether the next line needs no wait: it was read already.
  var hasLine: Bool { firstIndex(of: 0x0a, in: buffer, from: start, to: end) != nil }

  /// Where the next line stands in `buffer`, without its newline; nil at the end of the input.
  ///
  /// The place is good until the next call. A line that ends with the input instead of a newline
  /// has `isTerminated` false.
  ///
  /// - Parameter escapeByteCount: what a byte takes at most, as the form of the lines escapes it.
  func nextLine(
    escapedBy escapeByteCount: Int
  ) throws(CommandFailure) -> (range: Range<Int>, isTerminated: Bool)? {
    let limit = Input.longestLine(escapedBy: escapeByteCount)
    var searched = start
    lineCount += 1
    while true {
      if let newline = firstIndex(of: 0x0a, in: buffer, from: searched, to: end) {
        let range = start..<newline
        taken += UInt64(range.count + 1)
        start = newline + 1
        return (range, true)
      }
      let already = end - start
      guard already <= limit else {
        throw .badData(
          "a line of more than \(limit) bytes, which no record takes", at: "\(name):\(lineCount)",
          remedy: "divide it, or leave it out; check what --as says of the input")
      }
      guard try fill() else { break }
      searched = start + already
    }
    guard start < end else { return nil }
    let range = start..<end
    taken += UInt64(range.count)
    start = end
    return (range, false)
  }

  /// Appends the next `count` bytes to `target`; fewer only when the input ends.
  func take(_ count: Int, to target: inout [UInt8]) throws(CommandFailure) -> Int {
    var wanted = count
    while wanted > 0 {
      if start == end {
        guard try fill() else { break }
      }
      let step = min(wanted, end - start)
      target.append(contentsOf: buffer[start..<start + step])
      start += step
      wanted -= step
    }
    taken += UInt64(count - wanted)
    return count - wanted
  }

  /// Reads more; false at the end of the input.
  ///
  /// - Throws: `interrupted` when a signal came while waiting.
  private func fill() throws(CommandFailure) -> Bool {
    guard !isAtEnd else { return false }
    if start > 0 {
      // What waits moves to the front: at most one partial record.
      buffer.replaceSubrange(0..<(end - start), with: Array(buffer[start..<end]))
      end -= start
      start = 0
    }
    if buffer.count - end < Input.chunk / 2 {
      buffer.append(contentsOf: repeatElement(0, count: buffer.count))
    }
    guard descriptor.waitUntilReadable(unless: wakeup) else { throw .interrupted }
    do throws(DescriptorFailure) {
      let count = try descriptor.read(into: &buffer, at: end, limit: buffer.count - end)
      isAtEnd = count == 0
      end += count
      assert(end <= buffer.count)
      return count > 0
    } catch {
      throw .system(error, at: name)
    }
  }
}
